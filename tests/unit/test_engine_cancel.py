"""A cancel token: asked once, heard by everybody."""

from __future__ import annotations

import threading

import pytest

from awf_core.clock import SystemClock
from awf_core.extensions.deadline import Cancel, Deadline, follow


def test_only_the_first_reason_counts() -> None:
    cancel = Cancel()

    cancel.request("drain")
    cancel.request("stop")

    assert cancel.requested
    assert cancel.reason == "drain"


def test_waiting_ends_as_soon_as_a_stop_is_requested() -> None:
    cancel = Cancel()
    threading.Timer(0.02, cancel.request, ["stop"]).start()

    assert cancel.wait(30)


def test_waiting_ends_when_the_time_is_over() -> None:
    assert not Cancel().wait(0.01)


def test_a_wait_longer_than_a_lock_can_wait_is_no_error() -> None:
    cancel = Cancel()
    cancel.request("stop")

    assert cancel.wait(1e300)


def test_a_callback_is_called_once() -> None:
    cancel, calls = Cancel(), []
    cancel.on_request(lambda: calls.append("called"))

    cancel.request("stop")
    cancel.request("stop")

    assert calls == ["called"]


def test_a_callback_that_comes_late_is_called_at_once() -> None:
    cancel, calls = Cancel(), []
    cancel.request("stop")

    cancel.on_request(lambda: calls.append("called"))

    assert calls == ["called"]


def test_a_callback_taken_back_is_not_called() -> None:
    cancel, calls = Cancel(), []

    cancel.on_request(lambda: calls.append("called"))()
    cancel.request("stop")

    assert calls == []


def test_a_follower_hears_its_parent_and_not_the_other_way_round() -> None:
    parent = Cancel()
    first, _ = follow(parent)
    second, leave = follow(parent)
    third, _ = follow(parent)

    first.request("branch failed")
    leave()
    parent.request("stop")

    assert (first.reason, second.reason, third.reason) == ("branch failed", None, "stop")


@pytest.mark.parametrize(
    ("left_s", "is_cancelled", "text"),
    [
        (None, False, None),
        (60, False, None),
        (-1, False, "context deadline exceeded"),
        (60, True, "context canceled"),
        (-1, True, "context canceled"),
    ],
)
def test_a_deadline_says_why_nothing_may_start(left_s: float | None, is_cancelled: bool, text: str | None) -> None:
    clock, cancel = SystemClock(), Cancel()
    if is_cancelled:
        cancel.request("stop")

    deadline = Deadline(clock=clock, cancel=cancel, ends_at=None if left_s is None else clock.monotonic() + left_s)

    assert deadline.stop_reason() == text


def test_a_sleep_is_cut_by_the_deadline() -> None:
    clock = SystemClock()
    deadline = Deadline(clock=clock, cancel=Cancel(), ends_at=clock.monotonic() + 0.01)

    assert deadline.sleep(30) == "context deadline exceeded"
    assert deadline.sleep(0.001) == "context deadline exceeded"


def test_a_sleep_within_the_deadline_ends_without_a_reason() -> None:
    assert Deadline(clock=SystemClock(), cancel=Cancel()).sleep(0.001) is None
