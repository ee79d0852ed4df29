"""Renew the leases of what is in hand, every third of a lease, and end runs that take too long.

One thread of its own, which no workflow and no slow settlement can block. The broker's clock decides what is lost.
Covers every delivery from consume to settlement, whether it runs, waits for a runner or waits to be settled.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from awf_core.errors import BrokerError, LeaseLost
from awf_core.observe import events
from awf_core.observe.log import get_logger
from awf_core.worker.failures import UNEXPECTED, log_broker_error, log_internal_error
from awf_core.worker.outcome import MAX_RUN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from awf_core.clock import Clock
    from awf_core.contract import Delivery
    from awf_core.extensions.deadline import Cancel
    from awf_core.mq import Mq
    from awf_core.observe.throttle import Throttle

RETRY_S = 1.0
CHECK_S = 10.0
"""How often to ask which are lost, where deliveries are bound to a connection and there is no lease to renew."""
IDLE_S = 3600.0
JOIN_S = 2.0
"""How long a slow answer of the broker may delay the end of the process."""

log = get_logger(__name__)


@dataclass(slots=True, eq=False)
class LeasedDelivery:
    """A delivery in hand. `renew_at` and `deadline` are monotonic seconds, None = never."""

    delivery: Delivery
    renew_at: float | None
    deadline: float | None = None
    cancel: Cancel | None = None
    is_lost: bool = False


class LeaseKeeper:
    """Keeps the leases of deliveries from `take` to `drop`. Thread-safe.

    Entries are found, added and removed without the lock: each is one operation of a dict. The lock is for the time
    at which the thread wakes.
    """

    def __init__(self, mq: Mq, clock: Clock, throttle: Throttle) -> None:
        self._mq = mq
        self._clock = clock
        self._throttle = throttle
        lease_s = mq.capabilities.lease_s
        self._period_s = lease_s / 3 if lease_s is not None else CHECK_S
        self._entries: dict[int, LeasedDelivery] = {}
        self._changed = threading.Condition()
        self._next_at = 0.0
        self._stopped = False
        self._all_cancelled_for: str | None = None
        self._thread = threading.Thread(target=self._run, name="awf-lease", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; leases then run out by themselves. Idempotent."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    def take(self, deliveries: Iterable[Delivery]) -> None:
        """These are in hand from now on."""
        renew_at = self._clock.monotonic() + self._period_s
        with self._changed:
            for delivery in deliveries:
                self._entries[id(delivery)] = LeasedDelivery(delivery=delivery, renew_at=renew_at)
            self._wake_by(renew_at)

    def running(self, delivery: Delivery, cancel: Cancel, max_run_s: float | None) -> None:
        """`delivery` runs, and `cancel` ends it; after `max_run_s` seconds it is cancelled for `max_run`."""
        entry = self._entries.get(id(delivery))
        if entry is not None:
            entry.cancel = cancel
            if self._all_cancelled_for is not None:
                cancel.request(self._all_cancelled_for)
            if max_run_s is not None:
                with self._changed:
                    entry.deadline = self._clock.monotonic() + max_run_s
                    self._wake_by(entry.deadline)

    def ran(self, delivery: Delivery) -> None:
        """The run is over; the delivery is still to be settled."""
        entry = self._entries.get(id(delivery))
        if entry is not None:
            entry.cancel = entry.deadline = None

    def drop(self, delivery: Delivery) -> None:
        """Settled or lost: not in hand any more."""
        self._entries.pop(id(delivery), None)

    def is_lost(self, delivery: Delivery) -> bool:
        """Whether the broker said that its lease ended."""
        entry = self._entries.get(id(delivery))
        return entry is not None and entry.is_lost

    def cancel_all(self, reason: str) -> int:
        """Cancel every run, and those about to begin; returns how many run."""
        self._all_cancelled_for = reason
        running = [entry.cancel for entry in self._all() if entry.cancel is not None]
        for cancel in running:
            cancel.request(reason)
        return len(running)

    def count(self) -> int:
        """How many deliveries are in hand."""
        return len(self._entries)

    def _all(self) -> list[LeasedDelivery]:
        return list(self._entries.values())

    def _wake_by(self, moment: float) -> None:
        """With the lock held: wake the thread by `moment` at the latest."""
        if moment < self._next_at:
            self._next_at = moment
            self._changed.notify_all()

    def _run(self) -> None:
        while not self._stopped:
            next_at = self._do_what_is_due()
            with self._changed:
                self._next_at = min(next_at, self._earliest())
                wait_s = self._next_at - self._clock.monotonic()
                if wait_s > 0 and not self._stopped:
                    self._changed.wait(wait_s)

    def _do_what_is_due(self) -> float:
        """Returns when to wake in any case."""
        try:
            self._end_overdue()
        except UNEXPECTED:
            log_internal_error(self._throttle)
        return self._renew_due()

    def _earliest(self) -> float:
        times = [t for entry in self._all() for t in (entry.renew_at, entry.deadline) if t is not None]
        return min(times, default=self._clock.monotonic() + IDLE_S)

    def _end_overdue(self) -> None:
        now = self._clock.monotonic()
        for entry in self._all():
            if entry.deadline is not None and entry.deadline <= now and entry.cancel is not None:
                entry.deadline = None
                entry.cancel.request(MAX_RUN)

    def _renew_due(self) -> float:
        """Renew what is due; returns when to wake in any case."""
        now = self._clock.monotonic()
        due = [entry for entry in self._all() if entry.renew_at is not None and entry.renew_at <= now]
        if not due:
            return now + IDLE_S
        try:
            self._renewed(due, self._mq.extend([entry.delivery for entry in due]), now + self._period_s)
        except BrokerError as exc:
            log_broker_error(events.BROKER_UNAVAILABLE, exc, self._throttle, extending=len(due))
        except UNEXPECTED:
            log_internal_error(self._throttle)
        else:
            return now + IDLE_S
        retry_at = now + min(RETRY_S, self._period_s)
        for entry in due:
            entry.renew_at = None if entry.is_lost else retry_at
        return retry_at

    def _renewed(self, due: Sequence[LeasedDelivery], answers: Sequence[BrokerError | None], renew_at: float) -> None:
        for entry, answer in zip(due, answers, strict=True):
            entry.is_lost = isinstance(answer, LeaseLost)
            entry.renew_at = None if entry.is_lost else renew_at
            if entry.is_lost:
                log.warning(events.LEASE_LOST, queue=entry.delivery.queue, message_id=entry.delivery.id)
