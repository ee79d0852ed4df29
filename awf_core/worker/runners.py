"""The threads that run workflows: each takes a message in hand, brings it through the pipeline and frees its slot."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, NamedTuple

from awf_core.worker.failures import UNEXPECTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from awf_core.clock import Clock
    from awf_core.worker.in_hand import LeasedDelivery


class Running(NamedTuple):
    """A message that runs now; `since` in monotonic seconds. A tuple, because one is made for every message."""

    in_hand: LeasedDelivery
    since: float


class Runners:
    """A fixed number of runner threads. `put` never blocks: fetchers take no more than there are slots."""

    def __init__(
        self,
        count: int,
        *,
        handle: Callable[[LeasedDelivery], None],
        release: Callable[[LeasedDelivery], None],
        on_internal_error: Callable[[LeasedDelivery], None],
        on_free: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._handle = handle
        self._release = release
        self._on_internal_error = on_internal_error
        self._on_free = on_free
        self._clock = clock
        self._work: queue.SimpleQueue[LeasedDelivery | None] = queue.SimpleQueue()
        self._running: dict[int, Running] = {}
        self._is_draining = False
        self._threads = [
            threading.Thread(target=self._run, name=f"awf-run-{number}", daemon=True) for number in range(count)
        ]

    def start(self) -> None:
        """Begin to run."""
        for thread in self._threads:
            thread.start()

    def put(self, messages: Iterable[LeasedDelivery]) -> None:
        """Run these next."""
        for message in messages:
            self._work.put(message)

    def drain(self) -> None:
        """Start no more runs: messages that wait for a runner are released. Idempotent."""
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
        while (message := self._work.get()) is not None:
            if self._is_draining:
                self._release(message)
            else:
                self._running[key] = Running(message, self._clock.monotonic())
                try:
                    self._handle(message)
                except UNEXPECTED:
                    self._on_internal_error(message)
                del self._running[key]
            self._on_free()
