"""Consume one queue, as many deliveries as there are free slots, and pass them on to the runners.

One thread per queue. A broker that can't be reached is asked again with backoff; runs go on meanwhile. A fetcher that
waits for anything but a message holds no slot.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from awf_core.backoff import Backoff
from awf_core.errors import BrokerError, BrokerMisconfigured
from awf_core.observe import events
from awf_core.observe.log import get_logger
from awf_core.worker.failures import UNEXPECTED, log_broker_error, log_internal_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.contract import Delivery
    from awf_core.mq import Mq
    from awf_core.observe.throttle import Throttle
    from awf_core.worker.claims import Claims
    from awf_core.worker.lease_renewer import LeaseRenewer
    from awf_core.worker.slots import Budget, Slots

ALONE_WAIT_S = 20.0
SHARED_WAIT_S = 1.0
"""With several queues a waiting fetcher reserves slots that another could use, so it waits shorter."""

log = get_logger(__name__)


class Fetcher:
    """Consumes one queue until `stop`.

    `on_deliveries` gets each batch and returns how many of it are new messages; `on_empty` is called when a consume
    brought nothing, `on_consumed` after every consume that the broker answered, `on_refused` when the broker says that
    retrying can't help. All on this fetcher's thread; it consumes again in any case. `claims` counts the consumes
    of a worker that ends when all queues are empty.
    """

    def __init__(
        self,
        mq: Mq,
        queue: str,
        slots: Slots,
        *,
        leases: LeaseRenewer,
        claims: Claims | None,
        wait_s: float,
        budget: Budget,
        throttle: Throttle,
        on_deliveries: Callable[[Sequence[Delivery]], int],
        on_consumed: Callable[[], None],
        on_empty: Callable[[], None],
        on_refused: Callable[[BrokerMisconfigured], None],
    ) -> None:
        self._mq = mq
        self._queue = queue
        self._slots = slots
        self._leases = leases
        self._claims = claims
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
        """Consume no more. The caller interrupts the backend's wait; what still arrives is taken, and released."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                reserved = self._slots.reserve(SHARED_WAIT_S, is_busy=self._is_busy)
                if not reserved:
                    self._note_backlog()
                elif self._leases.is_behind():
                    # What is overdue may be delivered again: renew it first.
                    self._slots.release(reserved)
                    self._leases.wait_until_renewed(SHARED_WAIT_S)
                else:
                    self._fetch(reserved)
            except UNEXPECTED:
                log_internal_error(self._throttle)
                self._stop.wait(self._backoff.next_s())

    def _fetch(self, reserved: int) -> None:
        granted = self._budget.take(reserved)
        fresh, pause_s, is_empty = 0, 0.0, False
        try:
            if not granted:
                pause_s = SHARED_WAIT_S
            elif self._claims is None or self._claims.begin(self._queue):
                fresh, is_empty = self._claim(granted)
            else:
                self._stop.set()
        except BrokerError as exc:
            pause_s = self._failed(exc)
        finally:
            self._slots.release(reserved - fresh)
            self._budget.release(granted - fresh)
        self._is_busy = fresh > 0
        if pause_s:
            self._stop.wait(pause_s)
        elif is_empty and not self._stop.is_set():
            self._on_empty()

    def _claim(self, limit: int) -> tuple[int, bool]:
        """Consume once; returns how many messages are new, and whether nothing came. Raises BrokerError."""
        count = None
        try:
            deliveries = list(self._mq.consume(self._queue, limit=limit, wait_s=self._next_wait_s))
            self._answered()
            fresh = self._on_deliveries(deliveries) if deliveries else 0
            count = len(deliveries)
        finally:
            if self._claims is not None:
                self._claims.end(self._queue, count=count)
        return fresh, not deliveries

    def _answered(self) -> None:
        if self._backoff.failures:
            log.info(events.BROKER_RECOVERED, queue=self._queue, failures=self._backoff.failures)
            self._backoff.reset()
        # The first call only checks that the broker answers: `worker.ready` must not wait for a first message.
        self._next_wait_s = self._wait_s
        self._on_consumed()

    def _failed(self, error: BrokerError) -> float:
        """Returns for how many seconds to pause."""
        if isinstance(error, BrokerMisconfigured):
            self._on_refused(error)
        self._leases.connection_failed()
        pause_s = self._backoff.next_s()
        log_broker_error(
            events.BROKER_UNAVAILABLE, error, self._throttle, queue=self._queue, retry_in_s=round(pause_s, 2)
        )
        return pause_s

    def _note_backlog(self) -> None:
        if self._slots.is_full_of_unsettled and not self._stop.is_set():
            muted = self._throttle.take("backlog")
            if muted is not None:
                log.warning(events.SETTLE_BACKLOG, queue=self._queue, muted=muted)
