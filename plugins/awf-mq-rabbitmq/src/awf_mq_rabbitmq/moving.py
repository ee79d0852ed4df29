"""Counts, browses, moves and purges the messages of a queue, for operators. `backend.py` calls it.

To browse means to take and requeue: on quorum queues that changes the order and counts as a delivery, so pages say that
they are not exact. Delayed messages are counted, and not shown. Never touches what a consumer has unacknowledged.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter, OrderedDict
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from awf_core.contract import Page, QueueItem, Stats
from awf_core.errors import QueueMissing
from awf_mq_rabbitmq import headers as noted
from awf_mq_rabbitmq.channel import Channel, Got, open_channel
from awf_mq_rabbitmq.messages import Received, item_of, moved_copy
from awf_mq_rabbitmq.names import retry_queue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from awf_mq_rabbitmq.connection import Connection
    from awf_mq_rabbitmq.crash_evidence import CrashEvidence
    from awf_mq_rabbitmq.publishing import Publishing
    from awf_mq_rabbitmq.settings import RabbitMqSettings
    from awf_mq_rabbitmq.topology import Topology

CHECK_AGAIN_S = 30.0
"""How long a missing retry queue is not checked again: each check leaves a line in the broker's log."""
REQUEUE_S = 1.0
"""A replicated queue has what a closed channel requeued a moment after the close (3.10: one check in 200 was early)."""
REQUEUE_CHECK_S = 0.005
AT_ONCE = 100
MOST_PAGINGS = 32


class Moving:
    """Counts, browses, moves and purges what is ready. Thread-safe."""

    def __init__(
        self,
        connection: Connection,
        publishing: Publishing,
        topology: Topology,
        settings: RabbitMqSettings,
        evidence: CrashEvidence,
    ) -> None:
        self._connection = connection
        self._publishing = publishing
        self._topology = topology
        self._settings = settings
        self._evidence = evidence
        self._lock = threading.Lock()
        self._absent_until: dict[str, float] = {}
        self._pagings: OrderedDict[str, Counter[str]] = OrderedDict()
        self._pages = 0

    def stats(self, queue: str) -> Stats:
        """Ready and delayed messages. The rest only the broker's management interface knows."""
        ready = self._count(queue) or 0
        names = [retry_queue(queue, round(delay_s * 1000)) for delay_s in self._settings.delays_s]
        return Stats(ready=ready, delayed=sum(map(self._count_delayed, names)))

    def browse(self, queue: str, limit: int, after: str | None) -> Page:
        """Up to `limit` messages that the pages before didn't show; all are taken and requeued for it."""
        shown = self._pagings.get(after, Counter()) if after is not None else Counter()
        left = Counter(shown)
        items: list[QueueItem] = []
        with self._browsing(queue) as channel:
            has_more = False
            while (got := _get(channel, queue)) is not None:
                self._evidence.unread([got])
                item_id = _id_of(got)
                if left[item_id] > 0:
                    left[item_id] -= 1
                elif len(items) == max(0, limit):
                    has_more = True
                    break
                else:
                    items.append(item_of(item_id, got))
        return Page(items=items, exact=False, next=self._token(shown, items) if has_more and items else None)

    def move(self, source: str, target: str, ids: Sequence[str] | None, limit: int | None) -> int:
        """Move up to `limit` (None = all) messages, those in `ids` (None = any); returns how many."""
        self._topology.declare_if_missing(target)
        moved = 0
        with self._browsing(source) as channel:
            try:
                left = channel.count(source)
            except QueueMissing:
                return 0
            wanted = None if ids is None else set(ids)
            while left > 0 and (limit is None or moved < limit):
                most = min(AT_ONCE, left, left if limit is None else limit - moved)
                taken = _take(channel, source, most)
                chosen = [got for got in taken if wanted is None or _id_of(got) in wanted]
                self._evidence.unread(got for got in taken if got not in chosen)
                moved += self._move(channel, chosen, target)
                left = 0 if len(taken) < most else left - len(taken)
        return moved

    def purge(self, queue: str) -> int:
        """Remove what is ready; returns how many."""
        try:
            with open_channel(self._connection) as channel:
                return channel.purge(queue)
        except QueueMissing:
            return 0

    @contextmanager
    def _browsing(self, queue: str) -> Iterator[Channel]:
        """A channel whose messages are in the queue again at the end, unless they were acknowledged.

        Else a caller that browses and then moves, or counts, would miss some of what was just browsed.
        """
        with open_channel(self._connection) as channel:
            yield channel
        self._evidence.pay()
        if not channel.got:
            return
        end = time.monotonic() + REQUEUE_S
        with suppress(QueueMissing), open_channel(self._connection) as counting:
            while counting.count(queue) < channel.left + channel.got and time.monotonic() < end:
                time.sleep(REQUEUE_CHECK_S)

    def _move(self, channel: Channel, chosen: Sequence[Got], target: str) -> int:
        answers = self._publishing.publish([partial(moved_copy, got, target) for got in chosen])
        channel.ack([got.tag for got, answer in zip(chosen, answers, strict=True) if answer is None])
        failed = next((answer for answer in answers if answer is not None), None)
        if failed is not None:
            raise failed
        return len(chosen)

    def _count(self, queue: str) -> int | None:
        try:
            with open_channel(self._connection) as channel:
                return channel.count(queue)
        except QueueMissing:
            return None

    def _count_delayed(self, name: str) -> int:
        now = time.monotonic()
        if not self._topology.is_known_retry_queue(name) and self._absent_until.get(name, 0.0) > now:
            return 0
        count = self._count(name)
        if count is None:
            self._absent_until[name] = now + CHECK_AGAIN_S
        return count or 0

    def _token(self, shown: Counter[str], items: Sequence[QueueItem]) -> str:
        """Remember what was shown: browsing changes the order of a queue, so a place in it means nothing."""
        with self._lock:
            self._pages += 1
            token = f"page-{self._pages}"
            self._pagings[token] = shown + Counter(item.id for item in items)
            while len(self._pagings) > MOST_PAGINGS:
                self._pagings.popitem(last=False)
            return token


def _get(channel: Channel, queue: str) -> Got | None:
    try:
        return channel.get(queue)
    except QueueMissing:
        return None


def _take(channel: Channel, queue: str, most: int) -> list[Got]:
    taken: list[Got] = []
    while len(taken) < most and (got := channel.get(queue)) is not None:
        taken.append(got)
    return taken


def _id_of(received: Received) -> str:
    """A handle that browsing doesn't change: the id of a dead-lettered message, else a digest of what is stable."""
    properties, headers = received.properties, received.headers
    dead_id = headers.get(noted.DEAD_ID)
    if isinstance(dead_id, str) and dead_id:
        return dead_id
    stable = (
        properties.message_id,
        properties.correlation_id,
        properties.timestamp,
        sorted(noted.as_texts(headers).items()),
        noted.read_counts({name: value for name, value in headers.items() if name != noted.COUNTED_BY_BROKER}),
    )
    return hashlib.sha256(repr(stable).encode() + received.body).hexdigest()[:24]
