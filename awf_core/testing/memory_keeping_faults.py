"""Ways for the rest of a queue to be wrong: letters, looking, moving, counting, state. See `memory_faults.py`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from awf_core.testing.memory_store import Entry, Store

if TYPE_CHECKING:
    from awf_core.contract import DeadLetter, Outgoing, QueueItem, StateEntry, Stats
    from awf_core.errors import BrokerError


class LetterWithoutBody(Store):
    """A dead letter has lost what it was about."""

    def bury(self, entry: Entry, letter: DeadLetter) -> None:
        entry.message = replace(entry.message, body=b"{}")
        super().bury(entry, letter)


class LetterWithoutReason(Store):
    """A dead letter doesn't say why."""

    def bury(self, entry: Entry, letter: DeadLetter) -> None:
        super().bury(entry, replace(letter, reason="", error=""))


class LetterWithoutSource(Store):
    """A dead letter doesn't say where it came from."""

    def item(self, entry: Entry, now: float) -> QueueItem:
        return replace(super().item(entry, now), source=None)


class LetterStays(Store):
    """A dead letter is still in its queue."""

    def bury(self, entry: Entry, letter: DeadLetter) -> None:
        message = entry.message
        super().bury(entry, letter)
        self.put(message)


class BrowseTakes(Store):
    """Looking takes the messages away."""

    def look(self, queue: str) -> list[QueueItem]:
        items = super().look(queue)
        for item in items:
            self.entries[int(item.id)].due_at = self.now() + 3600
            self.entries[int(item.id)].queue = f"{queue}-looked-at"
        return items


class MoveLosesHistory(Store):
    """A replayed letter has no past."""

    def move(self, entry: Entry, target: str) -> None:
        entry.history = ()
        super().move(entry, target)


class MoveKeepsAttempts(Store):
    """A replayed letter has used up its attempts."""

    def move(self, entry: Entry, target: str) -> None:
        super().move(entry, target)
        self.entries[max(self.entries)].attempt = entry.attempt


class MoveCopies(Store):
    """A replayed letter is still dead too."""

    def move(self, entry: Entry, target: str) -> None:
        super().move(entry, target)
        self.entries[entry.id] = entry


class PurgeTakesHeld(Store):
    """A purge removes what is being worked on."""

    def free(self, queue: str) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.queue == queue]


class StatsLie(Store):
    """Held messages count as ready."""

    def stats(self, queue: str) -> Stats:
        told = super().stats(queue)
        return replace(told, ready=(told.ready or 0) + (told.in_flight or 0), in_flight=0)


class AgeLies(Store):
    """The oldest message is as old as the epoch."""

    def stats(self, queue: str) -> Stats:
        told = super().stats(queue)
        return replace(told, oldest_age_s=None if told.oldest_age_s is None else self.now())


class KeepEverything(Store):
    """Done messages stay in the store for ever."""

    def remove(self, entry: Entry) -> None:
        entry.queue = "done"


class AcceptOversize(Store):
    """A body over the limit is taken."""

    def refused(self, message: Outgoing) -> BrokerError | None:
        return super().refused(replace(message, body=b""))


class IgnorePriority(Store):
    """A priority is dropped without a word."""

    def refused(self, message: Outgoing) -> BrokerError | None:
        return super().refused(replace(message, priority=None))


class StateOverwrites(Store):
    """Two writers both win."""

    def write(self, entry: StateEntry) -> bool:
        return super().write(replace(entry, if_absent=False))


class StateForever(Store):
    """Shared state never expires."""

    def read(self, key: str) -> str | None:
        return self.state.get(key, (None, 0.0))[0]
