"""End runs that take too long, and runs whose message was lost and did not come back.

One thread that never calls a broker, so that no slow broker delays an end. Called by the lease keeper.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from awf_core.observe import events
from awf_core.observe.log import get_logger
from awf_core.worker.failures import UNEXPECTED, log_internal_error
from awf_core.worker.outcome import LEASE_LOST, MAX_RUN

if TYPE_CHECKING:
    from awf_core.clock import Clock
    from awf_core.observe.throttle import Throttle
    from awf_core.worker.in_hand import InHand, LeasedDelivery

IDLE_S = 3600.0
JOIN_S = 1.0

log = get_logger(__name__)


class RunLimits:
    """Watches what is in hand. Thread-safe.

    keep_lost_s    seconds that a run whose lease was lost goes on, in which its message may come back and be bound
    cancels_lost   whether it is cancelled after that (`mq.on_lease_lost`)
    """

    def __init__(
        self, in_hand: InHand, clock: Clock, throttle: Throttle, *, keep_lost_s: float, cancels_lost: bool
    ) -> None:
        self._in_hand = in_hand
        self._clock = clock
        self._throttle = throttle
        self.keep_lost_s = keep_lost_s
        self._cancels_lost = cancels_lost
        self._changed = threading.Condition()
        self._next_at = 0.0
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="awf-limits", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Idempotent."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait a moment for the thread's end."""
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    def watch(self, moment: float) -> None:
        """Something ends at `moment` (monotonic seconds)."""
        with self._changed:
            if moment < self._next_at:
                self._next_at = moment
                self._changed.notify_all()

    def expect_no_more(self) -> None:
        """Nothing is claimed any more, so no lost message comes back."""
        self.keep_lost_s = 0.0
        self.watch(0.0)

    def _run(self) -> None:
        while not self._is_stopped:
            next_at = self._clock.monotonic() + 1.0
            try:
                next_at = self._end_due()
            except UNEXPECTED:
                log_internal_error(self._throttle)
            with self._changed:
                # What was added since the scan is in the scan of `_earliest`.
                self._next_at = min(next_at, self._earliest())
                wait_s = self._next_at - self._clock.monotonic()
                if wait_s > 0 and not self._is_stopped:
                    self._changed.wait(wait_s)

    def _end_due(self) -> float:
        """End what is due; returns when to wake in any case."""
        now = self._clock.monotonic()
        for message in self._in_hand.all():
            if message.deadline is not None and message.deadline <= now:
                message.deadline = None
                if message.cancel is not None:
                    message.cancel.request(MAX_RUN)
            lost_at = message.lost_at
            if lost_at is not None and not message.is_given_up and lost_at + self.keep_lost_s <= now:
                self._give_up(message)
        return now + IDLE_S

    def _give_up(self, message: LeasedDelivery) -> None:
        message.is_given_up = True
        cancel = message.cancel if self._cancels_lost else None
        log.warning(
            events.LEASE_LOST,
            queue=message.delivery.queue,
            message_id=message.message_id or message.delivery.id,
            cancelled=cancel is not None,
        )
        if cancel is not None:
            cancel.request(LEASE_LOST)

    def _earliest(self) -> float:
        earliest = self._clock.monotonic() + IDLE_S
        for message in self._in_hand.all():
            deadline, lost_at = message.deadline, message.lost_at
            if deadline is not None:
                earliest = min(earliest, deadline)
            if lost_at is not None and not message.is_given_up:
                earliest = min(earliest, lost_at + self.keep_lost_s)
        return earliest
