"""Faults of a queue. Each breaks one guarantee. The tests of the kit show that a case finds each of them.

A fault overrides one step of `Store`, or is a switch in `Switches`. Its docstring says what a user sees.
"""

from __future__ import annotations

import os
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING

import memory_in_hand_faults as in_hand
import memory_operating_faults as operating
from memory_store import Claimant, Entry, Receipt, Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import Delivery, Nack, Outgoing
    from awf_core.errors import BrokerError

EVERY = 3
HANG = "hang"
LATE_S = 2.0


class Switches:
    """The faults that are in the backend itself."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.hears_close = "deaf_to_close" not in faults
        self.hears_interrupt = "deaf_to_interrupt" not in faults
        self.sleeps = "spin" not in faults
        self._admits_losses = "extend_lies" not in faults
        self._loses_all = "extend_all_or_nothing" in faults
        self._leaks = "leak_files" in faults
        self._hangs = HANG in faults
        self._leaked: list[int] = []

    def opened(self) -> None:
        """A connection was opened; with `leak_files` its file is never closed."""
        if self._leaks:
            self._leaked.append(os.open(os.devnull, os.O_RDONLY))

    def publishing(self) -> None:
        """With `hang` a publish does not return."""
        if self._hangs:
            Event().wait()

    def extended(self, answers: list[BrokerError | None]) -> list[BrokerError | None]:
        """What an extend answers."""
        losses = [answer for answer in answers if answer is not None]
        if losses and self._loses_all:
            return losses[:1] * len(answers)
        return answers if self._admits_losses else [None] * len(answers)


class Drop(Store):
    """Every third accepted message is lost."""

    def put(self, message: Outgoing) -> None:
        if next(self.ids) % EVERY:
            super().put(message)


class Duplicate(Store):
    """Every message is stored twice."""

    def put(self, message: Outgoing) -> None:
        super().put(message)
        super().put(message)


class Delay(Store):
    """A message can be consumed only seconds after it was published."""

    def put(self, message: Outgoing) -> None:
        super().put(replace(message, delay_s=message.delay_s + LATE_S))


class Reorder(Store):
    """The newest message is delivered first."""

    def due(self, queue: str) -> list[Entry]:
        return super().due(queue)[::-1]


class HeadOfLine(Store):
    """A message that failed is always delivered before all others."""

    def due(self, queue: str) -> list[Entry]:
        return sorted(super().due(queue), key=lambda entry: -entry.attempt)[:1]


class ForgetFencing(Store):
    """A consumer that lost its lease can still settle the message."""

    def held(self, delivery: Delivery) -> Entry | None:
        receipt = delivery.receipt
        return self.entries.get(receipt.entry_id) if isinstance(receipt, Receipt) else None


class AcceptForgedReceipts(Store):
    """A receipt that the backend never issued settles a message."""

    def held(self, delivery: Delivery) -> Entry | None:
        if isinstance(delivery.receipt, Receipt):
            return super().held(delivery)
        return next((entry for entry in self.entries.values() if entry.is_held), None)


class AckWithoutReply(Store):
    """The message is acked and its reply is lost."""

    def answer(self, replies: Sequence[Outgoing], ttl_s: float) -> None:
        pass


class AnswerAnyQueue(Store):
    """A reply may feed a queue whose messages are run."""

    def is_for_replies(self, queue: str) -> bool:
        return True


class AnswerDeadLetterQueue(Store):
    """A reply may go to a dead-letter queue."""

    def is_for_replies(self, queue: str) -> bool:
        return self.roles.get(queue) != "work"


class AckAllBefore(Store):
    """An ack also acks earlier deliveries."""

    def remove(self, entry: Entry) -> None:
        for other in list(self.entries.values()):
            if other.queue == entry.queue and other.id <= entry.id and other.is_held:
                super().remove(other)
        self.entries.pop(entry.id, None)


class AckForgets(Store):
    """An acked message is redelivered."""

    def remove(self, entry: Entry) -> None:
        entry.owner = None
        entry.due_at = self.now()


class CountReleases(Store):
    """A release counts as an attempt."""

    def release(self, entry: Entry, nack: Nack) -> None:
        super().release(entry, replace(nack, counted=True))


class CountNothing(Store):
    """A failure does not count as an attempt."""

    def release(self, entry: Entry, nack: Nack) -> None:
        super().release(entry, replace(nack, counted=False))


class CountNoCrash(Store):
    """A delivery that ended in a crash is not counted."""

    def deliver(self, entry: Entry, claimant: Claimant) -> Delivery:
        entry.deliveries -= entry.is_held
        return super().deliver(entry, claimant)


class NackImmediately(Store):
    """A retry ignores its delay."""

    def release(self, entry: Entry, nack: Nack) -> None:
        super().release(entry, replace(nack, delay_s=0.0))


class PublishImmediately(Store):
    """A publish ignores its delay."""

    def put(self, message: Outgoing) -> None:
        super().put(replace(message, delay_s=0.0))


class LoseHeaders(Store):
    """Headers are lost."""

    def put(self, message: Outgoing) -> None:
        super().put(replace(message, headers={}))


class LoseCorrelation(Store):
    """A reply can't be matched to its request."""

    def put(self, message: Outgoing) -> None:
        super().put(replace(message, correlation_id=None))


class TextBodies(Store):
    """A body that is not text is changed."""

    def put(self, message: Outgoing) -> None:
        super().put(replace(message, body=message.body.decode(errors="replace").strip().encode()))


class ChangeIds(Store):
    """Each delivery has another message id."""

    def deliver(self, entry: Entry, claimant: Claimant) -> Delivery:
        return replace(super().deliver(entry, claimant), id=f"memory-{entry.id}-{entry.deliveries}")


class SharedQueues(Store):
    """All queues are one."""

    def due(self, queue: str) -> list[Entry]:
        names = sorted({entry.queue for entry in self.entries.values()})
        return [entry for name in names for entry in Store.due(self, name)]


class TwoOwners(Store):
    """A held message is delivered to other consumers too."""

    def deliver(self, entry: Entry, claimant: Claimant) -> Delivery:
        delivery = super().deliver(entry, claimant)
        entry.due_at = self.now()
        return delivery


class IgnoreLimit(Store):
    """A consumer gets more deliveries than its limit."""

    def take(self, queue: str, limit: int, claimant: Claimant) -> list[Delivery]:
        return super().take(queue, limit + 1, claimant)


class ExtendForgets(Store):
    """Extending changes nothing."""

    def extend(self, entry: Entry) -> None:
        pass


class ShortLease(Store):
    """A lease ends too early."""

    def deliver(self, entry: Entry, claimant: Claimant) -> Delivery:
        delivery = super().deliver(entry, claimant)
        # Much too early, so that the case finds it on a busy machine too.
        entry.due_at -= self.lease_s * 0.9
        return delivery


class NeverRedeliver(Store):
    """A message that a dead process held is never redelivered."""

    def deliver(self, entry: Entry, claimant: Claimant) -> Delivery:
        delivery = super().deliver(entry, claimant)
        entry.due_at = self.now() + 3600
        return delivery


FAULTS: dict[str, type[Store] | None] = {
    "drop": Drop,
    "duplicate": Duplicate,
    "delay": Delay,
    "reorder": Reorder,
    "head_of_line": HeadOfLine,
    "forget_fencing": ForgetFencing,
    "accept_forged_receipts": AcceptForgedReceipts,
    "ack_without_reply": AckWithoutReply,
    "answer_any_queue": AnswerAnyQueue,
    "answer_dead_letter_queue": AnswerDeadLetterQueue,
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
    "dead_message_without_body": operating.DeadMessageWithoutBody,
    "dead_message_without_reason": operating.DeadMessageWithoutReason,
    "dead_message_without_source": operating.DeadMessageWithoutSource,
    "dead_message_stays": operating.DeadMessageStays,
    "browse_takes": operating.BrowseTakes,
    "move_loses_history": operating.MoveLosesHistory,
    "move_keeps_attempts": operating.MoveKeepsAttempts,
    "move_copies": operating.MoveCopies,
    "purge_takes_held": operating.PurgeTakesHeld,
    "stats_lie": operating.StatsLie,
    "age_lies": operating.AgeLies,
    "keep_everything": operating.KeepEverything,
    "overstate_max_body": operating.OverstateMaxBody,
    "state_overwrites": operating.StateOverwrites,
    "state_forever": operating.StateForever,
    **in_hand.FAULTS,
    "deaf_to_close": None,
    "deaf_to_interrupt": None,
    "spin": None,
    "extend_lies": None,
    "extend_all_or_nothing": None,
    "leak_files": None,
    HANG: None,
}
"""Every fault by name; None = a switch in `Switches`."""


def broken(faults: Sequence[str]) -> type[Store]:
    """A store class with these faults."""
    classes = [FAULTS[name] for name in faults]
    bases = tuple(each for each in classes if each is not None)
    return type("BrokenStore", (*bases, Store), {}) if bases else Store
