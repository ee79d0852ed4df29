"""A worker's life: connect, consume, and stop without losing a message.

Composed by `build.py`, run by `awf worker` on the main thread. Stopping has three steps. The first TERM or INT drains:
no new deliveries, and what runs may finish within the grace. The second, or the end of the grace, stops what runs and
releases its messages. The third exits at once, and the leases run out.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from awf_core.errors import BrokerError, BrokerMisconfigured
from awf_core.observe import events
from awf_core.observe.log import get_logger
from awf_core.worker.decide import RELEASED_FOR, Decision, release
from awf_core.worker.failures import log_internal_error
from awf_core.worker.fetch import ALONE_WAIT_S, SHARED_WAIT_S, Fetcher
from awf_core.worker.runners import Runners
from awf_core.worker.settle import Settlement
from awf_core.worker.signals import StopSignals
from awf_core.worker.slots import Budget, Slots
from awf_core.worker.startup import connect, ensure_queues

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.clock import Clock
    from awf_core.contract import Delivery
    from awf_core.mq import Mq
    from awf_core.observe.throttle import Throttle
    from awf_core.plugin.observers import Observers
    from awf_core.worker.lease_renewal import LeaseKeeper
    from awf_core.worker.pipeline import Pipeline
    from awf_core.worker.settle import Settler

EXIT_DRAINED = 0
EXIT_DEAD_LETTERED = 3
EXIT_FORCED = 5

SHORT_WAIT_S = 0.2
REPORT_EVERY_S = 5.0
STOP_RUNS_WITHIN_S = 8.0
SETTLE_WITHIN_S = 5.0
INTERNAL_ERROR_DELAY_S = 30.0
log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How this worker serves. `max_messages=None` = no end; `burst` = exit when the queues are empty."""

    worker: str
    queues: tuple[str, ...]
    dead_letter_queue: str | None
    undeliverable_queue: str
    concurrency: int
    grace_s: float
    connect_timeout_s: float
    burst: bool = False
    max_messages: int | None = None


@dataclass(slots=True)
class Tally:
    """What became of the messages so far. Written by the settle thread only."""

    settled: int = 0
    dead: int = 0
    released: int = 0
    lost: int = 0


class Worker:
    """One worker process. `serve` is called once, on the main thread."""

    def __init__(
        self,
        serving: Serving,
        *,
        mq: Mq,
        leases: LeaseKeeper,
        settler: Settler,
        pipeline: Pipeline,
        observers: Observers,
        clock: Clock,
        throttle: Throttle,
    ) -> None:
        self._serving = serving
        self._mq = mq
        self._leases = leases
        self._settler = settler
        self._observers = observers
        self._clock = clock
        self._throttle = throttle
        self._slots = Slots(serving.concurrency, sharers=len(serving.queues))
        self._budget = Budget(serving.max_messages)
        self._runners = Runners(
            serving.concurrency,
            handle=pipeline.handle,
            release=self._release,
            on_internal_error=self._not_handled,
            on_free=self._slots.release,
            clock=clock,
        )
        self._fetchers = [self._fetcher(queue) for queue in serving.queues]
        self._signals = StopSignals(clock)
        self._ready = threading.Lock()
        self._is_empty = False
        self._refusal: BrokerMisconfigured | None = None
        self.tally = Tally()

    def serve(self) -> int:
        """Work until a reason to stop; returns the exit code of `awf worker`.

        Raises BrokerUnavailable when the broker isn't reached in time, BrokerMisconfigured when retrying can't help.
        """
        with self._signals:
            try:
                if not self._connect():
                    return EXIT_DRAINED
                self._start()
                reason = self._wait_for_end()
                return self._stop(reason)
            finally:
                self._mq.close()

    def on_settled(self, settlement: Settlement, ending: str) -> None:
        """How each delivery ended: as decided, or `lost`. Called on the settle thread."""
        decision, reason = settlement.decision, settlement.decision.summary
        is_nack = decision.ending == "nack"
        self._leases.drop(settlement.delivery)
        self._count(decision, ending)
        log.info(
            events.MESSAGE_SETTLED,
            message_id=settlement.message_id,
            settlement=ending,
            **({"reason": reason} if reason else {}),
            **({"delay_s": round(decision.delay_s, 3), "counted": decision.counted} if is_nack else {}),
        )
        duration_s = self._clock.monotonic() - settlement.received_at
        self._observers.message_settled(settlement.delivery, ending, reason, duration_s)
        if self._budget.is_spent and not self._leases.count():
            self._signals.wake()

    def _count(self, decision: Decision, ending: str) -> None:
        self.tally.settled += 1
        self.tally.dead += ending in ("dead_letter", "discard")
        self.tally.lost += ending == "lost"
        self.tally.released += decision.reason in RELEASED_FOR

    def _connect(self) -> bool:
        serving = self._serving

        def prepare() -> None:
            ensure_queues(
                self._mq,
                serving.queues,
                dead_letter_queue=serving.dead_letter_queue,
                undeliverable_queue=serving.undeliverable_queue,
            )

        return connect(
            self._mq,
            prepare,
            timeout_s=serving.connect_timeout_s,
            clock=self._clock,
            throttle=self._throttle,
            wait=self._signals.is_asked,
        )

    def _start(self) -> None:
        serving = self._serving
        self._observers.worker_started(serving.worker, serving.queues, serving.concurrency)
        self._leases.start()
        self._settler.start(self.on_settled)
        self._runners.start()
        for fetcher in self._fetchers:
            fetcher.start()

    def _fetcher(self, queue: str) -> Fetcher:
        return Fetcher(
            self._mq,
            queue,
            self._slots,
            wait_s=self._consume_wait_s(),
            budget=self._budget,
            throttle=self._throttle,
            on_deliveries=self._take,
            on_consumed=self._consumed,
            on_empty=self._found_empty,
            on_refused=self._refused,
        )

    def _consume_wait_s(self) -> float:
        """How long a fetcher may sit on the slots it reserved: briefly where another has none to consume with."""
        queues = len(self._serving.queues)
        if self._serving.burst or self._serving.concurrency < queues:
            return SHORT_WAIT_S
        return SHARED_WAIT_S if queues > 1 else ALONE_WAIT_S

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        self._leases.take(deliveries)
        self._budget.use(len(deliveries))
        self._runners.put(deliveries)

    def _consumed(self) -> None:
        if self._ready.acquire(blocking=False):
            log.info(events.WORKER_READY, worker=self._serving.worker, queues=list(self._serving.queues))

    def _refused(self, error: BrokerMisconfigured) -> None:
        """Before the first answer, exit: nothing will ever run. Later, an operator may be repairing it."""
        if not self._ready.locked():
            self._refusal = error
            self._signals.wake()

    def _found_empty(self, queue: str) -> None:  # noqa: ARG002
        if self._serving.burst and not self._leases.count() and self._are_all_empty():
            self._is_empty = True
            self._signals.wake()

    def _are_all_empty(self) -> bool:
        """Nothing is ready and nothing will become so. What other workers have in hand is not counted."""
        try:
            stats = [self._mq.stats(queue) for queue in self._serving.queues]
        except BrokerError:
            return False
        return not any((s.ready or 0) + (s.delayed or 0) for s in stats) and not self._leases.count()

    def _release(self, delivery: Delivery) -> None:
        self._submit(delivery, release("drain"))

    def _not_handled(self, delivery: Delivery) -> None:
        """The pipeline itself raised, which it never should: the message is redelivered later, and counted."""
        log_internal_error(self._throttle)
        self._submit(delivery, Decision(ending="nack", delay_s=INTERNAL_ERROR_DELAY_S, reason="internal_error"))

    def _submit(self, delivery: Delivery, decision: Decision) -> None:
        self._settler.submit(Settlement(delivery=delivery, decision=decision, received_at=self._clock.monotonic()))

    def _wait_for_end(self) -> str:
        """Sleep until there is a reason to stop."""
        while True:
            if self._signals.is_asked(None):
                return "signal"
            if self._refusal is not None and not self._ready.locked():
                raise self._refusal
            if self._is_empty:
                return "dry"
            if self._budget.is_spent and not self._leases.count():
                return "max_messages"

    def _stop(self, reason: str) -> int:
        log.info(
            events.WORKER_DRAINING, reason=reason, running=len(self._runners.running()), grace_s=self._serving.grace_s
        )
        self._observers.worker_stopping(self._serving.worker, reason)
        self._stop_consuming()
        is_forced = not self._drain()
        if is_forced:
            stopped = self._leases.cancel_all("stop")
            log.warning(events.WORKER_FORCED, running=stopped)
        with self._signals.heard_meanwhile():
            self._runners.stop(STOP_RUNS_WITHIN_S)
            unsettled = self._settler.stop(SETTLE_WITHIN_S)
            self._leases.stop()
        exit_code = self._exit_code(is_forced=is_forced or unsettled > 0)
        tally = self.tally
        log.info(
            events.WORKER_STOPPED,
            exit_code=exit_code,
            settled=tally.settled,
            dead_lettered=tally.dead,
            released=tally.released,
            lost=tally.lost,
            unsettled=unsettled,
        )
        return exit_code

    def _stop_consuming(self) -> None:
        for fetcher in self._fetchers:
            fetcher.stop()
        self._slots.close()
        self._runners.drain()
        self._mq.interrupt()
        for fetcher in self._fetchers:
            fetcher.join(self._mq.capabilities.interrupt_s + SHARED_WAIT_S)

    def _drain(self) -> bool:
        """Let what runs finish; False when the grace is over or a second signal came first."""
        end = self._clock.monotonic() + self._serving.grace_s
        report_at = self._clock.monotonic() + REPORT_EVERY_S
        while self._leases.count():
            now = self._clock.monotonic()
            if now >= end:
                return False
            if now >= report_at:
                report_at = now + REPORT_EVERY_S
                self._report()
            if self._signals.is_asked(min(0.05, end - now)):
                return False
        return True

    def _report(self) -> None:
        now = self._clock.monotonic()
        running = {str(r.delivery.id): round(now - r.since, 1) for r in self._runners.running()}
        log.info(events.WORKER_DRAINING, running=len(running), age_s=running)

    def _exit_code(self, *, is_forced: bool) -> int:
        if is_forced:
            return EXIT_FORCED
        if self._serving.burst and self.tally.dead:
            return EXIT_DEAD_LETTERED
        return EXIT_DRAINED
