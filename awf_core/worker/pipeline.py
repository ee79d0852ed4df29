"""The way of a message: the page to read first.

    delivery ──decode──▶ message ──plan──▶ plan ──run──▶ run ──decide──▶ verdict ──format──▶ settlement ──▶ settle
                  │ malformed       │ rejection                                                  ▲
                  └─────────────────┴────────────────────────── decide ──────────────────────────┘

One function a step, in that order. decode, plan, decide and format are pure but for the catalogue's look at the file;
run is the only step that takes time. Every delivery leaves here with exactly one settlement, whatever is in it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from awf_core.clock import iso_utc
from awf_core.contract import Ack, DeadLetter, Formatted, Nack, Outgoing
from awf_core.crash_points import crash_point
from awf_core.extensions.deadline import Cancel
from awf_core.message import Limits, Malformed, Message, decode
from awf_core.observe import events
from awf_core.observe.log import get_logger
from awf_core.result import cut, format_result
from awf_core.worker import decide
from awf_core.worker import outcome as outcome_of
from awf_core.worker.decide import Dead, Done, GiveBack, Retry, Verdict
from awf_core.worker.defects import UNEXPECTED
from awf_core.worker.foreign import Foreign, ForeignPlan
from awf_core.worker.plan import Plan, Rejection, crash_loop, expired, internal_error, make_plan, malformed
from awf_core.worker.reply import ReplyRules, reply_fault
from awf_core.worker.settle import Action, Settlement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from awf_core.clock import Clock
    from awf_core.config.model import WorkflowPolicy
    from awf_core.contract import Delivery
    from awf_core.engine.run.engine import Engine
    from awf_core.extensions.results import Run
    from awf_core.lang.catalogue import Catalogue
    from awf_core.plugin.observers import Observers
    from awf_core.result import Outcome
    from awf_core.worker.lease import LeaseKeeper

log = get_logger(__name__)

FORMAT_HOOK = "awf_format_result"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the configuration says, for every message alike. `dead_letter_queue=None` = letters are discarded."""

    worker: str
    cwd: Path
    limits: Limits
    reply: ReplyRules
    dead_letter_queue: str | None
    max_output_bytes: int
    max_hold_s: float | None
    max_delay_s: float | None
    release_counts: bool
    unknown_hold_s: float | None = None
    project_inputs: Mapping[str, Any] = field(default_factory=dict)


class Pipeline:
    """Takes deliveries one by one, from any number of runner threads."""

    def __init__(
        self,
        rules: Rules,
        *,
        catalogue: Catalogue,
        engine: Engine,
        leases: LeaseKeeper,
        observers: Observers,
        clock: Clock,
        policy_for: Callable[[str], WorkflowPolicy],
        format_result: Callable[[Delivery, Message | None, Outcome], Formatted],
        submit: Callable[[Settlement], None],
        foreign: Foreign | None = None,
    ) -> None:
        self._rules = rules
        self._catalogue = catalogue
        self._engine = engine
        self._leases = leases
        self._observers = observers
        self._clock = clock
        self._policy_for = policy_for
        self._format_result = format_result
        self._submit = submit
        self._foreign = foreign

    def handle(self, delivery: Delivery) -> None:
        """Bring one delivery to its settlement. Never raises: a defect of ours is a failed attempt of the message."""
        received_at = self._clock.monotonic()
        crash_point("pipeline.claimed")
        self._observers.message_received(delivery)
        message = decode(delivery, self._rules.limits)
        _log_claimed(delivery, message)
        try:
            settlement = self._settlement(*self._process(delivery, message), delivery, message, received_at)
        except UNEXPECTED as exc:
            log.exception(events.INTERNAL_ERROR, message_id=message.id)
            settlement = self._settlement(*self._broken(exc, delivery, message), delivery, message, received_at)
        crash_point("pipeline.decided")
        self._submit(settlement)

    def _process(self, delivery: Delivery, message: Message | Malformed) -> tuple[Verdict, Outcome]:
        plan = self._plan(delivery, message)
        if isinstance(plan, Rejection):
            verdict = self._decide_rejection(plan, delivery, message)
            log.info(events.MESSAGE_REJECTED, message_id=message.id, reason=plan.reason, error=_first_line(plan.error))
            return verdict, self._outcome_of_rejection(plan, delivery, message, verdict)
        run = self._run(plan, delivery)
        crash_point("pipeline.ran")
        _log_finished(run, plan.message)
        verdict = decide.decide_run(run, delivery, plan.policy.retry, now=self._clock.now(), chance=_chance())
        return verdict, self._outcome_of_run(run, delivery, plan.message, verdict)

    def _broken(
        self, error: BaseException, delivery: Delivery, message: Message | Malformed
    ) -> tuple[Verdict, Outcome]:
        rejection = internal_error(error)
        retry = self._policy_for(message.workflow or "").retry
        verdict = decide.decide_internal_error(
            rejection.error, delivery, retry, now=self._clock.now(), chance=_chance()
        )
        return verdict, self._outcome_of_rejection(rejection, delivery, message, verdict)

    def _plan(self, delivery: Delivery, message: Message | Malformed) -> Plan | ForeignPlan | Rejection:
        if isinstance(message, Malformed):
            return malformed(message)
        if message.expires_at is not None and message.expires_at <= self._clock.now():
            return expired(f"its producer wanted it run before {iso_utc(message.expires_at)}, and it came too late")
        foreign = self._foreign and self._foreign.plan(message, project_inputs=self._rules.project_inputs)
        plan = foreign or make_plan(
            message,
            self._catalogue,
            project_inputs=self._rules.project_inputs,
            prepare_inputs=self._engine.prepare_inputs,
            policy_for=self._policy_for,
        )
        if isinstance(plan, Rejection):
            return plan
        if decide.is_crash_loop(delivery, release_counts=self._rules.release_counts):
            return crash_loop(
                f"handed out {delivery.deliveries} times; {decide.crashes(delivery)} workers ended without settling it"
            )
        return plan

    def _decide_rejection(self, rejection: Rejection, delivery: Delivery, message: Message | Malformed) -> Verdict:
        hold_s = self._rules.unknown_hold_s
        if hold_s is None:
            hold_s = self._policy_for(message.workflow or "").retry.unknown_hold_s
        return decide.decide_rejection(
            rejection,
            delivery,
            hold_s=hold_s,
            now=self._clock.now(),
            release_counts=self._rules.release_counts,
        )

    def _run(self, plan: Plan | ForeignPlan, delivery: Delivery) -> Run:
        cancel = Cancel()
        max_run_s = _shorter(plan.policy.max_run_s, self._rules.max_hold_s)
        self._leases.running(delivery, cancel, max_run_s)
        try:
            run = self._execute(plan, delivery, cancel)
        finally:
            self._leases.ran(delivery)
        return outcome_of.blamed_on_max_run(run, max_run_s)

    def _execute(self, plan: Plan | ForeignPlan, delivery: Delivery, cancel: Cancel) -> Run:
        told = {"AWF_MESSAGE_ID": _env_safe(plan.message.id), "AWF_ATTEMPT": str(delivery.attempt)}
        if isinstance(plan, ForeignPlan):
            assert self._foreign is not None
            return self._foreign.run(plan, cancel=cancel, extra_env=told)
        return self._engine.execute(
            plan.workflow, plan.inputs, cancel=cancel, cwd=self._rules.cwd, extra_env=told, is_prepared=True
        )

    def _outcome_of_run(self, run: Run, delivery: Delivery, message: Message, verdict: Verdict) -> Outcome:
        return outcome_of.of_run(
            run,
            delivery,
            message,
            worker=self._rules.worker,
            max_output_bytes=self._rules.max_output_bytes,
            dead_lettered=self._is_lettered(verdict),
        )

    def _outcome_of_rejection(
        self, why: Rejection, delivery: Delivery, message: Message | Malformed, verdict: Verdict
    ) -> Outcome:
        return outcome_of.of_rejection(
            why,
            delivery,
            message,
            worker=self._rules.worker,
            max_output_bytes=self._rules.max_output_bytes,
            dead_lettered=self._is_lettered(verdict),
            now=self._clock.now(),
        )

    def _is_lettered(self, verdict: Verdict) -> bool:
        return isinstance(verdict, Dead) and self._rules.dead_letter_queue is not None

    def _settlement(
        self,
        verdict: Verdict,
        outcome: Outcome,
        delivery: Delivery,
        message: Message | Malformed,
        received_at: float,
    ) -> Settlement:
        label, reason = "nack", ""
        match verdict:
            case Done():
                label, action = "ack", self._acked(outcome, delivery, message)
            case Retry(delay_s=delay_s, reason=error):
                reason = _first_line(error)
                action = Nack(delivery=delivery, delay_s=self._kept(delay_s), reason=cut(error, 1000))
            case GiveBack(delay_s=delay_s, reason=reason):
                action = Nack(delivery=delivery, delay_s=self._kept(delay_s), counted=False, reason=reason)
            case Dead(reason=reason, error=error):
                action = self._burial(reason, error, outcome, delivery, message)
                label = "dead_letter" if isinstance(action, DeadLetter) else "discard"
        return Settlement(
            action=action,
            label=label,
            reason=reason,
            message_id=message.id,
            received_at=received_at,
            unsafe=reply_fault(message.reply_to, self._rules.reply) if message.reply_to else None,
        )

    def _kept(self, delay_s: float) -> float:
        """`delay_s`, or the longest delay this broker can keep: a nack it refuses would never settle anything."""
        longest_s = self._rules.max_delay_s
        return delay_s if longest_s is None else min(delay_s, longest_s)

    def _acked(self, outcome: Outcome, delivery: Delivery, message: Message | Malformed) -> Action:
        return Ack(delivery=delivery, replies=self._replies(outcome, delivery, message))

    def _burial(
        self, reason: str, error: str, outcome: Outcome, delivery: Delivery, message: Message | Malformed
    ) -> Action:
        replies = self._replies(outcome, delivery, message)
        queue = self._rules.dead_letter_queue
        if queue is None:
            log.warning(events.MESSAGE_DISCARDED, message_id=message.id, queue=delivery.queue, reason=reason)
            return Ack(delivery=delivery, replies=replies)
        entry = {
            "at": outcome.finished_at,
            "attempt": delivery.attempt,
            "worker": outcome.worker,
            "run_id": outcome.run_id,
            "reason": reason,
            "error": cut(error, 1000),
        }
        return DeadLetter(
            delivery=delivery, queue=queue, reason=reason, error=cut(error, 4000), history=[entry], replies=replies
        )

    def _replies(self, outcome: Outcome, delivery: Delivery, message: Message | Malformed) -> tuple[Outgoing, ...]:
        """The result, addressed as the message asks; whether it may go there is the settlement's to say."""
        if not message.reply_to:
            return ()
        formatted = self._formatted(outcome, delivery, message if isinstance(message, Message) else None)
        reply = Outgoing(
            queue=message.reply_to,
            body=formatted.body,
            id=outcome.id,
            correlation_id=message.correlation_id,
            headers=formatted.headers,
            content_type=formatted.content_type,
        )
        return (reply,)

    def _formatted(self, outcome: Outcome, delivery: Delivery, message: Message | None) -> Formatted:
        """The result as plugins want it; in the core's own form where one fails, for the run must not be repeated."""
        try:
            formatted: object = self._format_result(delivery, message, outcome)
            if isinstance(formatted, Formatted):
                return formatted
            log.error(events.PLUGIN_FAILED, hook=FORMAT_HOOK, error=f"returned {formatted!r}, not a Formatted")
        except UNEXPECTED:
            log.exception(events.PLUGIN_FAILED, hook=FORMAT_HOOK, message_id=outcome.message_id)
        return format_result(delivery, message, outcome)


def _log_claimed(delivery: Delivery, message: Message | Malformed) -> None:
    log.info(
        events.MESSAGE_CLAIMED,
        message_id=message.id,
        workflow=message.workflow,
        queue=delivery.queue,
        attempt=delivery.attempt,
        deliveries=delivery.deliveries,
        **({"priority": delivery.priority} if delivery.priority is not None else {}),
    )


def _log_finished(run: Run, message: Message) -> None:
    error = run.error
    log.info(
        events.RUN_FINISHED,
        message_id=message.id,
        workflow=message.workflow,
        run_id=run.run_id,
        status=run.status,
        exit_code=run.exit_code,
        duration_ms=run.duration_ms,
        **({"error": _first_line(error.message)} if error is not None else {}),
    )


def _chance() -> float:
    return random.random()  # noqa: S311  (spreads retries, guards nothing)


def _shorter(a: float | None, b: float | None) -> float | None:
    return min((limit for limit in (a, b) if limit is not None), default=None)


def _env_safe(text: str) -> str:
    """A NUL can't be in an environment value; a producer's id may hold one."""
    return text.replace("\0", "")


def _first_line(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= 200 else line[:197] + "..."
