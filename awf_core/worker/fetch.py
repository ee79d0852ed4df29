"""Consume one queue, as many deliveries as there are free slots, and pass them on to the runners.

One thread per queue. A broker that can't be reached is asked again with backoff; runs go on meanwhile.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from awf_core.backoff import Backoff
from awf_core.contract import Nack
from awf_core.errors import BrokerError, BrokerMisconfigured
from awf_core.observe import events
from awf_core.observe.log import get_logger
from awf_core.worker.failures import UNEXPECTED, log_broker_error, log_internal_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.contract import Delivery
    from awf_core.mq import Mq
    from awf_core.observe.throttle import Throttle
    from awf_core.worker.slots import Budget, Slots

ALONE_WAIT_S = 20.0
SHARED_WAIT_S = 1.0
"""With several queues a waiting fetcher reserves slots that another could use, so it waits shorter."""

log = get_logger(__name__)


class Fetcher:
    """Consumes one queue until `stop`.

    `on_deliveries` gets each batch; `on_empty` is called when a consume brought nothing, `on_consumed` after every
    consume that the broker answered, `on_refused` when the broker says that retrying can't help. All on this fetcher's
    thread; it consumes again in any case.
    """

    def __init__(
        self,
        mq: Mq,
        queue: str,
        slots: Slots,
        *,
        wait_s: float,
        budget: Budget,
        throttle: Throttle,
        on_deliveries: Callable[[Sequence[Delivery]], None],
        on_consumed: Callable[[], None],
        on_empty: Callable[[str], None],
        on_refused: Callable[[BrokerMisconfigured], None],
    ) -> None:
        self._mq = mq
        self._queue = queue
        self._slots = slots
        self._wait_s = wait_s
        self._next_wait_s = 0.0
        self._is_busy = False
        self._budget = budget
        self._throttle = throttle
        self._on_deliveries = on_deliveries
        self._on_consumed = on_consumed
        self._on_empty = on_empty
        self._on_refused = on_refused
        self._stop = threading.Event()
        self._backoff = Backoff()
        self._thread = threading.Thread(target=self._run, name=f"awf-fetch-{queue}", daemon=True)

    def start(self) -> None:
        """Begin to consume."""
        self._thread.start()

    def stop(self) -> None:
        """Consume no more. The caller interrupts the backend's wait; what still arrives is released."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            reserved = self._slots.reserve(SHARED_WAIT_S, is_busy=self._is_busy)
            if reserved:
                try:
                    self._fetch(reserved)
                except UNEXPECTED:
                    log_internal_error(self._throttle)
                    self._stop.wait(self._backoff.next_s())

    def _fetch(self, reserved: int) -> None:
        granted = self._budget.take(reserved)
        deliveries: Sequence[Delivery] = ()
        try:
            if granted:
                deliveries = self._consume(granted)
        finally:
            self._slots.release(reserved - len(deliveries))
            self._budget.release(granted - len(deliveries))
        self._is_busy = bool(deliveries)
        if deliveries and self._stop.is_set():
            self._release(deliveries)
        elif deliveries:
            self._on_deliveries(deliveries)
        elif not granted:
            self._stop.wait(SHARED_WAIT_S)

    def _consume(self, limit: int) -> Sequence[Delivery]:
        try:
            deliveries = list(self._mq.consume(self._queue, limit=limit, wait_s=self._next_wait_s))
        except BrokerError as exc:
            if isinstance(exc, BrokerMisconfigured):
                self._on_refused(exc)
            self._broker_failed(exc)
            return ()
        if self._backoff.failures:
            log.info(events.BROKER_RECOVERED, queue=self._queue, failures=self._backoff.failures)
            self._backoff.reset()
        # The first call only checks that the broker answers: `worker.ready` must not wait for a first message.
        self._next_wait_s = self._wait_s
        self._on_consumed()
        if not deliveries and not self._stop.is_set():
            self._on_empty(self._queue)
        return deliveries

    def _broker_failed(self, error: BrokerError) -> None:
        wait_s = self._backoff.next_s()
        log_broker_error(
            events.BROKER_UNAVAILABLE, error, self._throttle, queue=self._queue, retry_in_s=round(wait_s, 2)
        )
        self._stop.wait(wait_s)

    def _release(self, deliveries: Sequence[Delivery]) -> None:
        """Delivered after `stop`: nothing starts any more. Where even the release fails, the leases run out."""
        self._slots.release(len(deliveries))
        self._budget.release(len(deliveries))
        try:
            self._mq.nack([Nack(delivery=d, counted=False, reason="drain") for d in deliveries])
        except BrokerError as exc:
            log.warning(events.BROKER_UNAVAILABLE, queue=self._queue, deliveries=len(deliveries), error=str(exc))
