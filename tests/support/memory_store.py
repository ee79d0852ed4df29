"""The messages of the `memory` backend, kept correctly and simply.

Each step is a method of its own, so that a fault overrides exactly one. The caller holds the lock `changed`. Times are
by the store's own clock, which no step of a wall clock moves.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from awf_core.contract import (
    DeadLetter,
    Delivery,
    ItemState,
    Nack,
    Outgoing,
    QueueItem,
    Remember,
    Role,
    StateEntry,
    Stats,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAX_BODY_BYTES = 1 << 20
MAX_DELAY_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Names one delivery of one entry."""

    entry_id: int
    deliveries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """One process that claims. `wall_clock` is only for a fault: a correct queue compares no two clocks."""

    owner: str
    max_body_bytes: int | None = None
    wall_clock: Callable[[], float] = time.time


@dataclass(slots=True, kw_only=True)
class Entry:
    """A message. Times are seconds of the store's clock. `due_at` is when it may be delivered; for a held one, when its
    lease ends. `crashed`: the deliveries whose owner died. `owner`: who claimed it last and has not settled it.
    """

    id: int
    queue: str
    message: Outgoing
    created_at: float
    due_at: float
    expires_at: float = float("inf")
    owner: str | None = None
    attempt: int = 1
    deliveries: int = 0
    crashed: frozenset[int] = frozenset()
    first_seen_at: float | None = None
    source: str | None = None
    dead_letter: DeadLetter | None = None
    dead_at: float | None = None
    history: tuple[Mapping[str, object], ...] = ()

    @property
    def is_held(self) -> bool:
        """Whether a delivery of it was not settled; its lease may have ended."""
        return self.owner is not None


@dataclass(slots=True)
class Store:
    """All queues of one name."""

    lease_s: float
    entries: dict[int, Entry] = field(default_factory=dict)
    state: dict[str, tuple[str, float]] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    ids: count[int] = field(default_factory=lambda: count(1))
    now: Callable[[], float] = time.monotonic

    def put(self, message: Outgoing) -> None:
        now = self.now()
        entry = Entry(
            id=next(self.ids),
            queue=message.queue,
            message=message,
            created_at=now,
            due_at=now + message.delay_s,
            expires_at=float("inf") if message.expires_s is None else now + message.expires_s,
        )
        self.entries[entry.id] = entry

    def of_queue(self, queue: str) -> list[Entry]:
        """The messages that have not expired, or that a consumer has."""
        now = self.now()
        mine = (entry for entry in self.entries.values() if entry.queue == queue)
        return [entry for entry in mine if entry.expires_at > now or (entry.is_held and entry.due_at > now)]

    def due(self, queue: str) -> list[Entry]:
        """What may be delivered: of each group only its oldest message."""
        now = self.now()
        heads: dict[object, Entry] = {}
        for entry in self.of_queue(queue):
            heads.setdefault(entry.id if entry.message.group is None else entry.message.group, entry)
        found = [entry for entry in heads.values() if entry.due_at <= now]
        return sorted(found, key=lambda entry: (entry.due_at, entry.id))

    def take(self, queue: str, limit: int, claimant: Claimant) -> list[Delivery]:
        return [self.deliver(entry, claimant) for entry in self.due(queue)[:limit]]

    def deliver(self, entry: Entry, claimant: Claimant) -> Delivery:
        now = self.now()
        self.note_crash(entry, claimant.owner)
        entry.owner = claimant.owner
        entry.deliveries += 1
        entry.due_at = now + self.lease_s
        entry.first_seen_at = now if entry.first_seen_at is None else entry.first_seen_at
        message, limit = entry.message, claimant.max_body_bytes
        is_stub = limit is not None and len(message.body) > limit
        return Delivery(
            queue=entry.queue,
            body=b"" if is_stub else message.body,
            receipt=Receipt(entry_id=entry.id, deliveries=entry.deliveries),
            attempt=entry.attempt,
            deliveries=entry.deliveries,
            crashes=len(entry.crashed),
            body_bytes=len(message.body),
            id=f"memory-{entry.id}",
            message_id=message.id,
            reply_to=message.reply_to,
            correlation_id=message.correlation_id,
            headers=message.headers,
            history=entry.history,
            age_s=now - entry.first_seen_at,
            lease_until=now + self.lease_s,
            expires_in_s=None if entry.expires_at == float("inf") else entry.expires_at - now,
            group=message.group,
        )

    def note_crash(self, entry: Entry, claims: str) -> None:
        """The lease of another owner ended: its delivery was a crash, as far as this queue can know."""
        if entry.owner not in (None, claims):
            entry.crashed |= {entry.deliveries}

    def take_back(self, receipt: object) -> None:
        """The owner of a lost delivery asked for it, so it lives: its delivery was no crash."""
        if isinstance(receipt, Receipt) and receipt.entry_id in self.entries:
            self.entries[receipt.entry_id].crashed -= {receipt.deliveries}

    def held(self, delivery: Delivery) -> Entry | None:
        """The entry of a receipt that is still valid: the fence."""
        receipt = delivery.receipt
        entry = self.entries.get(receipt.entry_id) if isinstance(receipt, Receipt) else None
        fits = entry is not None and isinstance(receipt, Receipt) and entry.deliveries == receipt.deliveries
        return entry if fits and entry is not None and entry.is_held else None

    def held_by_extend(self, delivery: Delivery) -> Entry | None:
        """The same, for an extend."""
        return self.held(delivery)

    def answer(self, replies: Sequence[Outgoing], ttl_s: float) -> None:
        for reply in replies:
            self.put(replace(reply, expires_s=ttl_s if reply.expires_s is None else reply.expires_s))

    def is_for_replies(self, queue: str) -> bool:
        """Whether a reply may go there: not where messages are run or dead-lettered."""
        return self.roles.get(queue, "reply") == "reply"

    def remove(self, entry: Entry) -> None:
        del self.entries[entry.id]

    def remember(self, remember: Remember) -> None:
        self.write(StateEntry(key=remember.key, value=remember.value, ttl_s=remember.ttl_s))

    def release(self, entry: Entry, nack: Nack) -> None:
        entry.owner = None
        entry.due_at = self.now() + nack.delay_s
        entry.attempt += nack.counted
        entry.history = tuple(nack.history)

    def dead_letter(self, entry: Entry, dead_letter: DeadLetter) -> None:
        """Add a new entry to the dead-letter queue: no old receipt is valid for it."""
        now = self.now()
        self.remove(entry)
        moved = replace(
            entry,
            id=next(self.ids),
            queue=dead_letter.queue,
            due_at=now,
            owner=None,
            expires_at=float("inf"),
            source=entry.queue,
            dead_letter=dead_letter,
            dead_at=now,
            history=tuple(dead_letter.history),
        )
        self.entries[moved.id] = moved

    def extend(self, entry: Entry) -> None:
        entry.due_at = self.now() + self.lease_s

    def stats(self, queue: str) -> Stats:
        now = self.now()
        mine = self.of_queue(queue)
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
        return [entry for entry in self.of_queue(queue) if not (entry.is_held and entry.due_at > now)]

    def browse(self, queue: str) -> list[QueueItem]:
        now = self.now()
        return [self.item(entry, now) for entry in self.of_queue(queue)]

    def item(self, entry: Entry, now: float) -> QueueItem:
        message, dead, epoch_s = entry.message, entry.dead_letter, time.time() - now
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
            enqueued_at=epoch_s + entry.created_at,
            due_at=epoch_s + entry.due_at,
            source=entry.source,
            history=entry.history,
            dead_at=None if entry.dead_at is None else epoch_s + entry.dead_at,
            **shown,
        )

    def move(self, entry: Entry, target: str) -> None:
        """Publish it anew to another queue; only the history stays."""
        self.remove(entry)
        left_s = None if entry.expires_at == float("inf") else entry.expires_at - self.now()
        self.put(replace(entry.message, queue=target, delay_s=0.0, expires_s=left_s))
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
