"""The wait between attempts, against what the original engine was observed to compute."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from awf_core.engine.steps.command import backoff_ms, delay_s, is_retried
from awf_core.lang.model import RetryRule

CASES = json.loads((Path(__file__).parent / "corpus" / "retry_delays.json").read_text())["cases"]


def rule_of(case: dict[str, Any]) -> RetryRule:
    return RetryRule(
        max_attempts=99,
        backoff=case["strategy"],
        initial_delay_ms=case["initial_ms"],
        max_delay_ms=case["max_ms"],
        multiplier=case["multiplier"],
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(str(value) for value in case.values()))
def test_a_delay_is_what_the_original_computes(case: dict[str, Any]) -> None:
    rule = rule_of(case)

    assert round(backoff_ms(rule, case["attempt"]) * 1_000_000) == case["delay_ns"]
    assert delay_s(rule, case["attempt"], random.Random(1)) == case["delay_ns"] / 1e9


def test_the_corpus_has_every_kind_of_backoff() -> None:
    assert {case["strategy"] for case in CASES} >= {"", "constant", "linear", "exponential"}


@pytest.mark.parametrize(("dice", "expected_s"), [(-1.0, 0.5), (0.0, 1.0), (1.0, 1.5)])
def test_jitter_moves_the_delay_by_its_share_either_way(dice: float, expected_s: float) -> None:
    class Dice(random.Random):
        def uniform(self, a: float, b: float) -> float:
            assert (a, b) == (-1, 1)
            return dice

    rule = RetryRule(max_attempts=2, initial_delay_ms=1000, jitter=0.5)

    assert delay_s(rule, 1, Dice()) == pytest.approx(expected_s)


def test_a_delay_too_large_for_a_number_is_bounded() -> None:
    rule = RetryRule(max_attempts=9999, backoff="exponential", initial_delay_ms=1, multiplier=1e300)

    assert 0 < delay_s(rule, 5000, random.Random(1)) < 1e10


@pytest.mark.parametrize(
    ("attempt", "exit_code", "expected"),
    [(1, 2, True), (2, 2, True), (3, 2, False), (1, 5, False)],
)
def test_only_listed_exit_codes_are_retried_up_to_the_limit(attempt: int, exit_code: int, expected: bool) -> None:
    rule = RetryRule(max_attempts=3, retryable_exit_codes=frozenset({1, 2}))

    assert is_retried(rule, attempt=attempt, exit_code=exit_code) is expected


def test_without_a_rule_nothing_is_retried() -> None:
    assert not is_retried(None, attempt=1, exit_code=1)
