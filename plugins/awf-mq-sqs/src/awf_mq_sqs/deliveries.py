"""What SQS gave, as the contract's delivery. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from awf_core.contract import Delivery
from awf_mq_sqs.attributes import Attributes, text_of
from awf_mq_sqs.entries import CORRELATION_ID, FIELDS, MESSAGE_ID, REPLY_TO, TRACE_HEADER
from awf_mq_sqs.evidence import Received, age_s
from awf_mq_sqs.large import OLD_SIZE, SIZE
from awf_mq_sqs.names import is_fifo
from awf_mq_sqs.state import ATTRIBUTE, NO_STATE, State, state_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_mq_sqs.claims import Claim

REASON, ERROR, SOURCE = "awf-reason", "awf-error", "awf-source"
OURS = frozenset({ATTRIBUTE, REASON, ERROR, SOURCE, SIZE, OLD_SIZE})
"""Attributes that are no header: they belong to one stay in a queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a message says, out of its envelope and of S3. `headers` are those of the envelope."""

    body: bytes
    body_bytes: int
    headers: Mapping[str, str] = field(default_factory=dict)


def state_in(attributes: Attributes) -> State:
    """The state as it is stored; that of a first message where there is none."""
    return state_of(text_of(attributes[ATTRIBUTE])) if ATTRIBUTE in attributes else NO_STATE


def state_at_start(attributes: Attributes) -> State:
    """The state for a run. A dead-lettered message that SQS itself moved back ("redrive") starts afresh."""
    state = state_in(attributes)
    return State(history=state.history) if REASON in attributes else state


def carried_on(attributes: Attributes) -> Attributes:
    """The attributes that another message with this body gets: without the state, and what was written of its death."""
    return {name: each for name, each in attributes.items() if name not in (ATTRIBUTE, REASON, ERROR, SOURCE)}


def received_of(system: Mapping[str, Any], now_s: float | None) -> Received:
    """The receive, in SQS's numbers. At the first receive its time is exact, later to a second."""
    receives, sent_ms = _number(system, "ApproximateReceiveCount", 1), _number(system, "SentTimestamp", 0)
    first_ms = _number(system, "ApproximateFirstReceiveTimestamp", sent_ms)
    now_ms = first_ms if receives <= 1 or now_s is None else max(first_ms, int(now_s * 1000))
    return Received(receives=receives, sent_ms=sent_ms, first_ms=first_ms, now_ms=now_ms)


def headers_of(attributes: Attributes, trace: str | None) -> dict[str, str]:
    """The headers: attributes that are no field of a delivery and none of ours."""
    headers = {name: text_of(each) for name, each in attributes.items() if name not in FIELDS and name not in OURS}
    return {**headers, TRACE_HEADER: trace} if trace else headers


def delivery_of(claim: Claim, content: Content, *, lease_until: float) -> Delivery:
    """The delivery of a claim."""
    state, received, attributes = claim.state, claim.received, claim.attributes
    return Delivery(
        queue=claim.queue,
        body=content.body,
        receipt=claim.receipt,
        id=state.id or claim.message_id,
        message_id=field_of(attributes, MESSAGE_ID),
        # Where no copy can count, each receive is an attempt.
        attempt=state.attempt if claim.can_copy else state.attempt + received.receives - 1,
        deliveries=state.deliveries + received.receives,
        crashes=state.crashes,
        body_bytes=content.body_bytes,
        reply_to=field_of(attributes, REPLY_TO),
        correlation_id=field_of(attributes, CORRELATION_ID),
        headers={**content.headers, **headers_of(attributes, claim.trace)},
        history=state.history,
        age_s=age_s(state, received),
        lease_until=lease_until,
        group=claim.group if is_fifo(claim.queue) else None,
    )


def field_of(attributes: Attributes, name: str) -> str | None:
    """The value of an attribute; None where it is absent or empty."""
    return text_of(attributes[name]) or None if name in attributes else None


def _number(system: Mapping[str, Any], name: str, default: int) -> int:
    text = str(system.get(name, ""))
    return int(text) if text.isdecimal() else default
