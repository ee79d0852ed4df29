"""The path of a message through a worker: read this page first.

    delivery ──decode──▶ message ──plan──▶ plan ──run──▶ run ──decide──▶ decision ──settle──▶ settlement
                  │ malformed       │ rejection                 ▲
                  └─────────────────┴───────── reject ──────────┘

One method a step, in that order. Only `run` takes time: the other steps are pure, but for the catalogue's check of the
workflow file. Every delivery leaves here with exactly one settlement, whatever is in it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from awf_core.crash_points import crash_point
from awf_core.extensions.deadline import Cancel
from awf_core.lang.untrusted import env_text
from awf_core.message import Limits, Malformed, Message, clean_text, decode
from awf_core.observe import events
from awf_core.observe.log import get_logger
from awf_core.result import cut, first_line
from awf_core.worker import plan as plans
from awf_core.worker.decide import (
    DEFERRED_FOR,
    decide_rejection,
    decide_run,
    history_after_deferral,
    is_crash_loop,
    is_expired,
    release,
)
from awf_core.worker.failures import UNEXPECTED
from awf_core.worker.outcome import LEASE_LOST, ReplyRules, blamed_on_max_run, make_outcome, make_reply, reply_fault
from awf_core.worker.plan import Plan, Rejection
from awf_core.worker.settlement import Settlement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from awf_core.clock import Clock
    from awf_core.config.model import WorkflowPolicy
    from awf_core.contract import Delivery, Formatted, Outgoing
    from awf_core.extensions.results import Run
    from awf_core.plugin.observers import Observers
    from awf_core.result import Outcome
    from awf_core.worker.decide import Decision
    from awf_core.worker.in_hand import LeasedDelivery
    from awf_core.worker.lease_renewal import LeaseKeeper

MAX_HISTORY = 50
"""How many failed attempts a message shows: the latest."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the configuration says of every message. `dead_letter_queue=None`: dead messages are discarded."""

    worker: str
    limits: Limits
    reply: ReplyRules
    dead_letter_queue: str | None
    max_output_bytes: int
    max_hold_s: float | None


@dataclass(frozen=True, slots=True)
class Received:
    """A message in hand, the delivery it was read from, what was read, and when (monotonic seconds)."""

    in_hand: LeasedDelivery
    delivery: Delivery
    message: Message | Malformed
    at: float


class Pipeline:
    """Takes messages in hand one by one, from any number of runner threads.

    `plan` says what runs for a message, `policy_for` which rules hold for a workflow's name. `chance` gives random
    numbers in [0, 1). `submit` takes each settlement.
    """

    def __init__(
        self,
        rules: Rules,
        *,
        plan: Callable[[Message], Plan | Rejection],
        policy_for: Callable[[str], WorkflowPolicy],
        format_result: Callable[[Delivery, Message | None, Outcome], Formatted],
        leases: LeaseKeeper,
        observers: Observers,
        clock: Clock,
        chance: Callable[[], float],
        submit: Callable[[Settlement], None],
    ) -> None:
        self._rules = rules
        self._make_plan = plan
        self._policy_for = policy_for
        self._format_result = format_result
        self._leases = leases
        self._observers = observers
        self._clock = clock
        self._chance = chance
        self._submit = submit

    def handle(self, in_hand: LeasedDelivery) -> None:
        """Bring one message to its settlement. Never raises: an internal error is a failed attempt of the message."""
        received = self._receive(in_hand)
        try:
            settlement = self._process(received)
        except UNEXPECTED as exc:
            log.exception(events.INTERNAL_ERROR, message_id=received.message.id)
            settlement = self._reject(received, plans.internal_error(exc))
        crash_point("pipeline.decided")
        self._submit(settlement)

    def _receive(self, in_hand: LeasedDelivery) -> Received:
        at = self._clock.monotonic()
        delivery = in_hand.delivery
        crash_point("pipeline.claimed")
        self._observers.message_received(delivery)
        message = decode(delivery, self._rules.limits)
        in_hand.message_id = message.id
        log.info(
            events.MESSAGE_CLAIMED,
            message_id=message.id,
            workflow=message.workflow,
            queue=delivery.queue,
            attempt=delivery.attempt,
            deliveries=delivery.deliveries,
            **({"priority": delivery.priority} if delivery.priority is not None else {}),
        )
        return Received(in_hand, delivery, message, at)

    def _process(self, received: Received) -> Settlement:
        message = received.message
        plan = self._plan(received)
        if isinstance(plan, Rejection):
            settlement = self._reject(received, plan)
            log.info(events.MESSAGE_REJECTED, message_id=message.id, reason=plan.reason, error=first_line(plan.error))
            return settlement
        if not self._leases.may_start(received.in_hand):
            return self._settlement(received, release(LEASE_LOST))
        run = self._run(received, plan)
        crash_point("pipeline.ran")
        _log_finished(run, message)
        decision = decide_run(
            run,
            received.delivery,
            plan.policy.retry,
            since_claim_s=self._since_claim_s(received),
            chance=self._chance(),
        )
        return self._settle(received, decision, run)

    def _plan(self, received: Received) -> Plan | Rejection:
        message, delivery = received.message, received.delivery
        body_bytes = max(delivery.body_bytes or 0, len(delivery.body))
        if body_bytes > self._rules.limits.max_body_bytes or delivery.is_stub:
            return plans.too_large(body_bytes, self._rules.limits.max_body_bytes)
        if isinstance(message, Malformed):
            return plans.malformed(message)
        since_claim_s = self._since_claim_s(received)
        if is_expired(delivery, since_claim_s):
            return plans.expired(since_claim_s - (delivery.expires_in_s or 0.0))
        plan = self._make_plan(message)
        if isinstance(plan, Plan) and is_crash_loop(delivery):
            return plans.crash_loop(delivery.deliveries, delivery.crashes)
        return plan

    def _since_claim_s(self, received: Received) -> float:
        return self._clock.monotonic() - received.in_hand.claimed_at

    def _run(self, received: Received, plan: Plan) -> Run:
        cancel = Cancel()
        limits = [limit for limit in (plan.policy.max_run_s, self._rules.max_hold_s) if limit is not None]
        max_run_s = min(limits, default=None)
        self._leases.running(received.in_hand, cancel, max_run_s)
        try:
            run = plan.execute(cancel=cancel, extra_env=_extra_env(received))
        finally:
            self._leases.ran(received.in_hand)
        return blamed_on_max_run(run, max_run_s)

    def _reject(self, received: Received, rejection: Rejection) -> Settlement:
        decision = decide_rejection(
            rejection,
            received.delivery,
            self._policy_for(received.message.workflow or "").retry,
            since_claim_s=self._since_claim_s(received),
            chance=self._chance(),
        )
        return self._settle(received, decision, rejection)

    def _settlement(
        self,
        received: Received,
        decision: Decision,
        *,
        reply: Outgoing | None = None,
        history: Sequence[Mapping[str, object]] | None = None,
    ) -> Settlement:
        return Settlement(
            in_hand=received.in_hand,
            decision=decision,
            message_id=received.message.id,
            received_at=received.at,
            replies=() if reply is None else (reply,),
            unsafe=None if reply is None else reply_fault(reply.queue, self._rules.reply),
            dead_letter_queue=self._rules.dead_letter_queue,
            history=received.delivery.history if history is None else history,
        )

    def _settle(self, received: Received, decision: Decision, ended: Run | Rejection) -> Settlement:
        """The settlement of `decision`, with the result as reply where the message is done with and asks for one."""
        message, delivery, rules = received.message, received.delivery, self._rules
        if decision.ending == "dead_letter" and rules.dead_letter_queue is None:
            decision = replace(decision, ending="discard")
            log.warning(events.MESSAGE_DISCARDED, message_id=message.id, queue=delivery.queue, reason=decision.reason)
        if decision.ending == "nack" and not decision.counted:
            deferral = history_after_deferral(delivery, decision) if decision.reason in DEFERRED_FOR else None
            return self._settlement(received, decision, history=deferral)
        outcome = make_outcome(
            ended,
            delivery,
            message,
            worker=rules.worker,
            max_output_bytes=rules.max_output_bytes,
            dead_lettered=decision.ending == "dead_letter",
            now=self._clock.now(),
        )
        history = reply = None
        if decision.ending in ("nack", "dead_letter"):
            history = (*delivery.history, _history_entry(decision, delivery, outcome))[-MAX_HISTORY:]
        if decision.ending != "nack" and message.reply_to:
            formatted = self._format_result(delivery, message if isinstance(message, Message) else None, outcome)
            reply = make_reply(message.reply_to, outcome, formatted, message.correlation_id)
        return self._settlement(received, decision, reply=reply, history=history)


def message_key(queue: str, message_id: str) -> str:
    """What stands for a message in file names, keys and commands: 64 hexadecimal digits, the same for every attempt."""
    named = f"{len(queue)}:{queue}{message_id}"
    return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()


def _extra_env(received: Received) -> dict[str, str]:
    return {
        "AWF_MESSAGE_ID": env_text(received.message.id),
        "AWF_MESSAGE_KEY": message_key(received.delivery.queue, received.message.id),
        "AWF_ATTEMPT": str(received.delivery.attempt),
    }


def _history_entry(decision: Decision, delivery: Delivery, outcome: Outcome) -> Mapping[str, object]:
    return {
        "at": outcome.finished_at,
        "attempt": delivery.attempt,
        "worker": outcome.worker,
        "run_id": outcome.run_id,
        "reason": decision.reason or "failed",
        "error": clean_text(cut(decision.error, 1000)),
    }


def _log_finished(run: Run, message: Message | Malformed) -> None:
    error = run.error
    log.info(
        events.RUN_FINISHED,
        message_id=message.id,
        workflow=message.workflow,
        run_id=run.run_id,
        status=run.status,
        exit_code=run.exit_code,
        duration_ms=run.duration_ms,
        **({"error": first_line(error.message)} if error is not None else {}),
    )
