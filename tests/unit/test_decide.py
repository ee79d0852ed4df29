"""How a delivery ends, case by case."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from awf_core.config.model import RetrySettings
from awf_core.contract import Delivery
from awf_core.extensions.results import RunError
from awf_core.worker import decide
from awf_core.worker.decide import Decision, release
from awf_core.worker.plan import Rejection

NOW = 1_000_000.0
RETRY = RetrySettings(max_attempts=3, jitter=0.0)


@dataclass
class Ran:
    """The part of a run that the decision reads."""

    status: str
    error: RunError | None = None
    cancel_reason: str | None = None


def delivery(**fields: object) -> Delivery:
    return Delivery(queue="q", body=b"{}", receipt=None, **fields)  # type: ignore[arg-type]


def failed(code: str | None = None, message: str = "step a: exit code 1") -> Ran:
    return Ran("failed", RunError(code=code, message=message, state="a"))


def retry(delay_s: float, error: str) -> Decision:
    return Decision(ending="nack", delay_s=delay_s, error=error)


def dead(reason: str, error: str) -> Decision:
    return Decision(ending="dead_letter", reason=reason, error=error)


def is_retry(decision: object) -> bool:
    return isinstance(decision, Decision) and decision.ending == "nack" and decision.counted


def decide_run(run: Ran, d: Delivery, retry: RetrySettings = RETRY) -> object:
    return decide.decide_run(run, d, retry, now=NOW, chance=0.5)  # type: ignore[arg-type]


def test_a_completed_run_is_acked():
    assert decide_run(Ran("completed"), delivery()) == Decision(ending="ack")


def test_a_failed_run_is_redelivered_after_the_policys_delay():
    assert decide_run(failed(), delivery(attempt=1)) == retry(delay_s=5.0, error="step a: exit code 1")
    assert decide_run(failed(), delivery(attempt=2, deliveries=2)) == retry(delay_s=10.0, error="step a: exit code 1")


def test_the_last_attempt_is_dead_lettered():
    assert decide_run(failed(), delivery(attempt=3)) == dead(reason="max_attempts", error="step a: exit code 1")


@pytest.mark.parametrize("code", ["USER.INPUT.MISSING_FILE", "WORKFLOW.VALIDATION.MISSING_STATE"])
def test_failures_of_user_and_workflow_are_permanent(code: str):
    assert decide_run(failed(code), delivery(attempt=1)) == dead(
        reason="permanent_failure", error="step a: exit code 1"
    )


@pytest.mark.parametrize("code", ["EXECUTION.COMMAND.FAILED", "SYSTEM.IO.READ_FAILED", None])
def test_failures_of_execution_and_system_are_retried(code: str | None):
    assert is_retry(decide_run(failed(code), delivery(attempt=1)))


def test_the_text_of_an_error_never_decides():
    run = failed(message="step a: invalid thing, workflow not found")

    assert is_retry(decide_run(run, delivery(attempt=1)))


def test_a_retry_after_max_age_is_dead_lettered_now():
    young = delivery(attempt=1, first_seen_at=NOW - 86_394)
    old = delivery(attempt=1, first_seen_at=NOW - 86_396)

    assert is_retry(decide_run(failed(), young))
    assert decide_run(failed(), old) == dead(reason="max_age", error="step a: exit code 1")


def test_a_retry_after_the_message_expires_is_dead_lettered_now():
    lasting, short = delivery(attempt=1, expires_at=NOW + 6), delivery(attempt=1, expires_at=NOW + 4)

    assert is_retry(decide_run(failed(), lasting))
    assert decide_run(failed(), short) == dead(reason="expired", error="step a: exit code 1")


def test_max_age_null_never_ends_a_message():
    retry = RetrySettings(max_age_s=None, jitter=0.0)

    assert is_retry(decide_run(failed(), delivery(first_seen_at=0.0), retry))


@pytest.mark.parametrize("reason", ["drain", "stop"])
def test_a_run_that_the_worker_stopped_is_released(reason: str):
    run = Ran("cancelled", RunError(code=None, message="cancelled", state="a"), cancel_reason=reason)

    assert decide_run(run, delivery(attempt=3)) == release(reason, 0.0)


def test_a_run_beyond_max_run_counts_as_a_failed_attempt():
    run = Ran("cancelled", RunError(code=None, message="ran too long", state="a"), cancel_reason="max_run")

    assert decide_run(run, delivery(attempt=1)) == retry(delay_s=5.0, error="ran too long")
    assert decide_run(run, delivery(attempt=3)) == dead(reason="max_attempts", error="ran too long")


def rejection(reason: str) -> Rejection:
    return Rejection(reason=reason, error="why", code=None, exit_code=1)


def decide_rejection(reason: str, d: Delivery, defer_s: float = 600) -> object:
    policy = RETRY.model_copy(update={"defer_unknown_s": defer_s})
    return decide.decide_rejection(rejection(reason), d, policy, now=NOW, chance=0.5, release_counts=False)


@pytest.mark.parametrize("reason", ["malformed", "invalid_workflow_name", "invalid_inputs", "invalid_workflow"])
def test_what_can_never_run_is_dead_lettered_at_once(reason: str):
    assert decide_rejection(reason, delivery(first_seen_at=NOW)) == dead(reason=reason, error="why")


def test_an_unknown_workflow_is_held_then_dead():
    fresh = delivery(first_seen_at=NOW - 1)
    nearly = delivery(first_seen_at=NOW - 597)
    over = delivery(first_seen_at=NOW - 600)

    assert decide_rejection("unknown_workflow", fresh) == release("unknown_workflow", 10.0)
    assert decide_rejection("unknown_workflow", nearly) == release("unknown_workflow", 3.0)
    assert decide_rejection("unknown_workflow", over) == dead(reason="unknown_workflow", error="why")


def test_without_deferring_an_unknown_workflow_is_dead_lettered_at_once():
    assert decide_rejection("unknown_workflow", delivery(first_seen_at=NOW), 0.0) == dead(
        reason="unknown_workflow", error="why"
    )


def test_an_internal_error_counts_as_a_failed_attempt():
    assert decide_rejection("internal_error", delivery(attempt=1)) == retry(delay_s=5.0, error="why")
    assert decide_rejection("internal_error", delivery(attempt=3)) == dead(reason="internal_error", error="why")


def test_the_summary_is_the_reason_or_the_first_line_of_the_error():
    assert decide.Decision(ending="nack", error="one\ntwo").summary == "one"
    assert dead("max_age", "one\ntwo").summary == "max_age"


def test_crashes_are_deliveries_that_neither_failed_nor_were_released():
    assert decide.crashes(delivery(attempt=3, deliveries=8, released=1)) == 4


def test_five_crashes_make_a_loop_and_twenty_where_releases_count():
    assert not decide.is_crash_loop(delivery(attempt=1, deliveries=5), release_counts=False)
    assert decide.is_crash_loop(delivery(attempt=1, deliveries=6), release_counts=False)
    assert not decide.is_crash_loop(delivery(attempt=1, deliveries=20), release_counts=True)
    assert decide.is_crash_loop(delivery(attempt=1, deliveries=21), release_counts=True)


def test_many_attempts_and_releases_are_no_crash_loop():
    assert not decide.is_crash_loop(delivery(attempt=30, deliveries=60, released=30), release_counts=False)
