"""A queue in this process's memory, correct and simple: what the `memory` backend keeps its messages in.

Every step has a method of its own, so that `memory_faults.py` can break exactly one. All methods want the lock
`changed` held by the caller, the backend. Reading it is a good start for an author: it is the contract in plain Python.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from awf_core.contract import DeadLetter, Delivery, ItemState, Nack, Outgoing, QueueItem, Remember, StateEntry, Stats
from awf_core.errors import BodyTooLarge, BrokerError, BrokerMisconfigured, Unroutable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAX_BODY_BYTES = 1 << 20
MAX_QUEUE_NAME = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Fits one handing-over of one entry."""

    entry_id: int
    deliveries: int


@dataclass(slots=True, kw_only=True)
class Entry:
    """A message. Times are epoch seconds; `due_at` is when it may be handed out, next or (while held) again."""

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
    letter: DeadLetter | None = None
    dead_at: float | None = None
    history: tuple[Mapping[str, object], ...] = ()


@dataclass(slots=True)
class Store:
    """All queues of one name. `lease_s`: how long a delivery stays with who took it."""

    lease_s: float
    entries: dict[int, Entry] = field(default_factory=dict)
    state: dict[str, tuple[str, float]] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    ids: count[int] = field(default_factory=lambda: count(1))
    now: Callable[[], float] = time.time

    def refused(self, message: Outgoing) -> BrokerError | None:
        """Why `message` can't be stored."""
        if len(message.body) > MAX_BODY_BYTES:
            return BodyTooLarge(f"memory: a body of {len(message.body)} bytes, over {MAX_BODY_BYTES}")
        if not 0 < len(message.queue) <= MAX_QUEUE_NAME:
            return Unroutable(f"memory: {message.queue[:80]!r} can't be the name of a queue")
        if message.priority is not None:
            return BrokerMisconfigured(f"memory: priority {message.priority} for {message.queue!r}: there is none")
        return None

    def put(self, message: Outgoing) -> None:
        """Store an accepted message."""
        now = self.now()
        entry = Entry(
            id=next(self.ids), queue=message.queue, message=message, created_at=now, due_at=now + message.delay_s
        )
        self.entries[entry.id] = entry

    def due(self, queue: str) -> list[Entry]:
        """What may be handed out now, in order."""
        now = self.now()
        found = [entry for entry in self.entries.values() if entry.queue == queue and entry.due_at <= now]
        return sorted(found, key=lambda entry: (entry.due_at, entry.id))

    def take(self, queue: str, limit: int) -> list[Delivery]:
        """Hand out up to `limit`, each leased."""
        return [self.hand_out(entry) for entry in self.due(queue)[:limit]]

    def hand_out(self, entry: Entry) -> Delivery:
        """One handing-over."""
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
        """The entry behind a receipt that still counts: the fence."""
        receipt = delivery.receipt
        entry = self.entries.get(receipt.entry_id) if isinstance(receipt, Receipt) else None
        fits = entry is not None and isinstance(receipt, Receipt) and entry.deliveries == receipt.deliveries
        return entry if fits and entry is not None and entry.is_held else None

    def answer(self, replies: Sequence[Outgoing]) -> None:
        """Publish what goes with a settlement."""
        for reply in replies:
            self.put(reply)

    def remove(self, entry: Entry) -> None:
        """The message is done."""
        del self.entries[entry.id]

    def remember(self, remember: Remember) -> None:
        """Write the state that goes with an ack."""
        self.write(StateEntry(key=remember.key, value=remember.value, ttl_s=remember.ttl_s))

    def give_back(self, entry: Entry, nack: Nack) -> None:
        """To be handed out again, no earlier than the delay."""
        entry.is_held = False
        entry.due_at = self.now() + nack.delay_s
        entry.attempt += nack.counted
        entry.released += not nack.counted

    def bury(self, entry: Entry, letter: DeadLetter) -> None:
        """Into the dead-letter queue, as a new entry that no old receipt fits."""
        now = self.now()
        self.remove(entry)
        buried = replace(
            entry,
            id=next(self.ids),
            queue=letter.queue,
            due_at=now,
            is_held=False,
            source=entry.queue,
            letter=letter,
            dead_at=now,
            history=(*entry.history, *letter.history),
        )
        self.entries[buried.id] = buried

    def extend(self, entry: Entry) -> None:
        """Renew a lease."""
        entry.due_at = self.now() + self.lease_s

    def stats(self, queue: str) -> Stats:
        """The counts of this moment."""
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
        """What nobody holds, oldest first."""
        now = self.now()
        return [e for e in self.entries.values() if e.queue == queue and not (e.is_held and e.due_at > now)]

    def look(self, queue: str) -> list[QueueItem]:
        """Every message, oldest first."""
        now = self.now()
        return [self.item(entry, now) for entry in self.entries.values() if entry.queue == queue]

    def item(self, entry: Entry, now: float) -> QueueItem:
        """An entry as it is shown."""
        letter, message = entry.letter, entry.message
        shown: dict[str, Any] = {"reason": letter.reason, "error": letter.error} if letter is not None else {}
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
        """To another queue, afresh; only the history stays."""
        self.remove(entry)
        self.put(replace(entry.message, queue=target, delay_s=0.0))
        self.entries[max(self.entries)].history = entry.history

    def write(self, entry: StateEntry) -> bool:
        """Write shared state; False where `if_absent` found a live value."""
        if entry.if_absent and self.read(entry.key) is not None:
            return False
        if entry.value is None:
            self.state.pop(entry.key, None)
        else:
            until = float("inf") if entry.ttl_s is None else self.now() + entry.ttl_s
            self.state[entry.key] = (entry.value, until)
        return True

    def read(self, key: str) -> str | None:
        """The live value of a key."""
        value, until = self.state.get(key, (None, 0.0))
        return value if until > self.now() else None


def _state(entry: Entry, now: float) -> ItemState:
    if entry.is_held and entry.due_at > now:
        return "in_flight"
    if entry.source is not None:
        return "dead"
    return "ready" if entry.due_at <= now else "delayed"
