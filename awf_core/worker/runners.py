"""The threads that run workflows: each takes a delivery, brings it through the pipeline and frees its slot."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, NamedTuple

from awf_core.worker.failures import UNEXPECTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from awf_core.clock import Clock
    from awf_core.contract import Delivery


class Running(NamedTuple):
    """A delivery that runs now; `since` in monotonic seconds. A tuple, because one is made for every message."""

    delivery: Delivery
    since: float


class Runners:
    """A fixed number of runner threads. `put` never blocks: fetchers take no more than there are slots."""

    def __init__(
        self,
        count: int,
        *,
        handle: Callable[[Delivery], None],
        release: Callable[[Delivery], None],
        on_internal_error: Callable[[Delivery], None],
        on_free: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._handle = handle
        self._release = release
        self._on_internal_error = on_internal_error
        self._on_free = on_free
        self._clock = clock
        self._work: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        self._running: dict[int, Running] = {}
        self._is_draining = False
        self._threads = [
            threading.Thread(target=self._run, name=f"awf-run-{number}", daemon=True) for number in range(count)
        ]

    def start(self) -> None:
        """Begin to run."""
        for thread in self._threads:
            thread.start()

    def put(self, deliveries: Iterable[Delivery]) -> None:
        """Run these next."""
        for delivery in deliveries:
            self._work.put(delivery)

    def drain(self) -> None:
        """Start no more runs: deliveries that wait for a runner are released. Idempotent."""
        self._is_draining = True

    def stop(self, timeout_s: float) -> bool:
        """End the threads; False where one still runs a workflow after `timeout_s` seconds."""
        for _ in self._threads:
            self._work.put(None)
        end = self._clock.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, end - self._clock.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def running(self) -> list[Running]:
        """What runs now, longest first."""
        return sorted(self._running.values(), key=lambda running: running.since)

    def _run(self) -> None:
        key = threading.get_ident()
        while (delivery := self._work.get()) is not None:
            if self._is_draining:
                self._release(delivery)
            else:
                self._running[key] = Running(delivery, self._clock.monotonic())
                try:
                    self._handle(delivery)
                except UNEXPECTED:
                    self._on_internal_error(delivery)
                del self._running[key]
            self._on_free()
