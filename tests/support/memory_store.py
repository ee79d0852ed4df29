"""The messages of the `memory` backend, kept correctly and simply.

Each step is a method of its own, so that a fault overrides exactly one. The caller holds the lock `changed`.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from awf_core.contract import DeadLetter, Delivery, ItemState, Nack, Outgoing, QueueItem, Remember, StateEntry, Stats

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAX_BODY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Names one delivery of one entry."""

    entry_id: int
    deliveries: int


@dataclass(slots=True, kw_only=True)
class Entry:
    """A message. Times are epoch seconds. `due_at` is when it may be delivered; for a held one, when its lease ends."""

    id: int
    queue: str
    message: Outgoing
    created_at: float
    due_at: float
    is_held: bool = False
    attempt: int = 1
    deliveries: int = 0
    released: int = 0
    first_seen_at: float | None = None
    source: str | None = None
    dead_letter: DeadLetter | None = None
    dead_at: float | None = None
    history: tuple[Mapping[str, object], ...] = ()


@dataclass(slots=True)
class Store:
    """All queues of one name."""

    lease_s: float
    entries: dict[int, Entry] = field(default_factory=dict)
    state: dict[str, tuple[str, float]] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    ids: count[int] = field(default_factory=lambda: count(1))
    now: Callable[[], float] = time.time

    def put(self, message: Outgoing) -> None:
        now = self.now()
        entry = Entry(
            id=next(self.ids), queue=message.queue, message=message, created_at=now, due_at=now + message.delay_s
        )
        self.entries[entry.id] = entry

    def due(self, queue: str) -> list[Entry]:
        now = self.now()
        found = [entry for entry in self.entries.values() if entry.queue == queue and entry.due_at <= now]
        return sorted(found, key=lambda entry: (entry.due_at, entry.id))

    def take(self, queue: str, limit: int) -> list[Delivery]:
        return [self.deliver(entry) for entry in self.due(queue)[:limit]]

    def deliver(self, entry: Entry) -> Delivery:
        now = self.now()
        entry.is_held = True
        entry.deliveries += 1
        entry.due_at = now + self.lease_s
        entry.first_seen_at = entry.first_seen_at or now
        message = entry.message
        return Delivery(
            queue=entry.queue,
            body=message.body,
            receipt=Receipt(entry_id=entry.id, deliveries=entry.deliveries),
            attempt=entry.attempt,
            deliveries=entry.deliveries,
            released=entry.released,
            id=message.id or f"memory-{entry.id}",
            reply_to=message.reply_to,
            correlation_id=message.correlation_id,
            headers=message.headers,
            first_seen_at=entry.first_seen_at,
            lease_until=time.monotonic() + self.lease_s,
        )

    def held(self, delivery: Delivery) -> Entry | None:
        """The entry of a receipt that is still valid: the fence."""
        receipt = delivery.receipt
        entry = self.entries.get(receipt.entry_id) if isinstance(receipt, Receipt) else None
        fits = entry is not None and isinstance(receipt, Receipt) and entry.deliveries == receipt.deliveries
        return entry if fits and entry is not None and entry.is_held else None

    def answer(self, replies: Sequence[Outgoing]) -> None:
        for reply in replies:
            self.put(reply)

    def remove(self, entry: Entry) -> None:
        del self.entries[entry.id]

    def remember(self, remember: Remember) -> None:
        self.write(StateEntry(key=remember.key, value=remember.value, ttl_s=remember.ttl_s))

    def release(self, entry: Entry, nack: Nack) -> None:
        entry.is_held = False
        entry.due_at = self.now() + nack.delay_s
        entry.attempt += nack.counted
        entry.released += not nack.counted

    def dead_letter(self, entry: Entry, dead_letter: DeadLetter) -> None:
        """Add a new entry to the dead-letter queue: no old receipt is valid for it."""
        now = self.now()
        self.remove(entry)
        moved = replace(
            entry,
            id=next(self.ids),
            queue=dead_letter.queue,
            due_at=now,
            is_held=False,
            source=entry.queue,
            dead_letter=dead_letter,
            dead_at=now,
            history=(*entry.history, *dead_letter.history),
        )
        self.entries[moved.id] = moved

    def extend(self, entry: Entry) -> None:
        entry.due_at = self.now() + self.lease_s

    def stats(self, queue: str) -> Stats:
        now = self.now()
        mine = [entry for entry in self.entries.values() if entry.queue == queue]
        ready = [entry for entry in mine if entry.due_at <= now]
        held = sum(entry.is_held for entry in mine if entry.due_at > now)
        return Stats(
            ready=len(ready),
            delayed=len(mine) - len(ready) - held,
            in_flight=held,
            dead=sum(entry.source == queue for entry in self.entries.values()),
            oldest_age_s=max((now - entry.created_at for entry in ready), default=None),
        )

    def free(self, queue: str) -> list[Entry]:
        """The entries no consumer holds, oldest first."""
        now = self.now()
        return [e for e in self.entries.values() if e.queue == queue and not (e.is_held and e.due_at > now)]

    def browse(self, queue: str) -> list[QueueItem]:
        now = self.now()
        return [self.item(entry, now) for entry in self.entries.values() if entry.queue == queue]

    def item(self, entry: Entry, now: float) -> QueueItem:
        message, dead = entry.message, entry.dead_letter
        shown: dict[str, Any] = {"reason": dead.reason, "error": dead.error} if dead is not None else {}
        return QueueItem(
            id=str(entry.id),
            body=message.body,
            state=_state(entry, now),
            message_id=message.id,
            attempt=entry.attempt,
            deliveries=entry.deliveries,
            reply_to=message.reply_to,
            correlation_id=message.correlation_id,
            headers=message.headers,
            enqueued_at=entry.created_at,
            due_at=entry.due_at,
            source=entry.source,
            history=entry.history,
            dead_at=entry.dead_at,
            **shown,
        )

    def move(self, entry: Entry, target: str) -> None:
        """Publish it anew to another queue; only the history stays."""
        self.remove(entry)
        self.put(replace(entry.message, queue=target, delay_s=0.0))
        self.entries[max(self.entries)].history = entry.history

    def write(self, entry: StateEntry) -> bool:
        if entry.if_absent and self.read(entry.key) is not None:
            return False
        if entry.value is None:
            self.state.pop(entry.key, None)
        else:
            until = float("inf") if entry.ttl_s is None else self.now() + entry.ttl_s
            self.state[entry.key] = (entry.value, until)
        return True

    def read(self, key: str) -> str | None:
        value, until = self.state.get(key, (None, 0.0))
        return value if until > self.now() else None


def _state(entry: Entry, now: float) -> ItemState:
    if entry.is_held and entry.due_at > now:
        return "in_flight"
    if entry.source is not None:
        return "dead"
    return "ready" if entry.due_at <= now else "delayed"
