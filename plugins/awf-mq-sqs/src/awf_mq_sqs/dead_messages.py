"""A dead-lettered message: as it is sent, and as it is shown. Pure.

Reason, error and source are attributes that a person can read in any tool; the history is in the state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from awf_core.contract import QueueItem
from awf_mq_sqs.attributes import string
from awf_mq_sqs.deliveries import ERROR, REASON, SOURCE, carried_on, field_of, headers_of, state_in
from awf_mq_sqs.entries import CORRELATION_ID, MESSAGE_ID, REPLY_TO, Entry, storable_group
from awf_mq_sqs.evidence import carried
from awf_mq_sqs.names import is_fifo
from awf_mq_sqs.state import ATTRIBUTE, State, state_text

if TYPE_CHECKING:
    from awf_core.contract import DeadLetter
    from awf_mq_sqs.claims import Claim

MAX_ERROR = 2000
NATIVE_REASON = "max_receives"
"""The reason of a message that SQS itself moved, by the queue's redrive policy."""

NATIVE_ERROR = "SQS moved it: it was received as often as the redrive policy of its queue allows"


def dead_entry(item: DeadLetter, claim: Claim, limit: int) -> Entry:
    """The message for the dead-letter queue: the same body, with what was found out.

    Where body and attributes are too large together, the oldest history goes first, then the error, then the rest.
    """
    state = replace(carried(claim.state, claim.received, claim.message_id), history=list(item.history))
    error = item.error[:MAX_ERROR]
    entry = _entry(item, claim, state, error)
    while entry.bytes > limit and state.history:
        state = replace(state, history=state.history[1:])
        entry = _entry(item, claim, state, error)
    for least in (200, 0):
        if entry.bytes > limit:
            entry = _entry(item, claim, state, error[:least])
    if entry.bytes > limit:
        entry = replace(entry, attributes=carried_on(claim.attributes))
    return entry


def _entry(item: DeadLetter, claim: Claim, state: State, error: str) -> Entry:
    own = {
        ATTRIBUTE: string(state_text(state)),
        REASON: string(item.reason),
        SOURCE: string(claim.queue),
        **({ERROR: string(error)} if error else {}),
    }
    is_ordered = is_fifo(item.queue)
    return Entry(
        body=claim.body,
        attributes={**own, **carried_on(claim.attributes)},
        group=(claim.group or storable_group(claim.message_id)) if is_ordered else claim.group,
        # The same dead-lettering, repeated after a lost answer, is the same message.
        dedup_id=claim.message_id if is_ordered else None,
        trace=claim.trace,
    )


def restored(claim: Claim) -> Entry:
    """A message that is moved to another queue: it starts afresh, and keeps its history."""
    history: Sequence[Mapping[str, object]] = claim.state.history
    attributes = carried_on(claim.attributes)
    if history:
        attributes = {ATTRIBUTE: string(state_text(State(history=history))), **attributes}
    return Entry(body=claim.body, attributes=attributes, group=claim.group, trace=claim.trace)


def item_of(claim: Claim, item_id: str) -> QueueItem:
    """A message as it is shown."""
    attributes, received = claim.attributes, claim.received
    state = state_in(attributes)
    is_native = claim.source_arn is not None
    reason = field_of(attributes, REASON) or (NATIVE_REASON if is_native else None)
    native_source = claim.source_arn.rpartition(":")[2] if claim.source_arn else None
    return QueueItem(
        id=item_id,
        body=claim.body.encode(),
        state="ready" if reason is None else "dead",
        message_id=field_of(attributes, MESSAGE_ID),
        attempt=state.attempt,
        deliveries=state.deliveries + received.receives,
        reply_to=field_of(attributes, REPLY_TO),
        correlation_id=field_of(attributes, CORRELATION_ID),
        headers=headers_of(attributes, claim.trace),
        enqueued_at=received.sent_ms / 1000,
        source=field_of(attributes, SOURCE) or native_source,
        reason=reason,
        error=field_of(attributes, ERROR) or (NATIVE_ERROR if is_native else None),
        history=state.history,
        dead_at=None if reason is None else received.sent_ms / 1000,
    )
