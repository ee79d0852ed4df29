"""How a delivery ends, case by case."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from awf_core.config.model import RetrySettings
from awf_core.contract import Delivery
from awf_core.extensions.results import RunError
from awf_core.worker import decide
from awf_core.worker.decide import Dead, Done, GiveBack, Retry
from awf_core.worker.plan import Rejection

NOW = 1_000_000.0
RETRY = RetrySettings(max_attempts=3, jitter=0.0)


@dataclass
class Ran:
    """The part of a run the decision looks at."""

    status: str
    error: RunError | None = None
    cancel_reason: str | None = None


def delivery(**fields: object) -> Delivery:
    return Delivery(queue="q", body=b"{}", receipt=None, **fields)  # type: ignore[arg-type]


def failed(code: str | None = None, message: str = "step a: exit code 1") -> Ran:
    return Ran("failed", RunError(code=code, message=message, state="a"))


def decide_run(run: Ran, d: Delivery, retry: RetrySettings = RETRY) -> object:
    return decide.decide_run(run, d, retry, now=NOW, chance=0.5)  # type: ignore[arg-type]


def test_a_completed_run_is_acked():
    assert decide_run(Ran("completed"), delivery()) == Done()


def test_a_failed_run_comes_back_after_the_policys_delay():
    assert decide_run(failed(), delivery(attempt=1)) == Retry(delay_s=5.0, reason="step a: exit code 1")
    assert decide_run(failed(), delivery(attempt=2, deliveries=2)) == Retry(delay_s=10.0, reason="step a: exit code 1")


def test_the_last_attempt_goes_to_the_dead_letters():
    assert decide_run(failed(), delivery(attempt=3)) == Dead(reason="max_attempts", error="step a: exit code 1")


@pytest.mark.parametrize("code", ["USER.INPUT.MISSING_FILE", "WORKFLOW.VALIDATION.MISSING_STATE"])
def test_failures_of_user_and_workflow_are_permanent(code: str):
    assert decide_run(failed(code), delivery(attempt=1)) == Dead(
        reason="permanent_failure", error="step a: exit code 1"
    )


@pytest.mark.parametrize("code", ["EXECUTION.COMMAND.FAILED", "SYSTEM.IO.READ_FAILED", None])
def test_failures_of_execution_and_system_are_retried(code: str | None):
    assert isinstance(decide_run(failed(code), delivery(attempt=1)), Retry)


def test_the_text_of_an_error_never_decides():
    run = failed(message="step a: invalid thing, workflow not found")

    assert isinstance(decide_run(run, delivery(attempt=1)), Retry)


def test_a_retry_that_would_come_after_max_age_is_dead_now():
    young = delivery(attempt=1, first_seen_at=NOW - 86_394)
    old = delivery(attempt=1, first_seen_at=NOW - 86_396)

    assert isinstance(decide_run(failed(), young), Retry)
    assert decide_run(failed(), old) == Dead(reason="max_age", error="step a: exit code 1")


def test_a_retry_that_would_come_after_the_message_expires_is_dead_now():
    lasting, short = delivery(attempt=1, expires_at=NOW + 6), delivery(attempt=1, expires_at=NOW + 4)

    assert isinstance(decide_run(failed(), lasting), Retry)
    assert decide_run(failed(), short) == Dead(reason="expired", error="step a: exit code 1")


def test_max_age_null_never_ends_a_message():
    retry = RetrySettings(max_age_s=None, jitter=0.0)

    assert isinstance(decide_run(failed(), delivery(first_seen_at=0.0), retry), Retry)


@pytest.mark.parametrize("reason", ["drain", "stop"])
def test_a_run_the_worker_itself_stopped_is_given_back_uncounted(reason: str):
    run = Ran("cancelled", RunError(code=None, message="cancelled", state="a"), cancel_reason=reason)

    assert decide_run(run, delivery(attempt=3)) == GiveBack(delay_s=0.0, reason=reason)


def test_a_run_beyond_max_run_counts_as_a_failed_attempt():
    run = Ran("cancelled", RunError(code=None, message="ran too long", state="a"), cancel_reason="max_run")

    assert decide_run(run, delivery(attempt=1)) == Retry(delay_s=5.0, reason="ran too long")
    assert decide_run(run, delivery(attempt=3)) == Dead(reason="max_attempts", error="ran too long")


def rejection(reason: str) -> Rejection:
    return Rejection(reason=reason, error="why", code=None, exit_code=1)


def decide_rejection(reason: str, d: Delivery, hold_s: float = 600) -> object:
    return decide.decide_rejection(rejection(reason), d, hold_s=hold_s, now=NOW, release_counts=False)


@pytest.mark.parametrize("reason", ["malformed", "invalid_workflow_name", "invalid_inputs", "invalid_workflow"])
def test_what_can_never_run_is_dead_at_once(reason: str):
    assert decide_rejection(reason, delivery(first_seen_at=NOW)) == Dead(reason=reason, error="why")


def test_an_unknown_workflow_is_held_then_dead():
    fresh = delivery(first_seen_at=NOW - 1)
    nearly = delivery(first_seen_at=NOW - 597)
    over = delivery(first_seen_at=NOW - 600)

    assert decide_rejection("unknown_workflow", fresh) == GiveBack(delay_s=10.0, reason="unknown_workflow")
    assert decide_rejection("unknown_workflow", nearly) == GiveBack(delay_s=3.0, reason="unknown_workflow")
    assert decide_rejection("unknown_workflow", over) == Dead(reason="unknown_workflow", error="why")


def test_without_a_hold_an_unknown_workflow_is_dead_at_once():
    assert decide_rejection("unknown_workflow", delivery(first_seen_at=NOW), 0.0) == Dead(
        reason="unknown_workflow", error="why"
    )


def test_crashes_are_deliveries_that_were_neither_failed_nor_given_back():
    assert decide.crashes(delivery(attempt=3, deliveries=8, released=1)) == 4


def test_five_crashes_make_a_loop_and_twenty_where_releases_count():
    assert not decide.is_crash_loop(delivery(attempt=1, deliveries=5), release_counts=False)
    assert decide.is_crash_loop(delivery(attempt=1, deliveries=6), release_counts=False)
    assert not decide.is_crash_loop(delivery(attempt=1, deliveries=20), release_counts=True)
    assert decide.is_crash_loop(delivery(attempt=1, deliveries=21), release_counts=True)


def test_many_attempts_and_releases_are_no_crash_loop():
    assert not decide.is_crash_loop(delivery(attempt=30, deliveries=60, released=30), release_counts=False)
