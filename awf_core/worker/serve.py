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
from awf_core.result import first_line
from awf_core.worker.claims import Claims
from awf_core.worker.decide import DEFERRED_FOR, Decision, release
from awf_core.worker.failures import log_internal_error
from awf_core.worker.fetch import ALONE_WAIT_S, SHARED_WAIT_S, Fetcher
from awf_core.worker.outcome import LEASE_LOST
from awf_core.worker.runners import Runners
from awf_core.worker.settlement import Settlement
from awf_core.worker.signals import StopSignals
from awf_core.worker.slots import Budget, Slots
from awf_core.worker.startup import connect, ensure_queues
from awf_core.worker.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.clock import Clock
    from awf_core.contract import Delivery
    from awf_core.mq import Mq
    from awf_core.observe.throttle import Throttle
    from awf_core.plugin.observers import Observers
    from awf_core.worker.in_hand import LeasedDelivery
    from awf_core.worker.lease_renewal import LeaseKeeper
    from awf_core.worker.pipeline import Pipeline
    from awf_core.worker.settlers import Settlers

EXIT_DRAINED = 0
EXIT_DEAD_LETTERED = 3
EXIT_FORCED = 5

SHORT_WAIT_S = 0.2
REPORT_EVERY_S = 5.0
STOP_RUNS_WITHIN_S = 8.0
SETTLE_WITHIN_S = 3.0
FETCH_WITHIN_S = 2.0
"""How long after the grace an answer of the broker to a claim may delay the end."""
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
    max_unsettled: int
    grace_s: float
    connect_timeout_s: float
    burst: bool = False
    max_messages: int | None = None


class Worker:
    """One worker process. `serve` is called once, on the main thread."""

    def __init__(
        self,
        serving: Serving,
        *,
        mq: Mq,
        leases: LeaseKeeper,
        settlers: Settlers,
        pipeline: Pipeline,
        observers: Observers,
        clock: Clock,
        throttle: Throttle,
    ) -> None:
        self._serving = serving
        self._mq = mq
        self._leases = leases
        self._settlers = settlers
        self._observers = observers
        self._clock = clock
        self._throttle = throttle
        self._slots = Slots(serving.concurrency, unsettled=serving.max_unsettled, sharers=len(serving.queues))
        self._claims = Claims(len(serving.queues)) if serving.burst else None
        self._budget = Budget(serving.max_messages)
        self._runners = Runners(
            serving.concurrency,
            handle=pipeline.handle,
            release=self._release,
            on_internal_error=self._not_handled,
            on_free=self._slots.ran,
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
        """How each message ended: as decided, or `lost`. Called on the settle threads."""
        reason = LEASE_LOST if ending == "lost" else settlement.decision.summary
        self._leases.drop(settlement.in_hand)
        self._slots.settled()
        self.tally.count(settlement.decision, ending)
        self._log_settled(settlement, ending, reason)
        duration_s = self._clock.monotonic() - settlement.received_at
        self._observers.message_settled(settlement.delivery, ending, reason, duration_s)
        if self._budget.is_spent and not self._leases.count():
            self._signals.wake()

    def _log_settled(self, settlement: Settlement, ending: str, reason: str) -> None:
        """What an operator may have to act on is a warning: dead-lettered, lost and deferred messages."""
        decision, is_nack = settlement.decision, ending == "nack"
        if ending in ("dead_letter", "discard", "lost") or decision.reason in DEFERRED_FOR:
            log.warning(
                events.MESSAGE_SETTLED,
                worker=self._serving.worker,
                message_id=settlement.message_id,
                settlement=ending,
                reason=reason,
                error=first_line(decision.error),
                **({"delay_s": round(decision.delay_s, 3), "counted": decision.counted} if is_nack else {}),
            )
            return
        log.info(
            events.MESSAGE_SETTLED,
            message_id=settlement.message_id,
            settlement=ending,
            **({"reason": reason} if reason else {}),
            **({"delay_s": round(decision.delay_s, 3), "counted": decision.counted} if is_nack else {}),
        )

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
        self._settlers.start(self.on_settled)
        self._runners.start()
        for fetcher in self._fetchers:
            fetcher.start()

    def _fetcher(self, queue: str) -> Fetcher:
        return Fetcher(
            self._mq,
            queue,
            self._slots,
            leases=self._leases.of_queue(queue),
            claims=self._claims,
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

    def _take(self, deliveries: Sequence[Delivery]) -> int:
        """Run what is new; returns how many that are. Messages in hand go on with their new delivery."""
        fresh = self._leases.take(deliveries).fresh
        self._budget.use(len(fresh))
        self._runners.put(fresh)
        return len(fresh)

    def _consumed(self) -> None:
        if self._ready.acquire(blocking=False):
            log.info(events.WORKER_READY, worker=self._serving.worker, queues=list(self._serving.queues))

    def _refused(self, error: BrokerMisconfigured) -> None:
        """Before the first answer, exit: nothing will ever run. Later, an operator may be repairing it."""
        if not self._ready.locked():
            self._refusal = error
            self._signals.wake()

    def _found_empty(self) -> None:
        if self._claims is not None and not self._leases.count() and self._claims.are_over(self._are_all_empty):
            self._is_empty = True
            self._signals.wake()

    def _are_all_empty(self) -> bool:
        """Nothing is ready and nothing will become so. What other workers have in hand is not counted."""
        if self._leases.count():
            return False
        try:
            stats = [self._mq.stats(queue) for queue in self._serving.queues]
        except BrokerError:
            return False
        return not any((s.ready or 0) + (s.delayed or 0) for s in stats) and not self._leases.count()

    def _release(self, message: LeasedDelivery) -> None:
        self._submit(message, release("drain"))

    def _not_handled(self, message: LeasedDelivery) -> None:
        """The pipeline itself raised, which it never should: the message is redelivered later, and counted."""
        log_internal_error(self._throttle)
        self._submit(message, Decision(ending="nack", delay_s=INTERNAL_ERROR_DELAY_S, reason="internal_error"))

    def _submit(self, message: LeasedDelivery, decision: Decision) -> None:
        self._settlers.submit(
            Settlement(
                in_hand=message,
                decision=decision,
                received_at=self._clock.monotonic(),
                message_id=message.message_id or message.delivery.id,
                history=message.delivery.history,
            )
        )

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
        grace_ends_at = self._clock.monotonic() + self._serving.grace_s
        self._stop_consuming(grace_ends_at)
        is_forced = not self._drain(grace_ends_at)
        if is_forced:
            stopped = self._leases.cancel_all("stop")
            log.warning(events.WORKER_FORCED, running=stopped)
        with self._signals.heard_meanwhile():
            self._runners.stop(STOP_RUNS_WITHIN_S)
            unsettled = self._settlers.stop(SETTLE_WITHIN_S)
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

    def _stop_consuming(self, grace_ends_at: float) -> None:
        """Claim no more. All fetchers stop at once, so that many on a broker that hangs take no longer than one."""
        for fetcher in self._fetchers:
            fetcher.stop()
        self._slots.close()
        self._runners.drain()
        self._mq.interrupt()
        now = self._clock.monotonic()
        end = min(now + self._mq.capabilities.interrupt_s + SHARED_WAIT_S, grace_ends_at + FETCH_WITHIN_S)
        for fetcher in self._fetchers:
            fetcher.join(max(0.0, end - self._clock.monotonic()))
        self._leases.expect_no_more()

    def _drain(self, end: float) -> bool:
        """Let what runs finish; False when the grace is over or a second signal came first."""
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
        running = {str(r.in_hand.message_id): round(now - r.since, 1) for r in self._runners.running()}
        log.info(events.WORKER_DRAINING, running=len(running), age_s=running)

    def _exit_code(self, *, is_forced: bool) -> int:
        if is_forced:
            return EXIT_FORCED
        if self._serving.burst and self.tally.dead:
            return EXIT_DEAD_LETTERED
        return EXIT_DRAINED
