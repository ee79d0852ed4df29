"""Which runs there were of each message, and what explains a second one. Used by `chaos_in_hand.py`.

Pure but for `read`. A step writes `start` and `end` lines, and touches a file of its own while it lives, so that the
end of a run that was killed is known too. All times are seconds of the host's monotonic clock.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

SLACK_S = 0.3
"""How late a busy machine writes things down."""
SETTLE_S = 3.0
"""How long after the end of a run its settlement may still be under way, broken connections included."""
CANCEL_S = 5.0
"""How long a worker may take to find that a message is no longer its own, and to end the run."""

STEP = """\
say() {{ read -r up rest < /proc/uptime; echo "$1 $AWF_MESSAGE_ID $$ $PPID $up" >> '{trace}'; }}
say start
n=0; while [ $n -lt "${{AWF_MESSAGE_ID##*-}}" ]; do : > '{alive}'/$$; sleep 0.1; n=$((n+1)); done
say end
"""
"""The end of a message's id says how many tenths of a second it runs."""

FaultKind = Literal["reset", "pause", "kill", "freeze", "clock"]
Why = Literal["kill", "pause", "freeze", "reset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What was done, from when to when; `worker` is the process id it was done to, None = all of them."""

    kind: FaultKind
    from_s: float
    to_s: float
    worker: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a message by the worker of that process id."""

    message_id: str
    pid: int
    worker: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When a message is another worker's: after `silence_s` of its own, or, `is_bound`, when its connection is gone.

    `rebind_s` is how long a run goes on whose connection is gone. `is_locked`: a worker that is stopped may hold a lock
    that all others need.
    """

    silence_s: float
    is_bound: bool = False
    is_locked: bool = False
    rebind_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Second starts by what explains them, and what nothing explains."""

    runs: int
    by_kill: int
    by_pause: int
    by_freeze: int
    by_reset: int
    unexplained: int
    overlaps: int
    overlong: int


def account(runs: Iterable[Run], faults: Sequence[Fault], rules: Rules) -> Account:
    """Every second start held against the faults."""
    by_message: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_message[run.message_id].append(run)
    pairs = [pair for found in by_message.values() for pair in pairwise(sorted(found, key=lambda run: run.start_s))]
    why = [explanation(earlier, later, faults, rules) for earlier, later in pairs]
    return Account(
        runs=sum(map(len, by_message.values())),
        by_kill=why.count("kill"),
        by_pause=why.count("pause"),
        by_freeze=why.count("freeze"),
        by_reset=why.count("reset"),
        unexplained=why.count(None),
        overlaps=sum(later.start_s < earlier.end_s for earlier, later in pairs),
        overlong=sum(is_overlong(earlier, later, faults, rules) for earlier, later in pairs),
    )


def explanation(earlier: Run, later: Run, faults: Iterable[Fault], rules: Rules) -> Why | None:
    """What had a message started again: its first worker dead or silent, or its broker silent; None = nothing.

    A worker that lives takes its own message back, whatever happened: only its death explains a start of its own, or a
    reset that took the acknowledgement along, on a broker that does not answer one.
    """
    for fault in faults:
        was_in_hand = fault.from_s <= earlier.end_s + SETTLE_S and fault.to_s >= earlier.start_s - SLACK_S
        if not was_in_hand or later.start_s < fault.from_s - SLACK_S:
            continue
        if fault.kind == "kill" and fault.worker == earlier.worker:
            return "kill"
        if later.worker != earlier.worker and (why := _loss(fault, earlier, later, rules)) is not None:
            return why
        if rules.is_bound and fault.kind == "reset" and _took_the_ack(fault, earlier, later):
            return "reset"
    return None


def _took_the_ack(fault: Fault, earlier: Run, later: Run) -> bool:
    """Whether a reset fell on the acknowledgement of a run that had ended: AMQP does not answer one."""
    is_at_end = earlier.end_s - SLACK_S <= fault.to_s and fault.from_s <= earlier.end_s + SETTLE_S
    return is_at_end and later.start_s >= earlier.end_s


def _loss(fault: Fault, earlier: Run, later: Run, rules: Rules) -> Why | None:
    """How a worker that lives lost its message to another by this fault."""
    is_silent = min(later.start_s, fault.to_s) - fault.from_s >= rules.silence_s - SLACK_S
    if fault.kind == "pause" and is_silent and (fault.worker == earlier.worker or rules.is_locked):
        return "pause"
    if fault.kind == "freeze" and is_silent:
        return "freeze"
    return "reset" if fault.kind == "reset" and rules.is_bound else None


def is_overlong(earlier: Run, later: Run, faults: Iterable[Fault], rules: Rules) -> bool:
    """Whether two runs were beside each other for longer than it takes the first worker to learn of it."""
    if later.start_s >= earlier.end_s:
        return False
    pauses = [
        fault for fault in faults if fault.kind == "freeze" or (fault.kind, fault.worker) == ("pause", earlier.worker)
    ]
    back_s = max((fault.to_s for fault in pauses), default=0.0)
    known_s = max(later.start_s, min(back_s, earlier.end_s)) + rules.rebind_s
    return min(earlier.end_s, later.end_s) > known_s + CANCEL_S


def read(trace: Path, alive: Path) -> list[Run]:
    """The runs of a trace file; `alive` has a file for each, last touched when its step still lived."""
    lines = [line.split() for line in trace.read_text(encoding="utf-8").splitlines()]
    ends = {int(pid): float(at) for word, _, pid, _, at in lines if word == "end"}
    touched = _last_touched(alive)
    return [
        Run(
            message_id=message_id,
            pid=int(pid),
            worker=int(worker),
            start_s=float(at),
            end_s=ends.get(int(pid), touched.get(int(pid), float(at))),
        )
        for word, message_id, pid, worker, at in lines
        if word == "start"
    ]


def _last_touched(alive: Path) -> Mapping[int, float]:
    epoch_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return {int(path.name): path.stat().st_mtime - epoch_s for path in alive.iterdir()}
