"""Ways for a queue to be wrong, each breaking one promise and no other. Used by the kit's own tests.

A fault overrides one step of `Store`, or shuts one of the backend's `Doors`. Its docstring says what a user would see.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from awf_core.testing import memory_keeping_faults as keeping
from awf_core.testing.memory_store import Entry, Receipt, Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import Delivery, Nack, Outgoing

EVERY = 3
LATE_S = 2.0


class Doors:
    """What of the backend itself can be broken."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.hears_close = "deaf_to_close" not in faults
        self.hears_interrupt = "deaf_to_interrupt" not in faults
        self.sleeps = "spin" not in faults
        self.admits_losses = "extend_lies" not in faults
        self._leaks = "leak_files" in faults
        self._leaked: list[int] = []

    def opened(self) -> None:
        """A connection was made; a leaking one is never let go."""
        if self._leaks:
            self._leaked.append(os.open(os.devnull, os.O_RDONLY))


class Drop(Store):
    """Every third accepted message is nowhere."""

    def put(self, message: Outgoing) -> None:
        if next(self.ids) % EVERY:
            super().put(message)


class Duplicate(Store):
    """Every message is there twice."""

    def put(self, message: Outgoing) -> None:
        super().put(message)
        super().put(message)


class Delay(Store):
    """A message is seen seconds after it came."""

    def put(self, message: Outgoing) -> None:
        super().put(replace(message, delay_s=message.delay_s + LATE_S))


class Reorder(Store):
    """The last comes first."""

    def due(self, queue: str) -> list[Entry]:
        return super().due(queue)[::-1]


class HeadOfLine(Store):
    """A message that failed goes before all others, for ever."""

    def due(self, queue: str) -> list[Entry]:
        return sorted(super().due(queue), key=lambda entry: -entry.attempt)[:1]


class ForgetFencing(Store):
    """Whoever once held a message can settle it."""

    def held(self, delivery: Delivery) -> Entry | None:
        receipt = delivery.receipt
        return self.entries.get(receipt.entry_id) if isinstance(receipt, Receipt) else None


class TrustStrangers(Store):
    """A receipt that was never given settles something."""

    def held(self, delivery: Delivery) -> Entry | None:
        if isinstance(delivery.receipt, Receipt):
            return super().held(delivery)
        return next((entry for entry in self.entries.values() if entry.is_held), None)


class AckWithoutReply(Store):
    """The message is done, the answer nowhere."""

    def answer(self, replies: Sequence[Outgoing]) -> None:
        pass


class AckAllBefore(Store):
    """An ack ends earlier deliveries too."""

    def remove(self, entry: Entry) -> None:
        for other in list(self.entries.values()):
            if other.queue == entry.queue and other.id <= entry.id and other.is_held:
                super().remove(other)
        self.entries.pop(entry.id, None)


class AckForgets(Store):
    """What was acked comes again."""

    def remove(self, entry: Entry) -> None:
        entry.is_held = False
        entry.due_at = self.now()


class CountReleases(Store):
    """Giving back costs an attempt."""

    def give_back(self, entry: Entry, nack: Nack) -> None:
        super().give_back(entry, replace(nack, counted=True))


class CountNothing(Store):
    """A failure costs no attempt."""

    def give_back(self, entry: Entry, nack: Nack) -> None:
        super().give_back(entry, replace(nack, counted=False))


class CountNoCrash(Store):
    """A delivery that ended without a word is not counted."""

    def hand_out(self, entry: Entry) -> Delivery:
        entry.deliveries -= entry.is_held
        return super().hand_out(entry)


class NackImmediately(Store):
    """A retry comes at once, whatever its delay."""

    def give_back(self, entry: Entry, nack: Nack) -> None:
        super().give_back(entry, replace(nack, delay_s=0.0))


class PublishImmediately(Store):
    """A message that should wait doesn't."""

    def put(self, message: Outgoing) -> None:
        super().put(replace(message, delay_s=0.0))


class LoseHeaders(Store):
    """Headers are gone."""

    def put(self, message: Outgoing) -> None:
        super().put(replace(message, headers={}))


class LoseCorrelation(Store):
    """A reply can't be matched to its request."""

    def put(self, message: Outgoing) -> None:
        super().put(replace(message, correlation_id=None))


class TextBodies(Store):
    """Bytes that are no text come out changed."""

    def put(self, message: Outgoing) -> None:
        super().put(replace(message, body=message.body.decode(errors="replace").strip().encode()))


class ChangeIds(Store):
    """A message has another id every time."""

    def hand_out(self, entry: Entry) -> Delivery:
        return replace(super().hand_out(entry), id=f"memory-{entry.id}-{entry.deliveries}")


class SharedQueues(Store):
    """All queues are one."""

    def due(self, queue: str) -> list[Entry]:  # noqa: ARG002 - that is the fault
        names = sorted({entry.queue for entry in self.entries.values()})
        return [entry for name in names for entry in Store.due(self, name)]


class TwoOwners(Store):
    """What one holds, others are given."""

    def hand_out(self, entry: Entry) -> Delivery:
        delivery = super().hand_out(entry)
        entry.due_at = self.now()
        return delivery


class IgnoreLimit(Store):
    """A consumer gets more than it asked for."""

    def take(self, queue: str, limit: int) -> list[Delivery]:
        return super().take(queue, limit + 1)


class ExtendForgets(Store):
    """Extending changes nothing."""

    def extend(self, entry: Entry) -> None:
        pass


class ShortLease(Store):
    """A lease ends early."""

    def hand_out(self, entry: Entry) -> Delivery:
        delivery = super().hand_out(entry)
        # By far, so that a busy machine doesn't hide it from the case that looks for it.
        entry.due_at -= self.lease_s * 0.9
        return delivery


class NeverRedeliver(Store):
    """What a dead process held is held for ever."""

    def hand_out(self, entry: Entry) -> Delivery:
        delivery = super().hand_out(entry)
        entry.due_at = self.now() + 3600
        return delivery


FAULTS: dict[str, type[Store] | None] = {
    "drop": Drop,
    "duplicate": Duplicate,
    "delay": Delay,
    "reorder": Reorder,
    "head_of_line": HeadOfLine,
    "forget_fencing": ForgetFencing,
    "trust_strangers": TrustStrangers,
    "ack_without_reply": AckWithoutReply,
    "ack_all_before": AckAllBefore,
    "ack_forgets": AckForgets,
    "count_releases": CountReleases,
    "count_nothing": CountNothing,
    "count_no_crash": CountNoCrash,
    "nack_immediately": NackImmediately,
    "publish_immediately": PublishImmediately,
    "lose_headers": LoseHeaders,
    "lose_correlation": LoseCorrelation,
    "text_bodies": TextBodies,
    "change_ids": ChangeIds,
    "shared_queues": SharedQueues,
    "two_owners": TwoOwners,
    "ignore_limit": IgnoreLimit,
    "extend_forgets": ExtendForgets,
    "short_lease": ShortLease,
    "never_redeliver": NeverRedeliver,
    "letter_without_body": keeping.LetterWithoutBody,
    "letter_without_reason": keeping.LetterWithoutReason,
    "letter_without_source": keeping.LetterWithoutSource,
    "letter_stays": keeping.LetterStays,
    "browse_takes": keeping.BrowseTakes,
    "move_loses_history": keeping.MoveLosesHistory,
    "move_keeps_attempts": keeping.MoveKeepsAttempts,
    "move_copies": keeping.MoveCopies,
    "purge_takes_held": keeping.PurgeTakesHeld,
    "stats_lie": keeping.StatsLie,
    "age_lies": keeping.AgeLies,
    "keep_everything": keeping.KeepEverything,
    "accept_oversize": keeping.AcceptOversize,
    "ignore_priority": keeping.IgnorePriority,
    "state_overwrites": keeping.StateOverwrites,
    "state_forever": keeping.StateForever,
    "deaf_to_close": None,
    "deaf_to_interrupt": None,
    "spin": None,
    "extend_lies": None,
    "leak_files": None,
}
"""Every fault by name; None = one of the backend's `Doors`."""


def broken(faults: Sequence[str]) -> type[Store]:
    """A store with these faults; the plain one without any."""
    classes = [FAULTS[name] for name in faults]
    bases = tuple(each for each in classes if each is not None)
    return type("BrokenStore", (*bases, Store), {}) if bases else Store
