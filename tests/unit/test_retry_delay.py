"""Retry arithmetic: exact where it is exact, within bounds and evenly spread where it is random."""

from __future__ import annotations

import random

import pytest

from awf_core.config.model import RetrySettings
from awf_core.worker.retry_delay import defer_delay_s, retry_delay_s


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [("constant", [5, 5, 5, 5]), ("linear", [5, 10, 15, 20]), ("exponential", [5, 10, 20, 40])],
)
def test_each_backoff_grows_as_it_says(backoff: str, expected: list[float]):
    retry = RetrySettings(backoff=backoff, jitter=0.0)  # type: ignore[arg-type]

    assert [retry_delay_s(retry, attempt, 0.5) for attempt in (1, 2, 3, 4)] == expected


def test_the_wait_never_exceeds_the_cap_however_many_attempts():
    retry = RetrySettings(jitter=0.0, max_delay_s=300)

    assert [retry_delay_s(retry, attempt, 0.0) for attempt in (7, 100, 10**9)] == [300, 300, 300]


def test_full_jitter_spreads_evenly_over_the_whole_wait():
    retry = RetrySettings(jitter=1.0, initial_delay_s=8)
    rng = random.Random(7)

    delays = [retry_delay_s(retry, 1, rng.random()) for _ in range(4000)]

    assert 0 <= min(delays) < 0.1
    assert 7.9 < max(delays) <= 8
    quarters = [sum(lower <= d < lower + 2 for d in delays) for lower in (0, 2, 4, 6)]
    assert all(900 < count < 1100 for count in quarters), quarters


def test_half_jitter_leaves_half_of_the_wait_certain():
    retry = RetrySettings(jitter=0.5, initial_delay_s=8)

    assert retry_delay_s(retry, 1, 0.0) == 4
    assert retry_delay_s(retry, 1, 1.0) == 8


def test_a_deferred_message_is_redelivered_a_dozen_times_and_at_least_every_ten_seconds():
    assert defer_delay_s(24) == 2
    assert defer_delay_s(600) == 10
    assert defer_delay_s(6) == 1
