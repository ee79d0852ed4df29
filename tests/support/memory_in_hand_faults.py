"""Faults of what a consumer has in hand: receipts, evidence of crashes, ages, groups, large bodies. See `memory_faults.py`."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from memory_store import Claimant, Entry, Receipt, Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import DeadLetter, Delivery, Nack, Outgoing

KEPT_DELAY_S = 60.0


class ShareReceipts(Store):
    """The deliveries of a message have one receipt."""

    def deliver(self, entry: Entry, claimant: Claimant) -> Delivery:
        return replace(super().deliver(entry, claimant), receipt=Receipt(entry_id=entry.id, deliveries=0))

    def held(self, delivery: Delivery) -> Entry | None:
        receipt = delivery.receipt
        return self.entries.get(receipt.entry_id) if isinstance(receipt, Receipt) else None


class UnhashableReceipt(Receipt):
    """A receipt that can't be a key."""

    __hash__ = None  # type: ignore[assignment]


class UnhashableReceipts(Store):
    """A receipt can't be a key."""

    def deliver(self, entry: Entry, claimant: Claimant) -> Delivery:
        delivery = super().deliver(entry, claimant)
        return replace(delivery, receipt=UnhashableReceipt(entry_id=entry.id, deliveries=entry.deliveries))


class ExtendByObject(Store):
    """An extend knows only the object that was delivered."""

    def deliver(self, entry: Entry, claimant: Claimant) -> Delivery:
        delivery = super().deliver(entry, claimant)
        self.state[f"object-{id(delivery)}"] = ("", float("inf"))
        return delivery

    def held_by_extend(self, delivery: Delivery) -> Entry | None:
        return self.held(delivery) if f"object-{id(delivery)}" in self.state else None


class ExtendRefusesEnded(Store):
    """A lease that ended is lost, though no consumer claimed the message."""

    def held_by_extend(self, delivery: Delivery) -> Entry | None:
        entry = self.held(delivery)
        return entry if entry is not None and entry.due_at > self.now() else None


class ExtendOneQueue(Store):
    """Only the queue that was extended first is extended."""

    def held_by_extend(self, delivery: Delivery) -> Entry | None:
        first = self.state.setdefault("extended", (delivery.queue, float("inf")))
        return self.held(delivery) if first[0] == delivery.queue else None


class CountOwnClaims(Store):
    """A consumer that takes its own message again is counted as a crash."""

    def note_crash(self, entry: Entry, claims: str) -> None:
        super().note_crash(entry, "no owner")


class MissCrashes(Store):
    """No crash is counted."""

    def note_crash(self, entry: Entry, claims: str) -> None:
        pass


class ReleaseIsACrash(Store):
    """A release is counted as a crash."""

    def release(self, entry: Entry, nack: Nack) -> None:
        super().release(entry, nack)
        if not nack.counted:
            entry.crashed |= {entry.deliveries}


class NeverTakeBack(Store):
    """The crash of an owner that lives stays counted."""

    def take_back(self, receipt: object) -> None:
        pass


class TakeBackTwice(Store):
    """An owner that asks twice takes back the crash of another one."""

    def take_back(self, receipt: object) -> None:
        if isinstance(receipt, Receipt) and receipt.entry_id in self.entries:
            entry = self.entries[receipt.entry_id]
            entry.crashed = frozenset(sorted(entry.crashed)[1:])


class AgeByWorkerClock(Store):
    """The age of a message is reckoned with the clock of the worker."""

    def deliver(self, entry: Entry, claimant: Claimant) -> Delivery:
        delivery = super().deliver(entry, claimant)
        first_seen_at = time.time() - (delivery.age_s or 0.0)
        return replace(delivery, age_s=claimant.wall_clock() - first_seen_at)


class AgeUnknown(Store):
    """The age of a message is not known."""

    def deliver(self, entry: Entry, claimant: Claimant) -> Delivery:
        return replace(super().deliver(entry, claimant), age_s=None)


class LeaseUntilLate(Store):
    """`lease_until` is later than the end of the lease."""

    def deliver(self, entry: Entry, claimant: Claimant) -> Delivery:
        return replace(super().deliver(entry, claimant), lease_until=self.now() + 2 * self.lease_s)


class ReadOversized(Store):
    """A body over the limit is delivered."""

    def deliver(self, entry: Entry, claimant: Claimant) -> Delivery:
        return super().deliver(entry, replace(claimant, max_body_bytes=None))


class OversizedBlocks(Store):
    """No message behind a body over the limit is delivered with it."""

    def take(self, queue: str, limit: int, claimant: Claimant) -> list[Delivery]:
        largest = claimant.max_body_bytes or float("inf")
        large = [entry for entry in self.of_queue(queue) if len(entry.message.body) > largest]
        if any(entry.is_held for entry in large):
            return []
        return super().take(queue, 1 if large else limit, claimant)


class DeadStubIsEmpty(Store):
    """A dead-lettered stub has the body that was delivered: none."""

    def dead_letter(self, entry: Entry, dead_letter: DeadLetter) -> None:
        if dead_letter.delivery.is_stub:
            entry.message = replace(entry.message, body=dead_letter.delivery.body)
        super().dead_letter(entry, dead_letter)


class ReleasedStubIsEmpty(Store):
    """A released stub has the body that was delivered: none."""

    def release(self, entry: Entry, nack: Nack) -> None:
        super().release(entry, nack)
        if nack.delivery.is_stub:
            entry.message = replace(entry.message, body=nack.delivery.body)


class MixGroups(Store):
    """A message overtakes an earlier one of its group."""

    def due(self, queue: str) -> list[Entry]:
        now = self.now()
        found = [entry for entry in self.of_queue(queue) if entry.due_at <= now]
        return sorted(found, key=lambda entry: (entry.due_at, entry.id))


class CutDelays(Store):
    """A delay that the capabilities allow is cut short."""

    def release(self, entry: Entry, nack: Nack) -> None:
        super().release(entry, replace(nack, delay_s=nack.delay_s if nack.delay_s <= KEPT_DELAY_S else 0.0))


class CutPublishDelays(Store):
    """A delay of a publish that the capabilities allow is cut short."""

    def put(self, message: Outgoing) -> None:
        super().put(replace(message, delay_s=message.delay_s if message.delay_s <= KEPT_DELAY_S else 0.0))


class MoveKeepsIdentity(Store):
    """A moved message has the receipts that it had before."""

    def move(self, entry: Entry, target: str) -> None:
        entry.queue, entry.owner, entry.source, entry.dead_letter, entry.dead_at = target, None, None, None, None
        entry.attempt, entry.deliveries, entry.due_at = 1, 0, self.now()


class RaiseAtNul(Store):
    """A text with a NUL raises an error of the client library."""

    def put(self, message: Outgoing) -> None:
        if any("\0" in text for text in (message.correlation_id or "", *message.headers.values())):
            raise ValueError("a string literal can't contain NUL")
        super().put(message)


class IgnoreExpiry(Store):
    """A message never expires."""

    def put(self, message: Outgoing) -> None:
        super().put(replace(message, expires_s=None))


class RepliesForever(Store):
    """An unread reply is kept for ever."""

    def answer(self, replies: Sequence[Outgoing], ttl_s: float) -> None:
        super().answer(replies, float("inf"))


class LoseNackHistory(Store):
    """What a counted nack says is lost."""

    def release(self, entry: Entry, nack: Nack) -> None:
        super().release(entry, replace(nack, history=entry.history))


class LoseReleaseHistory(AgeUnknown):
    """Neither the age of a message nor what a release says of it is known afterwards."""

    def release(self, entry: Entry, nack: Nack) -> None:
        super().release(entry, nack if nack.counted else replace(nack, history=entry.history))


class AppendHistory(Store):
    """A dead-lettered message has entries that the core didn't write."""

    def dead_letter(self, entry: Entry, dead_letter: DeadLetter) -> None:
        super().dead_letter(entry, replace(dead_letter, history=[*entry.history, *dead_letter.history]))


class ProducersIds(Store):
    """Two messages with the same id of their producers look like one."""

    def deliver(self, entry: Entry, claimant: Claimant) -> Delivery:
        delivery = super().deliver(entry, claimant)
        return replace(delivery, id=delivery.message_id or delivery.id)


class LoseProducersIds(Store):
    """The id that the producer gave is lost."""

    def deliver(self, entry: Entry, claimant: Claimant) -> Delivery:
        return replace(super().deliver(entry, claimant), message_id=None)


FAULTS: dict[str, type[Store]] = {
    "share_receipts": ShareReceipts,
    "unhashable_receipts": UnhashableReceipts,
    "extend_by_object": ExtendByObject,
    "extend_refuses_ended": ExtendRefusesEnded,
    "extend_one_queue": ExtendOneQueue,
    "count_own_claims": CountOwnClaims,
    "miss_crashes": MissCrashes,
    "release_is_a_crash": ReleaseIsACrash,
    "never_take_back": NeverTakeBack,
    "take_back_twice": TakeBackTwice,
    "age_by_worker_clock": AgeByWorkerClock,
    "age_unknown": AgeUnknown,
    "lease_until_late": LeaseUntilLate,
    "read_oversized": ReadOversized,
    "oversized_blocks": OversizedBlocks,
    "dead_stub_is_empty": DeadStubIsEmpty,
    "released_stub_is_empty": ReleasedStubIsEmpty,
    "mix_groups": MixGroups,
    "cut_delays": CutDelays,
    "cut_publish_delays": CutPublishDelays,
    "move_keeps_identity": MoveKeepsIdentity,
    "raise_at_nul": RaiseAtNul,
    "ignore_expiry": IgnoreExpiry,
    "replies_forever": RepliesForever,
    "lose_nack_history": LoseNackHistory,
    "lose_release_history": LoseReleaseHistory,
    "append_history": AppendHistory,
    "producers_ids": ProducersIds,
    "lose_producers_ids": LoseProducersIds,
}
