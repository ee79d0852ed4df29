"""For operators: counting, looking, moving and removing. Called by `backend.py`.

Looking means taking and giving back: on quorum queues it changes the order and counts as a delivery, so pages say that
they are not exact. Delayed messages are counted, and not shown. Never touches what a consumer holds.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter, OrderedDict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from awf_core.contract import Page, QueueItem, Stats
from awf_core.errors import QueueMissing
from awf_mq_rabbitmq import headers as noted
from awf_mq_rabbitmq.channel import Channel, Got, open_channel
from awf_mq_rabbitmq.names import retry_queue
from awf_mq_rabbitmq.wire import header_problem, item_of, moved_parcel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from awf_mq_rabbitmq.link import Link
    from awf_mq_rabbitmq.publishing import Publishing
    from awf_mq_rabbitmq.settings import RabbitMqSettings
    from awf_mq_rabbitmq.topology import Topology

LOOK_AGAIN_S = 30.0
"""How long a retry queue that isn't there is believed to stay away: each look leaves a line in the broker's log."""
RETURN_S = 1.0
"""A replicated queue has what a closed channel gave back a moment after the close (3.10: one look in 200 was early)."""
RETURN_LOOK_S = 0.005
AT_ONCE = 100
MOST_PAGINGS = 32


class Operating:
    """Looks at queues and moves what nobody holds. Thread-safe."""

    def __init__(self, link: Link, publishing: Publishing, topology: Topology, settings: RabbitMqSettings) -> None:
        self._link = link
        self._publishing = publishing
        self._topology = topology
        self._settings = settings
        self._lock = threading.Lock()
        self._absent_until: dict[str, float] = {}
        self._pagings: OrderedDict[str, Counter[str]] = OrderedDict()
        self._pages = 0

    def stats(self, queue: str) -> Stats:
        """What the broker tells a client: ready and delayed. The rest is in its management interface."""
        ready = self._count(queue) or 0
        names = [retry_queue(queue, round(delay_s * 1000)) for delay_s in self._settings.delays_s]
        return Stats(ready=ready, delayed=sum(map(self._count_delayed, names)))

    def browse(self, queue: str, limit: int, after: str | None) -> Page:
        """Up to `limit` messages that the pages before didn't show; all are taken and given back for it."""
        shown = self._pagings.get(after, Counter()) if after is not None else Counter()
        left = Counter(shown)
        items: list[QueueItem] = []
        with self._looking(queue) as channel:
            has_more = False
            while (got := _get(channel, queue)) is not None:
                item_id = _id_of(got.properties, got.body)
                if left[item_id] > 0:
                    left[item_id] -= 1
                elif len(items) == max(0, limit):
                    has_more = True
                    break
                else:
                    items.append(item_of(item_id, got.properties, got.body))
        return Page(items=items, exact=False, next=self._token(shown, items) if has_more and items else None)

    def move(self, source: str, target: str, ids: Sequence[str] | None, limit: int | None) -> int:
        """Move up to `limit` (None = all) messages, those in `ids` (None = any); returns how many."""
        self._topology.make_if_missing(target)
        moved = 0
        with self._looking(source) as channel:
            try:
                left = channel.count(source)
            except QueueMissing:
                return 0
            wanted = None if ids is None else set(ids)
            while left > 0 and (limit is None or moved < limit):
                most = min(AT_ONCE, left, left if limit is None else limit - moved)
                taken, chosen = _take(channel, source, most, wanted)
                moved += self._move(channel, chosen, target)
                left = 0 if taken < most else left - taken
        return moved

    def purge(self, queue: str) -> int:
        """Remove what is ready; returns how many."""
        try:
            with open_channel(self._link) as channel:
                return channel.purge(queue)
        except QueueMissing:
            return 0

    @contextmanager
    def _looking(self, queue: str) -> Iterator[Channel]:
        """A channel that gives back what it got and did not ack; at the end it is in the queue again.

        Else who looks and then moves, or counts, would miss some of what was just looked at.
        """
        with open_channel(self._link) as channel:
            yield channel
        if not channel.got:
            return
        end = time.monotonic() + RETURN_S
        with suppress(QueueMissing), open_channel(self._link) as counting:
            while counting.count(queue) < channel.left + channel.got and time.monotonic() < end:
                time.sleep(RETURN_LOOK_S)

    def _move(self, channel: Channel, chosen: Sequence[Got], target: str) -> int:
        parcels = [moved_parcel(got.properties, got.body, target) for got in chosen]
        for parcel in parcels:
            error = header_problem(parcel, self._link.where)
            if error is not None:
                raise error
        answers = self._publishing.publish(parcels)
        channel.ack([got.tag for got, answer in zip(chosen, answers, strict=True) if answer is None])
        failed = next((answer for answer in answers if answer is not None), None)
        if failed is not None:
            raise failed
        return len(chosen)

    def _count(self, queue: str) -> int | None:
        try:
            with open_channel(self._link) as channel:
                return channel.count(queue)
        except QueueMissing:
            return None

    def _count_delayed(self, name: str) -> int:
        now = time.monotonic()
        if not self._topology.is_known(name) and self._absent_until.get(name, 0.0) > now:
            return 0
        count = self._count(name)
        if count is None:
            self._absent_until[name] = now + LOOK_AGAIN_S
        return count or 0

    def _token(self, shown: Counter[str], items: Sequence[QueueItem]) -> str:
        """Remember what was shown: on a queue whose order looking changes, a place in it means nothing."""
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


def _take(channel: Channel, queue: str, most: int, wanted: Collection[str] | None) -> tuple[int, list[Got]]:
    """Take up to `most` messages; how many were taken, and those of them that are wanted."""
    taken, chosen = 0, []
    while taken < most and (got := channel.get(queue)) is not None:
        taken += 1
        if wanted is None or _id_of(got.properties, got.body) in wanted:
            chosen.append(got)
    return taken, chosen


def _id_of(properties: Any, body: bytes) -> str:
    """A handle that stays over looking: a letter's own, else a digest of what doesn't change."""
    headers = properties.headers or {}
    letter = headers.get(noted.LETTER)
    if isinstance(letter, str) and letter:
        return letter
    stable = (
        properties.message_id,
        properties.correlation_id,
        properties.timestamp,
        sorted(noted.as_texts(headers).items()),
        noted.read_counts({name: value for name, value in headers.items() if name != noted.COUNTED_BY_BROKER}),
    )
    return hashlib.sha256(repr(stable).encode() + body).hexdigest()[:24]
