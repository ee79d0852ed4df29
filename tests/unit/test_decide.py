"""How a delivery ends, case by case."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from awf_core.config.model import RetrySettings
from awf_core.contract import Delivery
from awf_core.extensions.results import RunError
from awf_core.lang.untrusted import UNSAFE_INPUT
from awf_core.worker import decide
from awf_core.worker.decide import Decision, release
from awf_core.worker.plan import Rejection

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


def decide_run(run: Ran, d: Delivery, retry: RetrySettings = RETRY, *, since_claim_s: float = 0.0) -> object:
    return decide.decide_run(run, d, retry, since_claim_s=since_claim_s, chance=0.5)  # type: ignore[arg-type]


def test_a_completed_run_is_acked():
    assert decide_run(Ran("completed"), delivery()) == Decision(ending="ack")


def test_a_value_that_a_shell_would_read_as_syntax_is_dead_lettered_at_once():
    decision = decide_run(failed(UNSAFE_INPUT, "unsafe_input: why"), delivery(attempt=1))

    assert decision == dead("unsafe_input", "unsafe_input: why")


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
    young = delivery(attempt=1, age_s=86_294.0)
    old = delivery(attempt=1, age_s=86_296.0)

    assert is_retry(decide_run(failed(), young, since_claim_s=100.0))
    assert decide_run(failed(), old, since_claim_s=100.0) == dead(reason="max_age", error="step a: exit code 1")


def test_a_message_whose_age_is_unknown_is_retried():
    assert is_retry(decide_run(failed(), delivery(attempt=1, age_s=None), since_claim_s=100_000.0))


def test_a_retry_after_the_message_expires_is_dead_lettered_now():
    lasting, short = delivery(attempt=1, expires_in_s=66.0), delivery(attempt=1, expires_in_s=64.0)

    assert is_retry(decide_run(failed(), lasting, since_claim_s=60.0))
    assert decide_run(failed(), short, since_claim_s=60.0) == dead(reason="expired", error="step a: exit code 1")


def test_max_age_null_never_ends_a_message():
    retry = RetrySettings(max_age_s=None, jitter=0.0)

    assert is_retry(decide_run(failed(), delivery(age_s=1e9), retry))


@pytest.mark.parametrize("reason", ["drain", "stop", "lease_lost"])
def test_a_run_that_the_worker_stopped_is_released(reason: str):
    run = Ran("cancelled", RunError(code=None, message="cancelled", state="a"), cancel_reason=reason)

    assert decide_run(run, delivery(attempt=3)) == release(reason, 0.0)


def test_a_run_beyond_max_run_counts_as_a_failed_attempt():
    run = Ran("cancelled", RunError(code=None, message="ran too long", state="a"), cancel_reason="max_run")

    assert decide_run(run, delivery(attempt=1)) == retry(delay_s=5.0, error="ran too long")
    assert decide_run(run, delivery(attempt=3)) == dead(reason="max_attempts", error="ran too long")


def rejection(reason: str) -> Rejection:
    return Rejection(reason=reason, error="why", code=None, exit_code=1)


def decide_rejection(reason: str, d: Delivery, defer_s: float = 600, *, since_claim_s: float = 0.0) -> object:
    policy = RETRY.model_copy(update={"defer_unknown_s": defer_s})
    return decide.decide_rejection(rejection(reason), d, policy, since_claim_s=since_claim_s, chance=0.5)


@pytest.mark.parametrize("reason", ["malformed", "invalid_workflow_name", "invalid_inputs", "too_large"])
def test_what_can_never_run_is_dead_lettered_at_once(reason: str):
    assert decide_rejection(reason, delivery(age_s=0.0)) == dead(reason=reason, error="why")


@pytest.mark.parametrize("reason", ["unknown_workflow", "invalid_workflow"])
def test_a_workflow_that_is_unknown_or_can_not_be_loaded_is_deferred_then_dead(reason: str):
    fresh, nearly, over = delivery(age_s=1.0), delivery(age_s=596.0), delivery(age_s=599.0)

    def deferred(delay_s: float) -> Decision:
        return Decision(ending="nack", counted=False, reason=reason, delay_s=delay_s, error="why")

    assert decide_rejection(reason, fresh, since_claim_s=1.0) == deferred(10.0)
    assert decide_rejection(reason, nearly, since_claim_s=1.0) == deferred(3.0)
    assert decide_rejection(reason, over, since_claim_s=1.0) == dead(reason=reason, error="why")


@pytest.mark.parametrize("reason", ["unknown_workflow", "invalid_workflow"])
def test_a_message_whose_age_is_unknown_is_deferred_for_as_long_and_no_longer(reason: str):
    failure = {"attempt": 1, "reason": "failed"}
    message, delays_s = delivery(attempt=2, history=(failure,)), []

    while (decision := decide_rejection(reason, message, 60.0)) != dead(reason=reason, error="why"):
        assert isinstance(decision, Decision)
        delays_s.append(decision.delay_s)
        message = delivery(attempt=2, history=decide.history_after_deferral(message, decision))

    assert delays_s == [5.0] * 12
    assert message.history == (failure, {"attempt": 2, "reason": reason, "deferred_s": 60.0})


def test_where_the_age_is_known_a_deferral_changes_no_history():
    message = delivery(age_s=1.0, history=({"attempt": 1},))

    assert decide.history_after_deferral(message, release("unknown_workflow", 5.0)) == message.history


@pytest.mark.parametrize("noted", [-1e9, float("nan"), "long", None, True, 10**400, float("-inf"), [1]])
def test_what_a_producer_notes_as_deferred_makes_no_deferral_longer(noted: object):
    decision = decide_rejection("unknown_workflow", delivery(history=({"deferred_s": noted},)), 60.0)

    assert decision == dead("unknown_workflow", "why") or decision.delay_s <= 5.0  # type: ignore[attr-defined]


def test_without_deferring_an_unknown_workflow_is_dead_lettered_at_once():
    assert decide_rejection("unknown_workflow", delivery(age_s=0.0), 0.0) == dead(
        reason="unknown_workflow", error="why"
    )


def test_an_internal_error_counts_as_a_failed_attempt():
    assert decide_rejection("internal_error", delivery(attempt=1)) == retry(delay_s=5.0, error="why")
    assert decide_rejection("internal_error", delivery(attempt=3)) == dead(reason="internal_error", error="why")


def test_the_summary_is_the_reason_or_the_first_line_of_the_error():
    assert decide.Decision(ending="nack", error="one\ntwo").summary == "one"
    assert dead("max_age", "one\ntwo").summary == "max_age"


def test_five_crashes_make_a_loop():
    assert not decide.is_crash_loop(delivery(crashes=4))
    assert decide.is_crash_loop(delivery(crashes=5))


def test_deliveries_attempts_and_releases_are_no_crashes():
    assert not decide.is_crash_loop(delivery(attempt=30, deliveries=1000))


def test_a_message_is_expired_when_the_time_it_had_at_its_claim_is_over():
    assert not decide.is_expired(delivery(expires_in_s=5.0), 4.9)
    assert decide.is_expired(delivery(expires_in_s=5.0), 5.0)
    assert not decide.is_expired(delivery(), 1e9)
