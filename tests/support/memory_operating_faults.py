"""Faults of dead-lettering, browsing, moving, counting and shared state. See `memory_faults.py`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from memory_store import MAX_BODY_BYTES, Entry, Store

if TYPE_CHECKING:
    from awf_core.contract import DeadLetter, Outgoing, QueueItem, StateEntry, Stats


class DeadMessageWithoutBody(Store):
    """A dead-lettered message has lost its body."""

    def dead_letter(self, entry: Entry, dead_letter: DeadLetter) -> None:
        entry.message = replace(entry.message, body=b"{}")
        super().dead_letter(entry, dead_letter)


class DeadMessageWithoutReason(Store):
    """A dead-lettered message has no reason."""

    def dead_letter(self, entry: Entry, dead_letter: DeadLetter) -> None:
        super().dead_letter(entry, replace(dead_letter, reason="", error=""))


class DeadMessageWithoutSource(Store):
    """A dead-lettered message has no source queue."""

    def item(self, entry: Entry, now: float) -> QueueItem:
        return replace(super().item(entry, now), source=None)


class DeadMessageStays(Store):
    """A dead-lettered message is still in its work queue."""

    def dead_letter(self, entry: Entry, dead_letter: DeadLetter) -> None:
        message = entry.message
        super().dead_letter(entry, dead_letter)
        self.put(message)


class BrowseTakes(Store):
    """Browsing removes the messages."""

    def browse(self, queue: str) -> list[QueueItem]:
        items = super().browse(queue)
        for item in items:
            self.entries[int(item.id)].due_at = self.now() + 3600
            self.entries[int(item.id)].queue = f"{queue}-browsed"
        return items


class MoveLosesHistory(Store):
    """A replayed message has no history."""

    def move(self, entry: Entry, target: str) -> None:
        entry.history = ()
        super().move(entry, target)


class MoveKeepsAttempts(Store):
    """A replayed message keeps its attempts."""

    def move(self, entry: Entry, target: str) -> None:
        super().move(entry, target)
        self.entries[max(self.entries)].attempt = entry.attempt


class MoveCopies(Store):
    """A replayed message is still in the dead-letter queue."""

    def move(self, entry: Entry, target: str) -> None:
        super().move(entry, target)
        self.entries[entry.id] = entry


class PurgeTakesHeld(Store):
    """A purge removes messages that a consumer holds."""

    def free(self, queue: str) -> list[Entry]:
        return self.of_queue(queue)


class StatsLie(Store):
    """Leased messages count as ready."""

    def stats(self, queue: str) -> Stats:
        stats = super().stats(queue)
        return replace(stats, ready=(stats.ready or 0) + (stats.in_flight or 0), in_flight=0)


class AgeLies(Store):
    """The oldest message is as old as the epoch."""

    def stats(self, queue: str) -> Stats:
        stats = super().stats(queue)
        return replace(stats, oldest_age_s=None if stats.oldest_age_s is None else self.now())


class KeepEverything(Store):
    """Acked messages stay in the store."""

    def remove(self, entry: Entry) -> None:
        entry.queue = "done"


class OverstateMaxBody(Store):
    """A body that `max_body_bytes` allows is cut short."""

    def put(self, message: Outgoing) -> None:
        super().put(replace(message, body=message.body[: MAX_BODY_BYTES // 2]))


class StateOverwrites(Store):
    """`if_absent` overwrites a live value."""

    def write(self, entry: StateEntry) -> bool:
        return super().write(replace(entry, if_absent=False))


class StateForever(Store):
    """Shared state never expires."""

    def read(self, key: str) -> str | None:
        return self.state.get(key, (None, 0.0))[0]
