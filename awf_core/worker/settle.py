"""Settle deliveries: batches to the backend, retried while the lease holds, and never a second run for a lost reply.

Runners submit settlements and go on. One thread flushes what was submitted since its last call of the broker, so
batches grow by themselves where the broker is slow, and a lone message does not wait.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from awf_core.backoff import Backoff
from awf_core.contract import Ack, DeadLetter, Nack
from awf_core.crash_points import crash_point
from awf_core.errors import BrokerError, LeaseLost
from awf_core.observe import events
from awf_core.observe.log import lines_together
from awf_core.result import cut
from awf_core.worker.failures import UNEXPECTED, checked_answers, log_broker_error, log_internal_error
from awf_core.worker.undeliverable import UNDELIVERABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from awf_core.clock import Clock
    from awf_core.contract import Delivery, Outgoing
    from awf_core.mq import Mq
    from awf_core.observe.throttle import Throttle
    from awf_core.worker.decide import Decision, Ending
    from awf_core.worker.undeliverable import UndeliverableResults

LINGER_S = 0.002
"""How long a settlement waits for others that are about to be submitted."""

JOIN_S = 2.0
"""How long a slow answer of the broker may delay the end of the process."""

NEVER = 1 << 60
"""The batch size to wake up for while a flush is under way: no batch is as large."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settlement:
    """How one delivery is to end, and what the log and the observers get when it has.

    replies       published with the ack, or as the message is dead-lettered
    unsafe        why nothing may be published to the reply address; None = it may
    history       what a dead-lettered message carries
    received_at   monotonic seconds
    """

    delivery: Delivery
    decision: Decision
    received_at: float
    message_id: str | None = None
    replies: tuple[Outgoing, ...] = ()
    unsafe: str | None = None
    dead_letter_queue: str | None = None
    history: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class _Call:
    """One of the backend's settling calls: the endings it is for, and the crash points around it."""

    endings: tuple[Ending, ...]
    argument: Callable[[Settlement], Any]
    call: Callable[[Any], Sequence[BrokerError | None]]
    before: str
    after: str


class Settler:
    """Ends deliveries, exactly once each. `submit` is thread-safe and never blocks on the broker."""

    def __init__(
        self,
        mq: Mq,
        *,
        clock: Clock,
        throttle: Throttle,
        undeliverable: UndeliverableResults,
        is_lost: Callable[[Delivery], bool],
        in_hand: Callable[[], int],
    ) -> None:
        self._batch = mq.capabilities.batch
        self._max_delay_s = mq.capabilities.max_delay_s
        self._clock = clock
        self._throttle = throttle
        self._undeliverable = undeliverable
        self._is_lost = is_lost
        self._in_hand = in_hand
        self._calls = (
            _Call(("ack", "discard"), _ack, mq.ack, "settle.before_ack", "settle.acked"),
            _Call(("nack",), _nack, mq.nack, "settle.before_nack", "settle.nacked"),
            _Call(("dead_letter",), _dead_letter, mq.dead_letter, "settle.before_dead_letter", "settle.dead_lettered"),
        )
        self._on_settled: Callable[[Settlement, Ending | str], None]
        self._waiting: deque[Settlement] = deque()
        self._later: deque[tuple[float, Settlement]] = deque()
        self._changed = threading.Condition()
        self._busy = 0
        self._wanted = 1
        self._stopped = False
        self._backoff = Backoff()
        self._thread = threading.Thread(target=self._run, name="awf-settle", daemon=True)

    @property
    def pending(self) -> int:
        """Settlements the broker has not accepted yet. Exact on the settle thread; elsewhere a moment's count."""
        return len(self._waiting) + len(self._later) + self._busy

    def start(self, on_settled: Callable[[Settlement, str], None]) -> None:
        """Begin to flush. `on_settled(settlement, ending)` is called on the settle thread for each; "lost" is one."""
        self._on_settled = on_settled
        self._thread.start()

    def submit(self, settlement: Settlement) -> None:
        """Settle this one soon. Its delay is bounded by the longest that the broker keeps."""
        delay_s = settlement.decision.delay_s
        if self._max_delay_s is not None and delay_s > self._max_delay_s:
            settlement = replace(settlement, decision=replace(settlement.decision, delay_s=self._max_delay_s))
        self._waiting.append(settlement)
        # Read without the lock, since every message comes by here. No wake-up is missed: this thread appends and then
        # reads `_wanted`, the settle thread writes `_wanted` and then reads the deque, so one of them sees the other.
        if len(self._waiting) >= self._wanted:
            with self._changed:
                self._wanted = NEVER
                self._changed.notify_all()

    def stop(self, timeout_s: float) -> int:
        """Flush what is pending for at most `timeout_s` seconds and end the thread; returns how many are unsettled."""
        with self._changed:
            self._changed.wait_for(lambda: self.pending == 0, timeout_s)
            self._stopped = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)
        return self.pending

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = 0
                self._changed.notify_all()
                self._linger()
                if self._stopped:
                    return
                batch = self._take_batch()
            unsettled = self._flush_safely(batch)
            if not unsettled:
                self._backoff.reset()
                continue
            # Each waits by itself: one that can't be settled must not hold up those that can.
            retry_at = self._clock.monotonic() + self._backoff.next_s()
            with self._changed:
                self._later.extend((retry_at, settlement) for settlement in unsettled)

    def _linger(self) -> None:
        """With the lock held: wait for work, then a moment for what else is about to be submitted.

        One transaction or confirm for five costs little more than for one. With no other delivery in hand: no wait.
        """
        self._wanted = 1
        self._changed.wait_for(self._has_work, self._wait_s())
        wanted = min(self._in_hand() - len(self._later), self._batch)
        if len(self._waiting) < wanted and not self._stopped:
            self._wanted = wanted
            self._changed.wait_for(lambda: len(self._waiting) >= wanted or self._stopped, LINGER_S)
        self._wanted = NEVER

    def _has_work(self) -> bool:
        return bool(self._waiting) or self._stopped or self._is_retry_due()

    def _is_retry_due(self) -> bool:
        return bool(self._later) and self._later[0][0] <= self._clock.monotonic()

    def _wait_s(self) -> float | None:
        return max(0.0, self._later[0][0] - self._clock.monotonic()) if self._later else None

    def _take_batch(self) -> list[Settlement]:
        batch: list[Settlement] = []
        while len(batch) < self._batch and self._is_retry_due():
            batch.append(self._later.popleft()[1])
        while len(batch) < self._batch and self._waiting:
            batch.append(self._waiting.popleft())
        self._busy = len(batch)
        return batch

    def _flush_safely(self, batch: Sequence[Settlement]) -> list[Settlement]:
        try:
            return self._flush(batch)
        except UNEXPECTED:
            # Those that were settled are settled again: the backend answers None or LeaseLost.
            log_internal_error(self._throttle)
            return list(batch)

    def _flush(self, batch: Sequence[Settlement]) -> list[Settlement]:
        """Settle a batch; returns what has to be tried again."""
        ready: list[Settlement] = []
        again: list[Settlement] = []
        for settlement in batch:
            safe = self._redirect(settlement, settlement.unsafe) if settlement.unsafe else settlement
            (again if safe.unsafe else ready).append(safe)
        for call in self._calls:
            group = [settlement for settlement in ready if settlement.decision.ending in call.endings]
            if group:
                again += self._settle(group, call)
        return again

    def _settle(self, group: Sequence[Settlement], call: _Call) -> list[Settlement]:
        crash_point(call.before)
        try:
            answers = checked_answers(call.call([call.argument(settlement) for settlement in group]), len(group))
        except BrokerError as exc:
            return self._after_none(group, exc)
        except UNEXPECTED:
            # The effect is unknown. Where it happened, the next try is answered with None or LeaseLost.
            log_internal_error(self._throttle)
            return list(group)
        crash_point(call.after)
        with lines_together():
            again = [self._after(settlement, error) for settlement, error in zip(group, answers, strict=True)]
        return [settlement for settlement in again if settlement is not None]

    def _after_none(self, group: Sequence[Settlement], error: BrokerError) -> list[Settlement]:
        """The backend attempted nothing, so `error` concerns the broker and no reply address.

        Seen with Redis: a password changed for a moment sent finished results to the undeliverable queue.
        """
        again = []
        for settlement in group:
            if self._is_lost(settlement.delivery):
                self._on_settled(settlement, "lost")
            else:
                self._log_retried(settlement, error)
                again.append(settlement)
        return again

    def _after(self, settlement: Settlement, error: BrokerError | None) -> Settlement | None:
        """What the broker answered for one: None = settled or lost, else what to try next."""
        if error is None:
            self._on_settled(settlement, settlement.decision.ending)
            crash_point("settle.reported")
            return None
        if isinstance(error, LeaseLost) or self._is_lost(settlement.delivery):
            self._on_settled(settlement, "lost")
            return None
        if isinstance(error, UNDELIVERABLE) and settlement.replies:
            return self._redirect(settlement, str(error))
        self._log_retried(settlement, error)
        return settlement

    def _redirect(self, settlement: Settlement, why: str) -> Settlement:
        """The settlement without its replies, which are in the undeliverable queue; unchanged where that failed."""
        failed = self._undeliverable.store(settlement.replies, message_id=settlement.message_id, why=why)
        if failed is None:
            return replace(settlement, replies=(), unsafe=None)
        self._log_retried(settlement, failed)
        return settlement

    def _log_retried(self, settlement: Settlement, error: BrokerError) -> None:
        log_broker_error(
            events.SETTLE_RETRIED, error, self._throttle, message_id=settlement.message_id, pending=self.pending
        )


def _ack(settlement: Settlement) -> Ack:
    return Ack(delivery=settlement.delivery, replies=settlement.replies)


def _nack(settlement: Settlement) -> Nack:
    decision = settlement.decision
    return Nack(
        delivery=settlement.delivery,
        delay_s=decision.delay_s,
        counted=decision.counted,
        reason=cut(decision.reason or decision.error, 1000),
    )


def _dead_letter(settlement: Settlement) -> DeadLetter:
    assert settlement.dead_letter_queue is not None
    return DeadLetter(
        delivery=settlement.delivery,
        queue=settlement.dead_letter_queue,
        reason=settlement.decision.reason,
        error=cut(settlement.decision.error, 4000),
        history=settlement.history,
        replies=settlement.replies,
    )
