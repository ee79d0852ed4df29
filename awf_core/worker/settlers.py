"""The settlers of all queues: each settlement goes to that of its queue. Started and stopped by `serve.py`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from awf_core.units import MAX_SPAN_S
from awf_core.worker.settle import Settler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.clock import Clock
    from awf_core.mq import Mq
    from awf_core.observe.throttle import Throttle
    from awf_core.worker.lease_renewal import LeaseKeeper
    from awf_core.worker.settlement import Settlement
    from awf_core.worker.undeliverable import UndeliverableResults

JOIN_S = 1.0
"""How long a slow answer of the broker may delay the end of the process."""


class Settlers:
    """A settler for each queue. Thread-safe."""

    def __init__(
        self,
        mq: Mq,
        queues: Sequence[str],
        *,
        leases: LeaseKeeper,
        undeliverable: UndeliverableResults,
        clock: Clock,
        throttle: Throttle,
    ) -> None:
        longest_s = mq.capabilities.max_nack_delay_s
        self._longest_delay_s = MAX_SPAN_S if longest_s is None else longest_s
        self._clock = clock
        self._on_settled: Callable[[Settlement, str], None]
        self._by_queue = {
            queue: Settler(
                queue,
                mq,
                leases=leases,
                undeliverable=undeliverable,
                clock=clock,
                throttle=throttle,
                on_settled=self._report,
            )
            for queue in queues
        }

    def start(self, on_settled: Callable[[Settlement, str], None]) -> None:
        """Begin to flush. `on_settled(settlement, ending)` is called for each, on its queue's thread; "lost" is one."""
        self._on_settled = on_settled
        for settler in self._by_queue.values():
            settler.start()

    def _report(self, settlement: Settlement, ending: str) -> None:
        self._on_settled(settlement, ending)

    def submit(self, settlement: Settlement) -> None:
        """Settle this one soon. Its delay is bounded by the longest that the broker keeps."""
        if settlement.decision.delay_s > self._longest_delay_s:
            settlement = replace(settlement, decision=replace(settlement.decision, delay_s=self._longest_delay_s))
        self._by_queue[settlement.in_hand.key[0]].submit(settlement)

    def stop(self, timeout_s: float) -> int:
        """Flush what is pending for at most `timeout_s` seconds and end the threads; returns how many are unsettled."""
        settlers = list(self._by_queue.values())
        end = self._clock.monotonic() + timeout_s
        for settler in settlers:
            settler.finish(max(0.0, end - self._clock.monotonic()))
        for settler in settlers:
            settler.stop()
        end = self._clock.monotonic() + JOIN_S
        for settler in settlers:
            settler.join(max(0.0, end - self._clock.monotonic()))
        return sum(settler.pending for settler in settlers)
