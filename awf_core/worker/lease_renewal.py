"""Keep what is in hand ours: the registry, a lease renewer for each queue, and the limits of runs, behind one face.

A renewer for each queue, so that a slow shard or server holds up no other queue's leases. Covers every message from its
claim to its settlement, whether it runs, waits for a runner or waits to be settled.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from awf_core.errors import BrokerError
from awf_core.observe import events
from awf_core.observe.log import get_logger
from awf_core.worker.failures import log_broker_error
from awf_core.worker.in_hand import InHand, LeasedDelivery, Taken
from awf_core.worker.lease_renewer import LeaseRenewer
from awf_core.worker.run_limits import RunLimits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from awf_core.clock import Clock
    from awf_core.contract import Delivery
    from awf_core.extensions.deadline import Cancel
    from awf_core.mq import Mq
    from awf_core.observe.throttle import Throttle

CHECK_S = 2.0
"""How often to ask which are lost, where deliveries are bound to a connection and there is no lease to renew."""
OWN_CLAIM_S = 1.0
"""How long after a lease was lost a claim of this worker may still bring the message: its answer was under way."""
REBIND_TIMEOUT_S = 30.0
JOIN_S = 1.0
"""How long a slow answer of the broker may delay the end of the process."""

OnLeaseLost = Literal["cancel", "continue"]
log = get_logger(__name__)


class LeaseKeeper:
    """What is in hand, of all queues, and the threads that keep it. Thread-safe.

    on_lost            what becomes of a run whose message is lost
    rebind_timeout_s   how long a run goes on whose connection is gone; where leases end by themselves, only a claim of
                       our own that is under way is waited for
    """

    def __init__(
        self,
        mq: Mq,
        clock: Clock,
        throttle: Throttle,
        *,
        on_lost: OnLeaseLost = "cancel",
        rebind_timeout_s: float = REBIND_TIMEOUT_S,
    ) -> None:
        self._mq = mq
        self._clock = clock
        self._throttle = throttle
        lease_s = mq.capabilities.lease_s
        self._lease_s = lease_s
        self._period_s = lease_s / 3 if lease_s is not None else CHECK_S
        self.in_hand = InHand(has_stable_ids=mq.capabilities.stable_ids, renew_every_s=self._period_s)
        self._limits = RunLimits(
            self.in_hand,
            clock,
            throttle,
            keep_lost_s=rebind_timeout_s if lease_s is None else OWN_CLAIM_S,
            cancels_lost=on_lost == "cancel",
        )
        self._renewers: dict[str, LeaseRenewer] = {}
        self._lock = threading.Lock()
        self._is_started = False
        self._all_cancelled_for: str | None = None

    def start(self) -> None:
        """Begin to renew."""
        with self._lock:
            self._is_started = True
            renewers = list(self._renewers.values())
        self._limits.start()
        for renewer in renewers:
            renewer.start()

    def stop(self) -> None:
        """End the threads, all at once; leases then run out by themselves. Idempotent."""
        self._limits.stop()
        renewers = list(self._renewers.values())
        for renewer in renewers:
            renewer.stop()
        end = self._clock.monotonic() + JOIN_S
        self._limits.join()
        for renewer in renewers:
            renewer.join(max(0.0, end - self._clock.monotonic()))

    def of_queue(self, queue: str) -> LeaseRenewer:
        """The renewer of `queue`."""
        found = self._renewers.get(queue)
        return found if found is not None else self._add(queue)

    def take(self, deliveries: Sequence[Delivery]) -> Taken:
        """Deliveries of one claim are in hand from now on; those of messages in hand are bound to them."""
        if not deliveries:
            return Taken([], [])
        renewer = self.of_queue(deliveries[0].queue)
        suspects = self.in_hand.suspects(deliveries)
        if suspects:
            self._find_lost(renewer, suspects)
        now = self._clock.monotonic()
        taken = self.in_hand.take(deliveries, now)
        renewer.wake_by(now + self._period_s)
        for message in taken.bound:
            log.info(
                events.MESSAGE_REBOUND,
                queue=message.delivery.queue,
                message_id=message.message_id or message.delivery.id,
                deliveries=message.delivery.deliveries,
            )
        return taken

    def running(self, message: LeasedDelivery, cancel: Cancel, max_run_s: float | None) -> None:
        """`message` runs, and `cancel` ends it; after `max_run_s` seconds it is cancelled for `max_run`."""
        message.cancel = cancel
        if self._all_cancelled_for is not None:
            cancel.request(self._all_cancelled_for)
        if max_run_s is not None:
            message.deadline = self._clock.monotonic() + max_run_s
            self._limits.watch(message.deadline)

    def ran(self, message: LeasedDelivery) -> None:
        """The run is over; the message is still to be settled."""
        message.cancel = message.deadline = None

    def drop(self, message: LeasedDelivery) -> None:
        """Settled or lost: not in hand any more."""
        self.in_hand.drop(message)

    def may_start(self, message: LeasedDelivery) -> bool:
        """Whether a run of `message` may begin: its lease holds, or was renewed right now."""
        if message.is_lost:
            return False
        if message.lease_until is None or self._clock.monotonic() < message.lease_until:
            return True
        try:
            return self.of_queue(message.delivery.queue).renew([message])[0] is None
        except BrokerError as exc:
            log_broker_error(events.BROKER_UNAVAILABLE, exc, self._throttle, queue=message.delivery.queue, extending=1)
            return False

    def lost(self, message: LeasedDelivery, sent: Delivery) -> bool:
        """The broker answered LeaseLost for `sent`; False where a newer delivery was bound meanwhile."""
        return self.of_queue(sent.queue).lost(message, sent)

    def is_gone(self, message: LeasedDelivery) -> bool:
        """Whether `message` was lost, and has not come back within the time for that."""
        lost_at = message.lost_at
        return lost_at is not None and self._clock.monotonic() >= lost_at + self._limits.keep_lost_s

    def expect_no_more(self) -> None:
        """Nothing is claimed any more: what is lost stays lost."""
        self._limits.expect_no_more()

    def cancel_all(self, reason: str) -> int:
        """Cancel every run, and those about to begin; returns how many run."""
        self._all_cancelled_for = reason
        running = [message.cancel for message in self.in_hand.all() if message.cancel is not None]
        for cancel in running:
            cancel.request(reason)
        return len(running)

    def count(self) -> int:
        """How many messages are in hand."""
        return len(self.in_hand)

    def _add(self, queue: str) -> LeaseRenewer:
        with self._lock:
            if queue not in self._renewers:
                self._renewers[queue] = LeaseRenewer(
                    queue,
                    self._mq,
                    self.in_hand,
                    self._limits,
                    self._clock,
                    self._throttle,
                    period_s=self._period_s,
                    lease_s=self._lease_s,
                )
                if self._is_started:
                    self._renewers[queue].start()
            return self._renewers[queue]

    def _find_lost(self, renewer: LeaseRenewer, suspects: Iterable[LeasedDelivery]) -> None:
        """A redelivery may be of one of these, whose connection may be gone: the backend knows."""
        try:
            renewer.renew(list(suspects))
        except BrokerError as exc:
            log_broker_error(events.BROKER_UNAVAILABLE, exc, self._throttle, extending=1)
