"""The messages this worker has in hand: claimed, and not settled yet.

Every claimed delivery passes `take` before anything runs. A delivery of a message that is in hand already is bound to
it: its receipt replaces the old one, and nothing starts twice. Called by the fetchers, the lease renewers, the runners
and the settlers; see docs/adr/0016. Thread-safe; no call waits for a broker.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from awf_core.contract import Delivery
    from awf_core.extensions.deadline import Cancel

Key = tuple[str, str, bytes]


@dataclass(slots=True, eq=False)
class LeasedDelivery:
    """A message in hand. Times are `Clock.monotonic()` seconds.

    delivery      its newest delivery: what is extended and settled. The run keeps the one it began with
    claimed_at    when it was claimed first
    renew_at      when the lease is due to be renewed; None = not any more
    lease_until   until when the lease holds for certain; None = as long as the connection lives
    message_id    as it was read from the body; None = nothing was read yet
    deadline      when the run has to be over; None = no limit
    cancel        ends the run; None while nothing runs
    lost_at       when the lease was found lost; None = it is ours
    is_given_up   lost for so long that the message is expected no more
    is_settling   its settlement is with the broker: a retry or a released message may come back before the answer
    """

    delivery: Delivery
    key: Key
    claimed_at: float
    renew_at: float | None
    lease_until: float | None
    message_id: str | None = None
    deadline: float | None = None
    cancel: Cancel | None = None
    lost_at: float | None = None
    is_given_up: bool = False
    is_settling: bool = False

    @property
    def is_lost(self) -> bool:
        """Whether the lease was lost, and the message did not come back."""
        return self.lost_at is not None


class Taken(NamedTuple):
    """What became of the deliveries of one claim: `fresh` ones are to be run, `bound` ones belong to live runs."""

    fresh: list[LeasedDelivery]
    bound: list[LeasedDelivery]


class InHand:
    """All messages in hand, of all queues.

    has_stable_ids   `Capabilities.stable_ids`: an id names one message. Without it a producer's id and the body stand
                     for the message, which two messages may share, so a redelivery is bound only to a message whose
                     own delivery was lost
    renew_every_s    seconds between renewals
    """

    def __init__(self, *, has_stable_ids: bool, renew_every_s: float) -> None:
        self._has_stable_ids = has_stable_ids
        self._renew_every_s = renew_every_s
        self._by_key: dict[Key, list[LeasedDelivery]] = {}
        self._counts: dict[str, int] = {}
        self._count = 0
        self._lock = threading.Lock()

    def take(self, deliveries: Iterable[Delivery], now: float) -> Taken:
        """Take deliveries in hand at monotonic time `now`, binding those whose message is here already."""
        taken = Taken([], [])
        with self._lock:
            for delivery in deliveries:
                key = self._key(delivery)
                known = self._known(key, delivery, now)
                if known is None:
                    taken.fresh.append(self._add(key, delivery, now))
                else:
                    self._bind(known, delivery, now)
                    taken.bound.append(known)
        return taken

    def suspects(self, deliveries: Iterable[Delivery]) -> list[LeasedDelivery]:
        """What may be the message of one of these redeliveries, and is not known to be lost.

        Only where ids are not stable: the broker is asked for these before `take`.
        """
        if self._has_stable_ids:
            return []
        with self._lock:
            return [
                message
                for delivery in deliveries
                if delivery.deliveries > 1
                for message in self._by_key.get(self._key(delivery), ())
                if not message.is_lost and _may_be(message, delivery)
            ]

    def renewed(
        self, message: LeasedDelivery, sent: Delivery, *, renew_at: float, lease_until: float | None = None
    ) -> None:
        """The lease of the delivery `sent` was renewed. No effect where a newer one was bound meanwhile."""
        with self._lock:
            if message.delivery is sent:
                message.renew_at = renew_at
                message.lease_until = lease_until

    def postpone(self, message: LeasedDelivery, sent: Delivery, renew_at: float) -> None:
        """Whether the lease of `sent` was renewed is unknown: ask again."""
        with self._lock:
            if message.delivery is sent and not message.is_lost:
                message.renew_at = renew_at

    def lost(self, message: LeasedDelivery, sent: Delivery, now: float) -> bool:
        """The broker answered LeaseLost for `sent`; False where a newer delivery was bound meanwhile."""
        with self._lock:
            if message.delivery is not sent:
                return False
            if message.lost_at is None:
                message.lost_at = now
            message.renew_at = None
            # What was with the broker has had no effect, so the message comes back as it is here.
            message.is_settling = False
            return True

    def drop(self, message: LeasedDelivery) -> None:
        """Settled or given up: not in hand any more. Idempotent."""
        with self._lock:
            there = self._by_key.get(message.key, [])
            if message in there:
                there.remove(message)
                self._count -= 1
                self._counts[message.key[0]] -= 1
                if not there:
                    del self._by_key[message.key]

    def all(self) -> list[LeasedDelivery]:
        """Everything in hand now."""
        with self._lock:
            return [message for messages in self._by_key.values() for message in messages]

    def of_queue(self, queue: str) -> list[LeasedDelivery]:
        """What is in hand of `queue`."""
        return [message for message in self.all() if message.key[0] == queue]

    def count(self, queue: str) -> int:
        """How many messages of `queue` are in hand."""
        return self._counts.get(queue, 0)

    def __len__(self) -> int:
        return self._count

    def _key(self, delivery: Delivery) -> Key:
        if self._has_stable_ids and delivery.id is not None:
            return (delivery.queue, delivery.id, b"")
        digest = hashlib.blake2b(delivery.body, digest_size=16).digest()
        return (delivery.queue, delivery.id or "", digest)

    def _known(self, key: Key, delivery: Delivery, now: float) -> LeasedDelivery | None:
        """With the lock held: the message in hand that `delivery` is another delivery of."""
        there: Sequence[LeasedDelivery] = [each for each in self._by_key.get(key, ()) if _may_be(each, delivery)]
        if not there or delivery.deliveries < 2:
            # What is delivered for the first time was in no hand before, whatever its id says.
            return None
        orphan = next((message for message in there if _is_orphan(message, now)), None)
        if orphan is not None or not self._has_stable_ids or delivery.id is None:
            return orphan
        return next((message for message in there if message.delivery.body == delivery.body), None)

    def _add(self, key: Key, delivery: Delivery, now: float) -> LeasedDelivery:
        message = LeasedDelivery(delivery, key, now, now + self._renew_every_s, delivery.lease_until)
        self._by_key.setdefault(key, []).append(message)
        self._count += 1
        self._counts[key[0]] = self._counts.get(key[0], 0) + 1
        return message

    def _bind(self, message: LeasedDelivery, delivery: Delivery, now: float) -> None:
        message.delivery = delivery
        message.renew_at = now + self._renew_every_s
        message.lease_until = delivery.lease_until
        message.lost_at = None
        message.is_given_up = False


def _may_be(message: LeasedDelivery, delivery: Delivery) -> bool:
    """Whether `delivery` can be another delivery of the same attempt. Seen: a retry without delay was bound to the run
    that had just failed, and stayed with a worker that had nothing to run any more.
    """
    return message.delivery.attempt == delivery.attempt and not message.is_settling


def _is_orphan(message: LeasedDelivery, now: float) -> bool:
    """Whether another delivery of the message may be under way: its own one was lost, or may have been."""
    return message.is_lost or (message.lease_until is not None and message.lease_until <= now)
