"""Settle messages: batches to the backend, retried while the message is ours, and never a second run for a lost reply.

Runners submit settlements and go on. One thread for each queue flushes what was submitted since its last call of the
broker, so batches grow by themselves where the broker is slow, a lone message does not wait, and a queue whose broker
hangs holds up no other.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from awf_core.backoff import Backoff
from awf_core.crash_points import crash_point
from awf_core.errors import BrokerError, LeaseLost
from awf_core.observe import events
from awf_core.observe.log import get_logger, lines_together
from awf_core.worker.failures import UNEXPECTED, checked_answers, log_broker_error, log_internal_error
from awf_core.worker.settlement import (
    Settlement,
    SettlingCall,
    after_refusal,
    is_refused_for_good,
    settling_calls,
)
from awf_core.worker.undeliverable import UNDELIVERABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.clock import Clock
    from awf_core.contract import Delivery
    from awf_core.mq import Mq
    from awf_core.observe.throttle import Throttle
    from awf_core.worker.decide import Ending
    from awf_core.worker.lease_renewal import LeaseKeeper
    from awf_core.worker.undeliverable import UndeliverableResults

    OnSettled = Callable[[Settlement, "Ending | str"], None]

LINGER_S = 0.002
"""How long a settlement waits for others that are about to be submitted."""

REBIND_POLL_S = 0.2
"""How often a finished run whose message was lost checks whether it came back."""

NEVER = 1 << 60
"""The batch size to wake up for while a flush is under way: no batch is as large."""

log = get_logger(__name__)


class _Again(NamedTuple):
    """What to try again, after `wait_s` seconds; None = with backoff."""

    settlement: Settlement
    wait_s: float | None = None


class Settler:
    """Ends the messages of one queue, exactly once each. `submit` is thread-safe and never blocks on the broker."""

    def __init__(
        self,
        queue: str,
        mq: Mq,
        *,
        leases: LeaseKeeper,
        undeliverable: UndeliverableResults,
        clock: Clock,
        throttle: Throttle,
        on_settled: OnSettled,
    ) -> None:
        self._queue = queue
        self._batch = mq.capabilities.batch
        self._is_fenced = mq.capabilities.fenced
        self._leases = leases
        self._undeliverable = undeliverable
        self._clock = clock
        self._throttle = throttle
        self._on_settled = on_settled
        self._calls = settling_calls(mq)
        self._waiting: deque[Settlement] = deque()
        self._later: list[tuple[float, int, Settlement]] = []
        self._numbers = count()
        self._changed = threading.Condition()
        self._busy = 0
        self._wanted = 1
        self._is_stopped = False
        self._backoff = Backoff()
        self._thread = threading.Thread(target=self._run, name=f"awf-settle-{queue}", daemon=True)

    @property
    def pending(self) -> int:
        """Settlements the broker has not accepted yet. Exact on the settle thread; elsewhere a moment's count."""
        return len(self._waiting) + len(self._later) + self._busy

    def start(self) -> None:
        """Begin to flush."""
        self._thread.start()

    def submit(self, settlement: Settlement) -> None:
        """Settle this one soon."""
        self._waiting.append(settlement)
        # Read without the lock, since every message comes by here. No wake-up is missed: this thread appends and then
        # reads `_wanted`, the settle thread writes `_wanted` and then reads the deque, so one of them sees the other.
        if len(self._waiting) >= self._wanted:
            with self._changed:
                self._wanted = NEVER
                self._changed.notify_all()

    def finish(self, timeout_s: float) -> None:
        """Wait until all is settled, for at most `timeout_s` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.pending == 0, timeout_s)

    def stop(self) -> None:
        """End the thread after its present call. Idempotent."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = 0
                self._changed.notify_all()
                self._linger()
                if self._is_stopped:
                    return
                batch = self._take_batch()
            again = self._flush_safely(batch)
            if not any(each.wait_s is None for each in again):
                self._backoff.reset()
            if again:
                self._put_off(again)

    def _put_off(self, again: Sequence[_Again]) -> None:
        """Each waits by itself: one that can't be settled must not hold up those that can."""
        backoff_s = self._backoff.next_s() if any(each.wait_s is None for each in again) else 0.0
        now = self._clock.monotonic()
        with self._changed:
            for settlement, wait_s in again:
                settlement.in_hand.is_settling = False
                at = now + (backoff_s if wait_s is None else wait_s)
                heapq.heappush(self._later, (at, next(self._numbers), settlement))

    def _linger(self) -> None:
        """With the lock held: wait for work, then a moment for what else is about to be submitted.

        One transaction or confirm for five costs little more than for one. With no other message in hand: no wait.
        """
        self._wanted = 1
        self._changed.wait_for(self._has_work, self._wait_s())
        wanted = min(self._leases.in_hand.count(self._queue) - len(self._later), self._batch)
        if len(self._waiting) < wanted and not self._is_stopped:
            self._wanted = wanted
            self._changed.wait_for(lambda: len(self._waiting) >= wanted or self._is_stopped, LINGER_S)
        self._wanted = NEVER

    def _has_work(self) -> bool:
        return bool(self._waiting) or self._is_stopped or self._is_retry_due()

    def _is_retry_due(self) -> bool:
        return bool(self._later) and self._later[0][0] <= self._clock.monotonic()

    def _wait_s(self) -> float | None:
        return max(0.0, self._later[0][0] - self._clock.monotonic()) if self._later else None

    def _take_batch(self) -> list[Settlement]:
        batch: list[Settlement] = []
        while len(batch) < self._batch and self._is_retry_due():
            batch.append(heapq.heappop(self._later)[2])
        while len(batch) < self._batch and self._waiting:
            batch.append(self._waiting.popleft())
        self._busy = len(batch)
        return batch

    def _flush_safely(self, batch: Sequence[Settlement]) -> list[_Again]:
        try:
            return self._flush(batch)
        except UNEXPECTED:
            # Those that were settled are settled again: the backend answers None or LeaseLost.
            log_internal_error(self._throttle)
            return [_Again(settlement) for settlement in batch]

    def _flush(self, batch: Sequence[Settlement]) -> list[_Again]:
        """Settle a batch; returns what has to be tried again. What needs no other queue comes first."""
        again: list[_Again] = []
        ready = self._ours(batch, again)
        self._settle_all([settlement for settlement in ready if not settlement.unsafe], again)
        for settlement in ready:
            if settlement.unsafe:
                safe = self._redirect(settlement, settlement.unsafe)
                again.append(_Again(settlement) if safe is None else _Again(safe, 0.0))
        return again

    def _ours(self, batch: Sequence[Settlement], again: list[_Again]) -> list[Settlement]:
        """Those whose message is ours now. Where the lease may have ended, or nothing fences, the broker is asked."""
        ready: list[Settlement] = []
        doubtful: list[Settlement] = []
        now = self._clock.monotonic()
        for settlement in batch:
            message = settlement.in_hand
            if message.is_lost:
                self._end_or_await(settlement, again)
            elif not self._is_fenced or (message.lease_until is not None and message.lease_until <= now):
                doubtful.append(settlement)
            else:
                ready.append(settlement)
        return ready + self._confirmed(doubtful, again) if doubtful else ready

    def _confirmed(self, doubtful: Sequence[Settlement], again: list[_Again]) -> list[Settlement]:
        try:
            answers = self._leases.of_queue(self._queue).renew([settlement.in_hand for settlement in doubtful])
        except BrokerError as exc:
            again += self._after_none(doubtful, exc)
            return []
        ready = []
        for settlement, answer in zip(doubtful, answers, strict=True):
            if settlement.in_hand.is_lost:
                self._end_or_await(settlement, again)
            elif answer is None or isinstance(answer, LeaseLost):
                # LeaseLost of a delivery that is not the newest any more: the newest is ours.
                ready.append(settlement)
            else:
                self._log_retried(settlement, answer)
                again.append(_Again(settlement))
        return ready

    def _end_or_await(self, settlement: Settlement, again: list[_Again]) -> None:
        """The message was lost: it is dropped, unless it may still come back and be bound."""
        if self._leases.is_gone(settlement.in_hand):
            self._on_settled(settlement, "lost")
        else:
            again.append(_Again(settlement, REBIND_POLL_S))

    def _settle_all(self, settlements: Sequence[Settlement], again: list[_Again]) -> None:
        for call in self._calls:
            group = [settlement for settlement in settlements if settlement.decision.ending in call.endings]
            if group:
                self._settle(group, call, again)

    def _settle(self, group: Sequence[Settlement], call: SettlingCall, again: list[_Again]) -> None:
        crash_point(call.before)
        sent = [settlement.delivery for settlement in group]
        for settlement in group:
            settlement.in_hand.is_settling = True
        items = [call.argument(settlement, delivery) for settlement, delivery in zip(group, sent, strict=True)]
        try:
            answers = checked_answers(call.call(items), len(group))
        except BrokerError as exc:
            again += self._after_none(group, exc)
            return
        except UNEXPECTED:
            # The effect is unknown. Where it happened, the next try is answered with None or LeaseLost.
            log_internal_error(self._throttle)
            again += [_Again(settlement) for settlement in group]
            return
        crash_point(call.after)
        with lines_together():
            for settlement, delivery, error in zip(group, sent, answers, strict=True):
                if error is None:
                    self._on_settled(settlement, settlement.decision.ending)
                    crash_point("settle.reported")
                else:
                    self._refused(settlement, delivery, error, again)

    def _after_none(self, group: Sequence[Settlement], error: BrokerError) -> list[_Again]:
        """The backend attempted nothing, so `error` concerns the broker and no reply address.

        PluginFailed: the effect is unknown. Where it happened, the next try is answered with None or LeaseLost.

        Seen with Redis: a password changed for a moment sent finished results to the undeliverable queue.
        """
        for settlement in group:
            self._log_retried(settlement, error)
        return [_Again(settlement) for settlement in group]

    def _refused(self, settlement: Settlement, sent: Delivery, error: BrokerError, again: list[_Again]) -> None:
        """The broker did not do this one: lost, redirected, tried in another form, or tried again."""
        if isinstance(error, LeaseLost):
            if self._leases.lost(settlement.in_hand, sent):
                self._end_or_await(settlement, again)
            else:
                again.append(_Again(settlement, 0.0))
        elif isinstance(error, UNDELIVERABLE) and settlement.replies:
            safe = self._redirect(settlement, str(error))
            again.append(_Again(settlement) if safe is None else _Again(safe, 0.0))
        elif is_refused_for_good(error):
            self._try_otherwise(settlement, error, again)
        else:
            self._log_retried(settlement, error)
            again.append(_Again(settlement))

    def _try_otherwise(self, settlement: Settlement, error: BrokerError, again: list[_Again]) -> None:
        other = after_refusal(settlement, error)
        log.error(
            events.SETTLE_REFUSED,
            message_id=settlement.message_id,
            queue=self._queue,
            settlement=settlement.decision.ending,
            instead=other.decision.ending if other is not None else None,
            error=str(error),
        )
        if other is None:
            self._on_settled(settlement, "lost")
        else:
            again.append(_Again(other, 0.0))

    def _redirect(self, settlement: Settlement, why: str) -> Settlement | None:
        """The settlement without its replies, which are in the undeliverable queue; None where that failed."""
        failed = self._undeliverable.store(settlement.replies, message_id=settlement.message_id, why=why)
        if failed is None:
            return replace(settlement, replies=(), unsafe=None)
        self._log_retried(settlement, failed)
        return None

    def _log_retried(self, settlement: Settlement, error: BrokerError) -> None:
        log_broker_error(
            events.SETTLE_RETRIED,
            error,
            self._throttle,
            queue=self._queue,
            message_id=settlement.message_id,
            pending=self.pending,
        )
