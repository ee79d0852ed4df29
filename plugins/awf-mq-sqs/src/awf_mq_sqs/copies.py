"""Copies: how something is written to a message that SQS can't change. Thread-safe.

The copy is published, then the original is deleted: a crash between the two doubles the message, and never loses it.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from awf_core.crash_points import crash_point
from awf_mq_sqs.attributes import Attributes, fold, size_of, string
from awf_mq_sqs.deliveries import carried_on
from awf_mq_sqs.entries import Entry, whole_seconds
from awf_mq_sqs.evidence import carried, noted
from awf_mq_sqs.settings import MAX_PUBLISH_DELAY_S
from awf_mq_sqs.state import ATTRIBUTE, State, state_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import Nack
    from awf_mq_sqs.claims import Claim
    from awf_mq_sqs.publishing import Answers, Publishing
    from awf_mq_sqs.queues import Queues
    from awf_mq_sqs.visibility import Visibility

log = logging.getLogger("awf_mq_sqs")
ROOM_BYTES = 4096
"""What a copy may need beyond its original. Without so much room a message isn't copied, at any of its receives."""


class Copies:
    """Publishes copies, and releases messages with or without one."""

    def __init__(self, queues: Queues, publishing: Publishing, visibility: Visibility) -> None:
        self._queues = queues
        self._publishing = publishing
        self._visibility = visibility

    def has_room(self, queue: str, body: str, attributes: Attributes) -> bool:
        """Whether a copy of this message fits into its queue."""
        size = len(body.encode("utf-8", "replace")) + size_of(fold(carried_on(attributes)))
        return size + ROOM_BYTES <= self._queues.limit(queue)

    def nack(self, items: Sequence[tuple[Nack, Claim]]) -> Answers:
        """Release each message after its delay: a copy where something has to be written, else by its visibility."""
        answers: Answers = [None] * len(items)
        copied = [(index, nack, claim) for index, (nack, claim) in enumerate(items) if _needs_copy(nack, claim)]
        changed = [(index, nack, claim) for index, (nack, claim) in enumerate(items) if not _needs_copy(nack, claim)]
        found = self.replace([(claim, _nacked(nack, claim), nack.delay_s) for _, nack, claim in copied])
        found += self._visibility.change([(claim, nack.delay_s) for _, nack, claim in changed])
        for (index, _, _), answer in zip((*copied, *changed), found, strict=True):
            answers[index] = answer
        return answers

    def release(self, claims: Sequence[Claim]) -> None:
        """Release what was received and not delivered. Errors leave the message to the end of its lease."""
        self.replace([(claim, _released(claim), 0.0) for claim in claims if claim.state.is_noted])
        self._visibility.change([(claim, 0.0) for claim in claims if not claim.state.is_noted])

    def note_starts(self, queue: str, claims: Sequence[Claim]) -> None:
        """Publish copies that note the next start. Where it fails, the message is redelivered when its lease ends."""
        items = [(claim, noted(claim.state, claim.received, claim.message_id), 0.0) for claim in claims]
        error = next((answer for answer in self.replace(items) if answer is not None), None)
        if error is not None:
            log.warning("%s: can't note the start of a message of %r; it is redelivered later", error, queue)

    def replace(self, items: Sequence[tuple[Claim, State, float]]) -> Answers:
        """Publish a copy of each message with another state, due after a delay, and delete the original."""
        answers: Answers = [None] * len(items)
        by_queue: dict[str, list[int]] = {}
        for index, (claim, _, _) in enumerate(items):
            if not claim.has_moved:
                by_queue.setdefault(claim.queue, []).append(index)
        for queue, indexes in by_queue.items():
            limit = self._queues.limit(queue)
            sent = self._publishing.send(queue, [copy_entry(*items[index], limit) for index in indexes])
            for index, answer in zip(indexes, sent, strict=True):
                answers[index] = answer
                items[index][0].has_moved = answer is None
        crash_point("sqs.copied")
        moved = [index for index, (claim, _, _) in enumerate(items) if claim.has_moved]
        for index, answer in zip(moved, self._visibility.delete([items[index][0] for index in moved]), strict=True):
            answers[index] = answer
        return answers


def copy_entry(claim: Claim, state: State, delay_s: float, limit: int) -> Entry:
    """The copy of a message with another state, due after a delay. Pure."""
    # What one send can't wait is left to the consumer that receives the copy then.
    is_long = delay_s > MAX_PUBLISH_DELAY_S
    state = replace(state, delay_s=math.ceil(delay_s) if is_long else 0)
    entry = _with_state(claim, state, whole_seconds(delay_s))
    while entry.bytes > limit and state.history:
        state = replace(state, history=state.history[1:])
        entry = _with_state(claim, state, entry.delay_s)
    return entry


def _with_state(claim: Claim, state: State, delay_s: int) -> Entry:
    return Entry(
        body=claim.body,
        attributes={ATTRIBUTE: string(state_text(state)), **carried_on(claim.attributes)},
        delay_s=delay_s,
        group=claim.group,
        trace=claim.trace,
    )


def _needs_copy(nack: Nack, claim: Claim) -> bool:
    return claim.can_copy and (nack.counted or claim.state.is_noted)


def _nacked(nack: Nack, claim: Claim) -> State:
    after = carried(claim.state, claim.received, claim.message_id)
    return replace(after, attempt=after.attempt + nack.counted, history=list(nack.history))


def _released(claim: Claim) -> State:
    return carried(claim.state, claim.received, claim.message_id)
