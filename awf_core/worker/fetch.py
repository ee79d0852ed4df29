"""Take deliveries from one queue, as many as there are free slots, and hand them to the runners.

One thread per queue. A broker that is away is asked again with backoff; what runs meanwhile runs on.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from awf_core.backoff import Backoff
from awf_core.contract import Nack
from awf_core.errors import BrokerError, BrokerMisconfigured
from awf_core.observe import events
from awf_core.observe.log import get_logger
from awf_core.worker.defects import UNEXPECTED, say_defect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.contract import Delivery
    from awf_core.mq import Mq
    from awf_core.observe.throttle import Throttle
    from awf_core.worker.slots import Slots

ALONE_WAIT_S = 20.0
SHARED_WAIT_S = 1.0
"""With several queues a waiting fetcher sits on slots another could use, so it waits shorter."""

log = get_logger(__name__)


class Fetcher:
    """Consumes one queue until told to stop.

    `on_deliveries` gets each batch; `on_empty` is called when a consume brought nothing, `on_consumed` after every
    consume that the broker answered, `on_refused` when it says that asking again can't help. All on this fetcher's
    thread; it asks again in any case.
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
        """Take nothing more. The caller interrupts the backend's wait; what still arrives is given back."""
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
                    say_defect(self._throttle)
                    self._stop.wait(self._backoff.next_s())

    def _fetch(self, reserved: int) -> None:
        granted = self._budget.take(reserved)
        deliveries: Sequence[Delivery] = ()
        try:
            if granted:
                deliveries = self._consume(granted)
        finally:
            self._slots.release(reserved - len(deliveries))
            self._budget.give_back(granted - len(deliveries))
        self._is_busy = bool(deliveries)
        if deliveries and self._stop.is_set():
            self._give_back(deliveries)
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
        # The first call only asks whether the broker answers: `worker.ready` must not wait for a first message.
        self._next_wait_s = self._wait_s
        self._on_consumed()
        if not deliveries and not self._stop.is_set():
            self._on_empty(self._queue)
        return deliveries

    def _broker_failed(self, error: BrokerError) -> None:
        wait_s = self._backoff.next_s()
        muted = self._throttle.take("broker")
        if muted is not None:
            log.warning(
                events.BROKER_UNAVAILABLE,
                queue=self._queue,
                error=str(error),
                hint=error.hint,
                retry_in_s=round(wait_s, 2),
                muted=muted,
            )
        self._stop.wait(wait_s)

    def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Taken after the stop: not ours to start. Where even this fails, the leases run out."""
        self._slots.release(len(deliveries))
        self._budget.give_back(len(deliveries))
        try:
            self._mq.nack([Nack(delivery=d, counted=False, reason="drain") for d in deliveries])
        except BrokerError as exc:
            log.warning(events.BROKER_UNAVAILABLE, queue=self._queue, deliveries=len(deliveries), error=str(exc))


class Budget:
    """How many messages a worker may still take (`--max-messages`); None = no end. Thread-safe.

    Granted is not yet taken: a fetcher may hold a grant for as long as its queue is empty.
    """

    def __init__(self, total: int | None) -> None:
        self._left = total
        self._untaken = total
        self._lock = threading.Lock()

    def take(self, wanted: int) -> int:
        """Up to `wanted` of what is left."""
        if self._left is None:
            return wanted
        with self._lock:
            granted = min(wanted, self._left)
            self._left -= granted
            return granted

    def give_back(self, count: int) -> None:
        """What was granted and not used."""
        if self._left is not None and count:
            with self._lock:
                self._left += count

    def use(self, count: int) -> None:
        """So many messages were taken. Called once they are in hand, so that none is overlooked in between."""
        if self._untaken is not None:
            with self._lock:
                self._untaken -= count

    @property
    def is_spent(self) -> bool:
        """Whether as many messages as there may be were taken."""
        return self._untaken == 0
