"""Keep what is in hand ours: extend leases every third of a lease, and end runs that take too long.

One thread of its own, which no workflow and no slow settlement can block; the backend's clock decides what is lost.
Covers every delivery from consume to settlement, whether it runs, waits for a runner or waits to be settled.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from awf_core.errors import BrokerError
from awf_core.observe import events
from awf_core.observe.log import get_logger
from awf_core.worker.defects import UNEXPECTED, say_defect
from awf_core.worker.outcome import MAX_RUN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from awf_core.clock import Clock
    from awf_core.contract import Delivery
    from awf_core.extensions.deadline import Cancel
    from awf_core.mq import Mq
    from awf_core.observe.throttle import Throttle

RETRY_S = 1.0
LOOK_S = 10.0
"""How often to ask which are lost, where deliveries are bound to a connection and there is nothing to renew."""
IDLE_S = 3600.0
JOIN_S = 2.0
"""How long a broker's slow answer may hold up the end of the process."""

log = get_logger(__name__)


@dataclass(slots=True, eq=False)
class Held:
    """A delivery in hand. `renew_at` and `deadline` are monotonic seconds, None = never."""

    delivery: Delivery
    renew_at: float | None
    deadline: float | None = None
    cancel: Cancel | None = None
    is_lost: bool = False


class LeaseKeeper:
    """Holds deliveries from `take` to `drop`. Thread-safe."""

    def __init__(self, mq: Mq, clock: Clock, throttle: Throttle) -> None:
        self._mq = mq
        self._clock = clock
        self._throttle = throttle
        lease_s = mq.capabilities.lease_s
        self._period_s = lease_s / 3 if lease_s is not None else LOOK_S
        self._held: dict[int, Held] = {}
        self._changed = threading.Condition()
        self._next_at = 0.0
        self._stopped = False
        self._all_cancelled_for: str | None = None
        self._thread = threading.Thread(target=self._keep, name="awf-lease", daemon=True)

    def start(self) -> None:
        """Begin to extend."""
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
                self._held[id(delivery)] = Held(delivery=delivery, renew_at=renew_at)
            self._wake_by(renew_at)

    def running(self, delivery: Delivery, cancel: Cancel, max_run_s: float | None) -> None:
        """`delivery` runs, and `cancel` ends it; after `max_run_s` seconds it is cancelled for `max_run`."""
        held = self._held.get(id(delivery))
        if held is not None:
            held.cancel = cancel
            if self._all_cancelled_for is not None:
                cancel.request(self._all_cancelled_for)
            if max_run_s is not None:
                with self._changed:
                    held.deadline = self._clock.monotonic() + max_run_s
                    self._wake_by(held.deadline)

    def ran(self, delivery: Delivery) -> None:
        """The run is over; the delivery is still to be settled."""
        held = self._held.get(id(delivery))
        if held is not None:
            held.cancel = held.deadline = None

    def drop(self, delivery: Delivery) -> None:
        """Settled, or given up: not in hand any more."""
        self._held.pop(id(delivery), None)

    def is_lost(self, delivery: Delivery) -> bool:
        """Whether the broker has taken it back."""
        held = self._held.get(id(delivery))
        return held is not None and held.is_lost

    def cancel_all(self, reason: str) -> int:
        """Cancel everything that runs, and what is about to; returns how many run."""
        self._all_cancelled_for = reason
        running = [held.cancel for held in list(self._held.values()) if held.cancel is not None]
        for cancel in running:
            cancel.request(reason)
        return len(running)

    def count(self) -> int:
        """How many are held now."""
        return len(self._held)

    def in_hand(self) -> list[Delivery]:
        """What is held now."""
        return [held.delivery for held in list(self._held.values())]

    def _wake_by(self, moment: float | None) -> None:
        """With the lock held: make the thread look again by `moment` at the latest."""
        if moment is not None and moment < self._next_at:
            self._next_at = moment
            self._changed.notify_all()

    def _keep(self) -> None:
        while not self._stopped:
            next_at = self._look()
            with self._changed:
                self._next_at = min(next_at, self._earliest())
                wait_s = self._next_at - self._clock.monotonic()
                if wait_s > 0 and not self._stopped:
                    self._changed.wait(wait_s)

    def _look(self) -> float:
        """Do what is due; returns when to look again in any case."""
        try:
            self._end_overdue()
        except UNEXPECTED:
            say_defect(self._throttle)
        return self._renew_due()

    def _earliest(self) -> float:
        times = [t for held in list(self._held.values()) for t in (held.renew_at, held.deadline) if t is not None]
        return min(times, default=self._clock.monotonic() + IDLE_S)

    def _end_overdue(self) -> None:
        now = self._clock.monotonic()
        for held in list(self._held.values()):
            if held.deadline is not None and held.deadline <= now and held.cancel is not None:
                held.deadline = None
                held.cancel.request(MAX_RUN)

    def _renew_due(self) -> float:
        """Extend what is due; returns when to look again in any case."""
        now = self._clock.monotonic()
        due = [held for held in list(self._held.values()) if held.renew_at is not None and held.renew_at <= now]
        if not due:
            return now + IDLE_S
        try:
            self._renewed(due, self._mq.extend([held.delivery for held in due]), now + self._period_s)
        except BrokerError as exc:
            self._say_unavailable(exc, len(due))
        except UNEXPECTED:
            say_defect(self._throttle)
        else:
            return now + IDLE_S
        retry_at = now + min(RETRY_S, self._period_s)
        for held in due:
            held.renew_at = None if held.is_lost else retry_at
        return retry_at

    def _say_unavailable(self, error: BrokerError, deliveries: int) -> None:
        muted = self._throttle.take("broker")
        if muted is not None:
            log.warning(events.BROKER_UNAVAILABLE, error=str(error), extending=deliveries, muted=muted)

    def _renewed(self, due: Sequence[Held], lost: Sequence[Delivery], renew_at: float) -> None:
        gone = {id(delivery) for delivery in lost}
        for held in due:
            held.renew_at = None if id(held.delivery) in gone else renew_at
            if id(held.delivery) in gone:
                held.is_lost = True
                log.warning(events.LEASE_LOST, queue=held.delivery.queue, message_id=held.delivery.id)
