"""Browse, move and purge: all by receiving, since SQS has no other way to see a message. Thread-safe.

A message that is browsed is invisible to workers until the browse ends, and its receives are counted; so the page says
that it isn't exact.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from awf_core.contract import Outgoing, Page, QueueItem, Stats
from awf_core.errors import BrokerError, QueueMissing
from awf_mq_sqs.dead_messages import item_of, restored
from awf_mq_sqs.entries import Entry, dedup_id, fifo_group
from awf_mq_sqs.names import is_fifo
from awf_mq_sqs.redrive import Redrive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_mq_sqs.claims import Claim, Claims
    from awf_mq_sqs.client import SqsClient
    from awf_mq_sqs.consuming import Consuming
    from awf_mq_sqs.publishing import Publishing
    from awf_mq_sqs.queues import Queues
    from awf_mq_sqs.visibility import Visibility

BROWSE_S = 30.0
"""How long a browsed message stays invisible where the process that browses dies."""

MOVE_S = 10.0
"""How long a message that is being moved stays invisible where the process that moves it dies."""

EMPTY_POLL_S = 1
"""A short poll asks only some of the servers of SQS, so the end of a queue is one empty long poll."""

MOVE_BATCH = 10
UNLIMITED = 1 << 62
COUNTS = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]


class Browsing:
    """Sees and moves what is ready in a queue."""

    def __init__(
        self,
        client: SqsClient,
        queues: Queues,
        claims: Claims,
        consuming: Consuming,
        publishing: Publishing,
        visibility: Visibility,
    ) -> None:
        self._client = client
        self._queues = queues
        self._claims = claims
        self._consuming = consuming
        self._publishing = publishing
        self._visibility = visibility
        self._redrive = Redrive(client, queues)
        self._browsed: dict[str, list[Claim]] = {}
        self._lock = threading.Lock()

    def stats(self, queue: str) -> Stats:
        """The counts of SQS, which are approximate; an absent queue counts zero."""
        try:
            response = self._client.call(
                "get_queue_attributes",
                f"count the messages of {queue!r}",
                queue=queue,
                QueueUrl=self._queues.url(queue),
                AttributeNames=COUNTS,
            )
        except QueueMissing:
            self._queues.forget(queue)
            return Stats(ready=0, delayed=0, in_flight=0)
        ready, in_flight, delayed = (int(response.get("Attributes", {}).get(name, 0)) for name in COUNTS)
        return Stats(ready=ready, delayed=delayed, in_flight=in_flight)

    def browse(self, queue: str, limit: int, after: str | None) -> Page:
        """Up to `limit` messages. They stay invisible until the last page, so that no page shows one twice."""
        if after is None:
            self._show_again(queue)
        found: list[Claim] = []
        is_end = False
        while len(found) < limit and not is_end:
            batch = self._next(queue, min(MOVE_BATCH, limit - len(found)), BROWSE_S)
            is_end = not batch
            found += batch
        with self._lock:
            self._browsed.setdefault(queue, []).extend(found)
        if is_end:
            self._show_again(queue)
        items = sorted((item_of(claim, claim.message_id) for claim in found), key=_by_time)
        return Page(items=items, exact=False, next=None if is_end else "more")

    def close(self) -> None:
        """Make what was browsed visible again."""
        for queue in list(self._browsed):
            with suppress(BrokerError):
                self._show_again(queue)

    def move(self, source: str, target: str, ids: Sequence[str] | None, limit: int | None) -> int:
        """Move messages that no worker has; returns how many."""
        wanted = None if ids is None else set(ids)
        left = min(limit if limit is not None else UNLIMITED, len(wanted) if wanted is not None else UNLIMITED)
        moved = 0
        kept: list[Claim] = []
        self._show_again(source)
        if ids is None and limit is None:
            # What is left, since the counts of such a task are approximate, is moved here.
            moved = self._redrive.move(source, target) or 0
            left += moved
        try:
            while moved < left:
                # Those with other ids are received as well, and are returned at the end.
                asked = MOVE_BATCH if wanted is not None else min(MOVE_BATCH, left - moved)
                batch = self._next(source, asked, MOVE_S if wanted is None else BROWSE_S)
                if not batch:
                    break
                chosen = [claim for claim in batch if wanted is None or claim.message_id in wanted][: left - moved]
                kept += [claim for claim in batch if claim not in chosen]
                moved += self._moved(target, chosen)
        finally:
            self._visibility.change([(claim, 0.0) for claim in kept])
            self._drop(kept)
        return moved

    def purge(self, queue: str) -> int:
        """Remove the messages that no worker has. `PurgeQueue` would remove those in hand as well."""
        count = 0
        self._show_again(queue)
        while batch := self._next(queue, MOVE_BATCH):
            answers = self._visibility.delete(batch)
            self._drop(batch)
            error = next((answer for answer in answers if answer is not None), None)
            if error is not None:
                raise error
            count += len(batch)
        return count

    def _next(self, queue: str, limit: int, lease_s: float = MOVE_S) -> list[Claim]:
        """What is ready; [] = nothing more, or no such queue."""
        try:
            return self._consuming.receive(queue, limit, EMPTY_POLL_S, lease_s=lease_s)
        except QueueMissing:
            return []

    def _moved(self, target: str, claims: Sequence[Claim]) -> int:
        """Publish, then delete; raises the first error."""
        entries = [_for_queue(restored(claim), claim, target) for claim in claims]
        answers = self._publishing.send(target, entries)
        sent = [claim for claim, answer in zip(claims, answers, strict=True) if answer is None]
        unsent = [claim for claim, answer in zip(claims, answers, strict=True) if answer is not None]
        deleted = self._visibility.delete(sent)
        if unsent:
            self._visibility.change([(claim, 0.0) for claim in unsent])
        self._drop(claims)
        error = next((answer for answer in (*answers, *deleted) if answer is not None), None)
        if error is not None:
            raise error
        return len(sent)

    def _show_again(self, queue: str) -> None:
        with self._lock:
            claims = self._browsed.pop(queue, [])
        if claims:
            self._visibility.change([(claim, 0.0) for claim in claims])
            self._drop(claims)

    def _drop(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            self._claims.drop(claim)


def _for_queue(entry: Entry, claim: Claim, target: str) -> Entry:
    """The entry with what a FIFO queue asks for."""
    if not is_fifo(target):
        return entry
    message = Outgoing(queue=target, body=claim.body.encode(), id=claim.message_id, group=claim.group)
    # A new id: SQS would drop a message that is replayed within five minutes as a repetition.
    unique = f"{dedup_id(message, claim.body)[:90]}-{claim.receipt.number}-{claim.received.first_ms}"
    return replace(entry, group=claim.group or fifo_group(message), dedup_id=unique[:128])


def _by_time(item: QueueItem) -> float:
    return item.enqueued_at or 0.0
