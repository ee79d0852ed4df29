"""Long runs under resets, pauses, kills, frozen shards and clock steps, and what explains each second start.

    python -m bench.chaos_in_hand [--broker rabbitmq] [--seconds 60] [--messages 200] [--workers 3] [--seed 1]
                                  [--faults reset,pause,kill,freeze,clock]

Real `awf worker` processes run messages of half a second to six. Connections are reset every two seconds; at random
times workers are stopped (SIGSTOP) for up to three leases or killed, a shard is frozen, a clock is set by up to an
hour. Afterwards every message has a result, none is dead-lettered, and each second start of one is held against the
faults: a worker that lives never starts its own message again, and two runs of a message are beside each other only
where a process was really lost, or for the time the configuration gives a run whose connection is gone. Prints the
counts; exits 1 when a promise was broken. The clock steps need Debian's `faketime`.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from awf_core.config.load import load_config
from awf_core.contract import Ack, Outgoing
from awf_core.errors import BrokerError
from awf_core.plugin.assemble import assemble
from awf_core.testing.eventually import eventually
from awf_core.testing.process import Project, awf_command
from bench.in_hand_account import STEP, Account, Fault, FaultKind, account, read
from bench.in_hand_brokers import BROKERS, LEASE_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.mq import Mq
    from bench.in_hand_brokers import Side

WORK, OTHER, RESULTS, DEAD = "in-hand-work", "in-hand-other", "in-hand-results", "in-hand-dead"
WORKFLOW = "in-hand"
CONCURRENCY = 4
RESET_EVERY_S = 2.0
LONGEST_PAUSE_S = 3 * LEASE_S
LONGEST_STEP_S = 3600
LONGEST_RUN_S = 6.0
START_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened; from `unexplained` on, all have to be 0. `overlong` counts runs beside another for too long.

    `doubled_by_fault` are second results where a result and its ack are two steps: one for each second start, and one
    for each reset, which may cut off the confirm of a result, so that it is published again.
    """

    messages: int
    faults: int
    seconds: float
    runs: int
    by_kill: int
    by_pause: int
    by_freeze: int
    by_reset: int
    overlaps: int
    doubled_by_fault: int
    unexplained: int
    overlong: int
    lost: int
    doubled_results: int
    dead_lettered: int

    @property
    def is_good(self) -> bool:
        """Whether every promise held."""
        broken = (self.unexplained, self.overlong, self.lost, self.doubled_results, self.dead_lettered)
        return not any(broken)


class Chaos:
    """One round: a broker, a project, some workers, and what was done to them."""

    def __init__(self, directory: Path, side: Side, *, workers: int, dice: random.Random) -> None:
        self.side = side
        self.project = Project(directory)
        self.faults: list[Fault] = []
        self._dice = dice
        self._size = workers
        self._workers: list[subprocess.Popen[bytes]] = []
        self._log = directory / "workers.log"
        self._trace, self._alive = directory / "trace", directory / "alive"
        self._trace.touch()
        self._alive.mkdir()
        script = directory / "step.sh"
        script.write_text(STEP.format(trace=self._trace, alive=self._alive))
        self.project.workflow(WORKFLOW, f"exec sh '{script}'")

    def start(self) -> None:
        """The broker, the queues, the workers."""
        self.side.start()
        mq = {"dead_letter": {"queue": DEAD}, "concurrency": CONCURRENCY, "grace": "5s"}
        self._config = self.project.configure("workers", {**mq, **self.side.settings(for_workers=True)})
        self._own = self.project.configure("own", {**mq, **self.side.settings(for_workers=False)})
        with self.mq() as mq_of_ours:
            for queue in (WORK, OTHER):
                mq_of_ours.ensure(queue, "work", dead_letter=DEAD)
            mq_of_ours.ensure(RESULTS, "reply")
            mq_of_ours.ensure(DEAD, "dead")
        self._workers = [self._worker() for _ in range(self._size)]

    def mq(self) -> Connected:
        """The queues by a way no fault is on."""
        config = load_config(cwd=self.project.directory, env=self.project.environment(self._own))
        return Connected(assemble(config, worker="chaos").mq)

    def do(self, kind: FaultKind) -> None:
        """One fault, from its beginning to its end."""
        from_s = _now()
        worker: int | None = None
        if kind == "reset":
            self.side.reset()
        elif kind == "pause":
            worker = self._pause(self._dice.uniform(0.2, LONGEST_PAUSE_S))
        elif kind == "kill":
            worker = self._kill()
        elif kind == "freeze":
            self.side.freeze()
            time.sleep(self._dice.uniform(LEASE_S, LONGEST_PAUSE_S))
            self.side.thaw()
        else:
            self.side.set_clock(self._dice.randint(-LONGEST_STEP_S, LONGEST_STEP_S))
        self.faults.append(Fault(kind=kind, from_s=from_s, to_s=_now(), worker=worker))

    def has_begun(self) -> bool:
        """Whether a run was started."""
        return self._trace.stat().st_size > 0

    def account(self) -> Account:
        """The runs so far."""
        return account(read(self._trace, self._alive), self.faults, self.side.rules)

    def explained_doubles(self, second_starts: int) -> int:
        """How many second results there may be."""
        resets = sum(fault.kind == "reset" for fault in self.faults)
        return second_starts + resets if self.side.may_double else 0

    def end(self) -> None:
        """Nothing of it runs any more."""
        for process in self._workers:
            process.kill()
            process.wait()
        self.side.end()

    def _pause(self, seconds: float) -> int:
        victim = self._dice.choice(self._workers)
        victim.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        victim.send_signal(signal.SIGCONT)
        return victim.pid

    def _kill(self) -> int:
        index = self._dice.randrange(len(self._workers))
        victim = self._workers[index]
        victim.kill()
        victim.wait()
        self._workers[index] = self._worker()
        return victim.pid

    def _worker(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                awf_command("worker", "--log-level", "warning", "--queue", WORK, "--queue", OTHER),
                cwd=self.project.directory,
                env=self.project.environment(self._config, self.side.environment()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


class Connected:
    """An open `Mq` for the length of a `with` block."""

    def __init__(self, mq: Mq) -> None:
        self._mq = mq

    def __enter__(self) -> Mq:
        self._mq.open()
        return self._mq

    def __exit__(self, *_: object) -> None:
        self._mq.close()


def run(
    directory: Path,
    *,
    broker: str,
    faults: Sequence[FaultKind],
    messages: int,
    workers: int,
    seconds: float,
    limit_s: float,
    seed: int,
    longest_run_s: float = LONGEST_RUN_S,
    side: Side | None = None,
) -> Report:
    """One round in `directory`: faults for `seconds`, then the rest is done in peace, within `limit_s`.

    `side`: the broker to use in place of a private one of its own; it has none of the round's queues.
    """
    dice = random.Random(seed)
    side = side or BROKERS[broker](directory / "broker")
    chaos = Chaos(directory, side, workers=workers, dice=dice)
    started_s = time.monotonic()
    ids = [f"m-{number}-{dice.randint(5, round(longest_run_s * 10))}" for number in range(messages)]
    faults = [kind for kind in faults if kind in side.faults]
    results, dead, counts = _round(chaos, ids, faults, seconds=seconds, limit_s=limit_s, dice=dice)
    doubled, explained = len(results) - len(set(results)), chaos.explained_doubles(counts.runs - messages)
    return Report(
        messages=messages,
        faults=len(chaos.faults),
        seconds=round(time.monotonic() - started_s, 1),
        **asdict(counts),
        lost=len(set(ids) - set(results)),
        doubled_by_fault=min(doubled, explained),
        doubled_results=doubled - min(doubled, explained),
        dead_lettered=dead,
    )


def _round(
    chaos: Chaos,
    ids: Sequence[str],
    faults: Sequence[FaultKind],
    *,
    seconds: float,
    limit_s: float,
    dice: random.Random,
) -> tuple[list[str], int, Account]:
    """The results, the number of dead messages, and the runs."""
    try:
        chaos.start()
        with chaos.mq() as mq:
            _publish(mq, ids)
            eventually(chaos.has_begun, START_S, what="the first run")
            _do_faults(chaos, faults, seconds=seconds, dice=dice)
            chaos.side.calm()
            results = _results(mq, set(ids), within_s=limit_s)
            dead = mq.stats(DEAD).ready or 0
        return results, dead, chaos.account()
    finally:
        chaos.end()


def _publish(mq: Mq, ids: Sequence[str]) -> None:
    for number, name in enumerate(ids):
        body = json.dumps({"id": name, "workflow": WORKFLOW, "reply_to": RESULTS}).encode()
        (error,) = mq.publish([Outgoing(queue=OTHER if number % 4 == 0 else WORK, body=body)])
        assert error is None, error


def _do_faults(chaos: Chaos, kinds: Sequence[FaultKind], *, seconds: float, dice: random.Random) -> None:
    """Resets every two seconds, the others one after the other at random in between."""
    others = [kind for kind in kinds if kind != "reset"]
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        time.sleep(RESET_EVERY_S if not others else dice.uniform(0.1, RESET_EVERY_S))
        if "reset" in kinds:
            chaos.do("reset")
        if others:
            chaos.do(dice.choice(others))


def _results(mq: Mq, wanted: set[str], *, within_s: float) -> list[str]:
    """Message ids of all results, taken until each message has one and no more come."""
    found: list[str] = []
    end_s = time.monotonic() + within_s
    while time.monotonic() < end_s:
        with suppress(BrokerError):
            deliveries = mq.consume(RESULTS, limit=50, wait_s=1.0)
            mq.ack([Ack(delivery=delivery) for delivery in deliveries])
            found += [json.loads(delivery.body)["message_id"] for delivery in deliveries]
            if not deliveries and wanted <= set(found):
                break
    return found


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def main() -> int:
    reader = argparse.ArgumentParser(description="Break what workers have in hand, and explain each second start.")
    reader.add_argument("--broker", choices=sorted(BROKERS), default="redis")
    reader.add_argument(
        "--faults", default="reset,pause,kill,freeze,clock", help="those the broker can't have are left out"
    )
    reader.add_argument("--messages", type=int, default=200)
    reader.add_argument("--workers", type=int, default=3)
    reader.add_argument("--seconds", type=float, default=60.0, help="of faults")
    reader.add_argument("--limit", type=float, default=90.0, help="seconds after the last fault")
    reader.add_argument("--seed", type=int, default=1)
    options = reader.parse_args()
    with tempfile.TemporaryDirectory(prefix="awf-chaos-", ignore_cleanup_errors=True) as directory:
        report = run(
            Path(directory),
            broker=options.broker,
            faults=options.faults.split(","),
            messages=options.messages,
            workers=options.workers,
            seconds=options.seconds,
            limit_s=options.limit,
            seed=options.seed,
        )
    for name, value in asdict(report).items():
        print(f"{name:20} {value}")
    return 0 if report.is_good else 1


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
