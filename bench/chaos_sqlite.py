"""Kill workers of the embedded queue at random and count the results of every message.

    python bench/chaos_sqlite.py [--processes 16] [--messages 2000] [--kills 100] [--lease 2] [--seed 1]

Real processes claim, work a few milliseconds and ack with a result. SIGKILL ends them at any moment and each is
replaced. Afterwards every message must have exactly one result, and no message may have had two holders at once. Prints
the counts; exits 1 when a guarantee was broken.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from awf_core.backends.sqlite.backend import Backend, SqliteSettings
from awf_core.clock import SystemClock
from awf_core.contract import Ack, BackendContext, Delivery, Outgoing

WORK, RESULTS = "chaos", "chaos-results"
LONGEST_WORK_S = 0.02
BATCH = 3
TAIL_BYTES = 32_768


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The counts of a round, and the broken guarantees: all but the first four have to be 0 (or "ok")."""

    messages: int
    kills: int
    claims: int
    seconds: float
    lost: int
    doubled_results: int
    settled_twice: int
    held_by_two: int
    fences_given_twice: int
    left_in_queue: int
    integrity: str

    @property
    def is_good(self) -> bool:
        """Whether every guarantee held."""
        broken = (self.lost, self.doubled_results, self.settled_twice, self.held_by_two, self.fences_given_twice)
        return not any(broken) and self.left_in_queue == 0 and self.integrity == "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A process held a message: from `start_s` until it settled it, was killed, or its lease ended."""

    start_s: float
    end_s: float


def run(
    directory: Path, *, processes: int, messages: int, kills: int, lease_s: float, seed: int, limit_s: float
) -> Report:
    """One round in `directory`. Ends after `limit_s` seconds at the latest and reports what is missing."""
    started_s = time.monotonic()
    dice = random.Random(seed)
    backend = _backend(directory, "chaos-master", lease_s)
    backend.awf_mq_open()
    crew = [_start(directory, lease_s) for _ in range(processes)]
    killed_at_s: dict[int, float] = {}
    try:
        ids = [f"m-{number}" for number in range(messages)]
        for first in range(0, messages, 500):
            backend.awf_mq_publish(
                [Outgoing(queue=WORK, body=name.encode(), id=name) for name in ids[first : first + 500]]
            )
        while time.monotonic() < started_s + limit_s and backend.awf_mq_stats(RESULTS).ready != messages:
            time.sleep(dice.uniform(0.01, 0.1))
            ready = _working(directory, crew) if len(killed_at_s) < kills else []
            if ready:
                victim = dice.choice(ready)
                crew[victim].send_signal(signal.SIGKILL)
                crew[victim].wait()
                killed_at_s[crew[victim].pid] = time.monotonic()
                crew[victim] = _start(directory, lease_s)
    finally:
        for process in crew:
            process.kill()
            process.wait()
        backend.awf_mq_close()
    return _report(directory, ids, killed_at_s, seconds=time.monotonic() - started_s)


def claim_for_ever(directory: Path, lease_s: float) -> None:
    """What a claimer does until SIGKILL: claim, log, work, ack with a result, log."""
    backend = _backend(directory, f"claimer-{os.getpid()}", lease_s)
    backend.awf_mq_open()
    log = os.open(_log(directory), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    dice = random.Random(os.getpid())
    while True:
        deliveries = backend.awf_mq_consume(WORK, BATCH, 1.0)
        for delivery in deliveries:
            _write(log, delivery, "claimed")
        for delivery in deliveries:
            time.sleep(dice.uniform(0, LONGEST_WORK_S))
            reply = Outgoing(queue=RESULTS, body=delivery.body, id=delivery.id)
            answer = backend.awf_mq_ack([Ack(delivery=delivery, replies=[reply])])[0]
            _write(log, delivery, "settled" if answer is None else "refused")


def _working(directory: Path, crew: list[subprocess.Popen[bytes]]) -> list[int]:
    if not _log(directory).exists():
        return []
    with _log(directory).open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = log.read().splitlines()[1:]
    pids = {json.loads(line)["pid"] for line in lines}
    return [index for index, process in enumerate(crew) if process.pid in pids]


def _report(directory: Path, ids: list[str], killed_at_s: dict[int, float], *, seconds: float) -> Report:
    events = [json.loads(line) for line in _log(directory).read_text(encoding="utf-8").splitlines()]
    claims = [event for event in events if event["event"] == "claimed"]
    settled = Counter(event["id"] for event in events if event["event"] == "settled")
    with closing(sqlite3.connect(directory / "queue.db")) as connection:
        results = Counter(
            name for (name,) in connection.execute("SELECT body FROM message WHERE queue = ?", (RESULTS,))
        )
        left = connection.execute("SELECT COUNT(*) FROM message WHERE queue = ?", (WORK,)).fetchone()[0]
        integrity = connection.execute("PRAGMA integrity_check").fetchone()[0]
    return Report(
        messages=len(ids),
        kills=len(killed_at_s),
        claims=len(claims),
        seconds=round(seconds, 2),
        lost=sum(1 for name in ids if results[name] == 0),
        doubled_results=sum(1 for count in results.values() if count > 1),
        settled_twice=sum(1 for count in settled.values() if count > 1),
        held_by_two=sum(_overlaps(holds) for holds in _holds(events, killed_at_s).values()),
        fences_given_twice=len(claims) - len({(event["id"], event["deliveries"]) for event in claims}),
        left_in_queue=left,
        integrity=integrity,
    )


def _holds(events: list[dict[str, object]], killed_at_s: dict[int, float]) -> dict[object, list[Hold]]:
    ends = {(e["id"], e["deliveries"]): float(str(e["at_s"])) for e in events if e["event"] == "settled"}
    holds = defaultdict(list)
    for event in events:
        if event["event"] == "claimed":
            end_s = min(
                float(str(event["until_s"])),
                killed_at_s.get(int(str(event["pid"])), float("inf")),
                ends.get((event["id"], event["deliveries"]), float("inf")),
            )
            holds[event["id"]].append(Hold(start_s=float(str(event["at_s"])), end_s=end_s))
    return holds


def _overlaps(holds: list[Hold]) -> int:
    ordered = sorted(holds, key=lambda hold: hold.start_s)
    return sum(1 for one, other in pairwise(ordered) if other.start_s < one.end_s)


def _write(log: int, delivery: Delivery, event: str) -> None:
    # Monotonic time is one clock for all processes of a host, so moments can be compared.
    entry = {
        "event": event,
        "id": delivery.id,
        "deliveries": delivery.deliveries,
        "until_s": delivery.lease_until,
        "at_s": time.monotonic(),
        "pid": os.getpid(),
    }
    os.write(log, json.dumps(entry).encode() + b"\n")


def _backend(directory: Path, worker: str, lease_s: float) -> Backend:
    return Backend(
        SqliteSettings(lease_s=lease_s), BackendContext(worker=worker, clock=SystemClock(), directory=str(directory))
    )


def _log(directory: Path) -> Path:
    return directory / "claimers.log"


def _start(directory: Path, lease_s: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, "--claimer", str(directory), "--lease", str(lease_s)])


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill workers of the embedded queue and count the messages.")
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--messages", type=int, default=2000, help="for each process")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--lease", type=float, default=2.0, help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=900.0, help="seconds after which to give up")
    parser.add_argument("--claimer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.claimer:
        claim_for_ever(Path(options.claimer), options.lease)
    with tempfile.TemporaryDirectory(prefix="awf-chaos-") as directory:
        report = run(
            Path(directory),
            processes=options.processes,
            messages=options.processes * options.messages,
            kills=options.kills,
            lease_s=options.lease,
            seed=options.seed,
            limit_s=options.limit,
        )
    for name, value in asdict(report).items():
        print(f"{name:20} {value}")
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
