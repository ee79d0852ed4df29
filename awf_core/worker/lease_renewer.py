"""Renew the leases of one queue, every third of a lease, and notice those that are lost. Called by the lease keeper.

A thread of its own, which no workflow, no settlement and no other queue can block. Ends no run: run_limits.py does.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from awf_core.errors import BrokerError, LeaseLost
from awf_core.observe import events
from awf_core.worker.failures import UNEXPECTED, checked_answers, log_broker_error, log_internal_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.clock import Clock
    from awf_core.contract import Delivery
    from awf_core.mq import Mq
    from awf_core.observe.throttle import Throttle
    from awf_core.worker.in_hand import InHand, LeasedDelivery
    from awf_core.worker.run_limits import RunLimits

RETRY_S = 1.0
IDLE_S = 3600.0


class LeaseRenewer:
    """Renews the leases of one queue. Thread-safe. `limits` ends the runs of those that are lost.

    period_s   seconds between renewals
    lease_s    how long a renewal lasts; None = bound to a connection
    """

    def __init__(
        self,
        queue: str,
        mq: Mq,
        in_hand: InHand,
        limits: RunLimits,
        clock: Clock,
        throttle: Throttle,
        *,
        period_s: float,
        lease_s: float | None,
    ) -> None:
        self._queue = queue
        self._mq = mq
        self._in_hand = in_hand
        self._limits = limits
        self._clock = clock
        self._throttle = throttle
        self._period_s = period_s
        self._lease_s = lease_s
        self._slack_s = period_s / 10
        self._changed = threading.Condition()
        self._next_at = clock.monotonic() + IDLE_S
        self._is_failing = False
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name=f"awf-lease-{queue}", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; leases then run out by themselves. Idempotent."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def wake_by(self, moment: float) -> None:
        """Something is due at `moment` (monotonic seconds)."""
        with self._changed:
            if moment < self._next_at:
                self._next_at = moment
                self._changed.notify_all()

    def is_behind(self) -> bool:
        """Whether leases are overdue: the process was stopped, or the broker did not answer."""
        return self._lease_s is not None and (
            self._is_failing or self._clock.monotonic() > self._next_at + self._slack_s
        )

    def wait_until_renewed(self, timeout_s: float) -> None:
        """Return once nothing is overdue, or after `timeout_s` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or not self.is_behind(), timeout_s)

    def connection_failed(self) -> None:
        """A call failed: where deliveries are bound to a connection, ask at once which are lost."""
        if self._lease_s is not None:
            return
        now = self._clock.monotonic()
        for message in self._in_hand.of_queue(self._queue):
            self._in_hand.postpone(message, message.delivery, now)
        self.wake_by(now)

    def renew(self, messages: Sequence[LeasedDelivery]) -> Sequence[BrokerError | None]:
        """Extend these now; one answer each. Raises BrokerError when nothing is known of any."""
        sent = [message.delivery for message in messages]
        now = self._clock.monotonic()
        lease_until = None if self._lease_s is None else now + self._lease_s
        answers = checked_answers(self._mq.extend(sent), len(sent))
        for message, delivery, answer in zip(messages, sent, answers, strict=True):
            if answer is None:
                self._in_hand.renewed(message, delivery, renew_at=now + self._period_s, lease_until=lease_until)
            elif isinstance(answer, LeaseLost):
                self.lost(message, delivery)
            else:
                self._in_hand.postpone(message, delivery, now + self._retry_s())
        return answers

    def lost(self, message: LeasedDelivery, sent: Delivery) -> bool:
        """The broker answered LeaseLost for `sent`; False where a newer delivery was bound meanwhile."""
        now = self._clock.monotonic()
        is_lost = self._in_hand.lost(message, sent, now)
        if is_lost:
            self._limits.watch(now + self._limits.keep_lost_s)
        return is_lost

    def _run(self) -> None:
        while not self._is_stopped:
            self._renew_due()
            with self._changed:
                self._next_at = self._earliest()
                self._changed.notify_all()
                wait_s = self._next_at - self._clock.monotonic()
                if wait_s > 0 and not self._is_stopped:
                    self._changed.wait(wait_s)

    def _earliest(self) -> float:
        times = [message.renew_at for message in self._in_hand.of_queue(self._queue) if message.renew_at is not None]
        return min(times, default=self._clock.monotonic() + IDLE_S)

    def _renew_due(self) -> None:
        now = self._clock.monotonic()
        due = [
            message
            for message in self._in_hand.of_queue(self._queue)
            if message.renew_at is not None and message.renew_at <= now
        ]
        if not due:
            self._is_failing = False
            return
        try:
            answers = self.renew(due)
        except BrokerError as exc:
            self._failed(due, exc)
        except UNEXPECTED:
            log_internal_error(self._throttle)
            self._failed(due, None)
        else:
            self._is_failing = False
            unknown = [answer for answer in answers if answer is not None and not isinstance(answer, LeaseLost)]
            if unknown:
                self._log(unknown[0], len(unknown))

    def _failed(self, due: Sequence[LeasedDelivery], error: BrokerError | None) -> None:
        self._is_failing = True
        retry_at = self._clock.monotonic() + self._retry_s()
        for message in due:
            self._in_hand.postpone(message, message.delivery, retry_at)
        if error is not None:
            self._log(error, len(due))

    def _log(self, error: BrokerError, count: int) -> None:
        log_broker_error(events.BROKER_UNAVAILABLE, error, self._throttle, queue=self._queue, extending=count)

    def _retry_s(self) -> float:
        return min(RETRY_S, self._period_s)
