"""The round of `make chaos` on the embedded queue, scaled down, and how it explains a second start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from set_clock import faketime_library

from bench.chaos_in_hand import run
from bench.in_hand_account import Fault, Rules, Run, account, explanation, is_overlong

if TYPE_CHECKING:
    from pathlib import Path

LEASED = Rules(silence_s=1.2)
BOUND = Rules(silence_s=1.0, is_bound=True, rebind_s=5.0)
ONE, OTHER = 1, 2


def test_every_second_start_has_a_reason_though_workers_are_stopped_and_killed(tmp_path: Path) -> None:
    report = run(
        tmp_path / "round",
        broker="embedded",
        faults=("pause", "kill"),
        messages=12,
        workers=2,
        seconds=4.0,
        limit_s=40.0,
        seed=7,
        longest_run_s=3.0,
    )

    assert report.is_good, report
    assert report.faults > 0
    assert report.runs >= report.messages


@pytest.mark.skipif(faketime_library() is None, reason="faketime is not installed: apt-get install faketime")
def test_steps_of_the_hosts_clock_start_nothing_twice(tmp_path: Path) -> None:
    report = run(
        tmp_path / "round",
        broker="embedded",
        faults=("clock",),
        messages=12,
        workers=2,
        seconds=4.0,
        limit_s=40.0,
        seed=7,
        longest_run_s=3.0,
    )

    assert report.is_good, report
    assert report.runs == report.messages


def _run(worker: int, start_s: float, end_s: float) -> Run:
    return Run(message_id="m", pid=round(start_s * 10), worker=worker, start_s=start_s, end_s=end_s)


def _fault(kind: str, from_s: float, to_s: float, worker: int | None = None) -> Fault:
    return Fault(kind=kind, from_s=from_s, to_s=to_s, worker=worker)


@pytest.mark.parametrize(
    ("first", "second", "fault", "rules", "why"),
    [
        ((ONE, 1, 9), (OTHER, 10, 11), ("kill", 9, 9, ONE), LEASED, "kill"),
        ((ONE, 1, 9), (OTHER, 10, 11), ("kill", 9, 9, OTHER), LEASED, None),
        ((ONE, 1, 2), (OTHER, 10, 11), ("kill", 9, 9, ONE), LEASED, None),
        ((ONE, 1, 9), (OTHER, 8, 11), ("kill", 9, 9, ONE), LEASED, None),
        ((ONE, 1, 9), (OTHER, 6, 11), ("pause", 4, 8, ONE), LEASED, "pause"),
        ((ONE, 1, 9), (OTHER, 6, 11), ("pause", 4, 4.5, ONE), LEASED, None),
        ((ONE, 1, 9), (ONE, 6, 11), ("pause", 4, 8, ONE), LEASED, None),
        ((ONE, 1, 9), (OTHER, 6, 11), ("reset", 4, 4), LEASED, None),
        ((ONE, 1, 9), (OTHER, 6, 11), ("reset", 4, 4), BOUND, "reset"),
        ((ONE, 1, 9), (ONE, 6, 11), ("reset", 4, 4), BOUND, None),
        ((ONE, 1, 9), (OTHER, 6, 11), ("clock", 4, 4), LEASED, None),
        ((ONE, 1, 9), (OTHER, 6, 11), ("freeze", 4, 8), LEASED, "freeze"),
        ((ONE, 1, 9), (OTHER, 4.5, 11), ("freeze", 4, 8), LEASED, None),
        ((ONE, 1, 9), (ONE, 6, 11), ("freeze", 4, 8), LEASED, None),
    ],
)
def test_a_second_start_is_held_against_the_faults(
    first: tuple[int, float, float], second: tuple[int, float, float], fault: tuple, rules: Rules, why: str | None
) -> None:
    assert explanation(_run(*first), _run(*second), [_fault(*fault)], rules) == why


@pytest.mark.parametrize(
    ("first", "second", "faults", "rules", "is_too_long"),
    [
        ((ONE, 1, 9), (OTHER, 10, 11), [], LEASED, False),
        ((ONE, 1, 9), (OTHER, 6, 11), [], LEASED, False),
        ((ONE, 1, 20), (OTHER, 6, 21), [], LEASED, True),
        ((ONE, 1, 20), (OTHER, 6, 21), [("pause", 4, 16, ONE)], LEASED, False),
        ((ONE, 1, 15), (OTHER, 6, 21), [("reset", 4, 4)], BOUND, False),
        ((ONE, 1, 20), (OTHER, 6, 21), [("reset", 4, 4)], BOUND, True),
    ],
)
def test_two_runs_beside_each_other_for_too_long_are_found(
    first: tuple[int, float, float], second: tuple[int, float, float], faults: list, rules: Rules, is_too_long: bool
) -> None:
    assert is_overlong(_run(*first), _run(*second), [_fault(*each) for each in faults], rules) is is_too_long


def test_an_account_counts_runs_by_message() -> None:
    runs = [_run(ONE, 1, 9), _run(OTHER, 10, 11), Run(message_id="n", pid=9, worker=ONE, start_s=2, end_s=3)]

    counts = account(runs, [_fault("kill", 9, 9, ONE)], LEASED)

    assert (counts.runs, counts.by_kill, counts.unexplained, counts.overlaps) == (3, 1, 0, 0)
