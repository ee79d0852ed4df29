"""Settle deliveries: batches to the backend, retried while the lease holds, and never a second run for a lost reply.

Runners hand in settlements and go on; one thread flushes whatever has gathered since its last call to the broker, so
batches grow by themselves when the broker is the slow part and a lone message waits for nobody.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from awf_core.backoff import Backoff
from awf_core.contract import Ack, DeadLetter, Nack, Outgoing
from awf_core.crash_points import crash_point
from awf_core.errors import (
    BodyTooLarge,
    BrokerError,
    BrokerMisconfigured,
    LeaseLost,
    QueueMissing,
    Unroutable,
)
from awf_core.observe import events
from awf_core.observe.log import get_logger, lines_together
from awf_core.result import shortened
from awf_core.worker.defects import UNEXPECTED, say_defect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.clock import Clock
    from awf_core.contract import Delivery
    from awf_core.mq import Mq
    from awf_core.observe.throttle import Throttle

UNDELIVERABLE = (Unroutable, QueueMissing, BodyTooLarge, BrokerMisconfigured)
"""A reply that these refuse will be refused again: its address, not the moment, is wrong."""

GATHER_S = 0.002
"""How long a settlement waits for others that run beside it."""

JOIN_S = 2.0
"""How long a broker's slow answer may hold up the end of the process."""

UNWANTED = 1 << 60
"""While a flush is under way nobody waits to be told of more."""

_SETTLED = {Ack: "settle.acked", Nack: "settle.nacked", DeadLetter: "settle.dead_lettered"}

log = get_logger(__name__)

Action = Ack | Nack | DeadLetter


@dataclass(slots=True, eq=False)
class Settlement:
    """How one delivery is to end, with what the log and the observers are told when it has.

    `label` is what will be told: ack, nack, dead_letter or discard. `received_at` in monotonic seconds. `unsafe` says
    why nothing may be published to the reply address, None where it may.
    """

    action: Action
    label: str
    received_at: float
    reason: str = ""
    message_id: str | None = None
    unsafe: str | None = None


class Settler:
    """Ends deliveries exactly once each. `submit` is thread-safe and never blocks on the broker."""

    def __init__(
        self,
        mq: Mq,
        *,
        clock: Clock,
        throttle: Throttle,
        undeliverable_queue: str,
        is_lost: Callable[[Delivery], bool],
        in_hand: Callable[[], int],
    ) -> None:
        self._mq = mq
        self._clock = clock
        self._throttle = throttle
        self._undeliverable_queue = undeliverable_queue
        self._is_lost = is_lost
        self._in_hand = in_hand
        self._on_settled: Callable[[Settlement, str], None] = _nobody
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
        """Settlements not yet accepted by the broker."""
        return len(self._waiting) + len(self._later) + self._busy

    def start(self, on_settled: Callable[[Settlement, str], None]) -> None:
        """Begin to flush; `on_settled(settlement, label)` hears on this thread how each one ended."""
        self._on_settled = on_settled
        self._thread.start()

    def submit(self, settlement: Settlement) -> None:
        """Hand one in."""
        self._waiting.append(settlement)
        if len(self._waiting) >= self._wanted:
            with self._changed:
                self._wanted = UNWANTED
                self._changed.notify_all()

    def stop(self, timeout_s: float) -> int:
        """Flush what is pending for at most `timeout_s` seconds, end the thread; returns how many were given up."""
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
                self._gather()
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

    def _gather(self) -> None:
        """With the lock held: wait for work, then a moment for what else is about to be ready.

        One transaction or confirm for five costs little more than for one. Nobody else in hand: no wait.
        """
        self._wanted = 1
        self._changed.wait_for(self._has_work, self._wait_s())
        wanted = min(self._in_hand() - len(self._later), self._mq.capabilities.batch)
        if len(self._waiting) < wanted and not self._stopped:
            self._wanted = wanted
            self._changed.wait_for(lambda: len(self._waiting) >= wanted or self._stopped, GATHER_S)
        self._wanted = UNWANTED

    def _has_work(self) -> bool:
        return bool(self._waiting) or self._stopped or self._is_retry_due()

    def _is_retry_due(self) -> bool:
        return bool(self._later) and self._later[0][0] <= self._clock.monotonic()

    def _wait_s(self) -> float | None:
        return max(0.0, self._later[0][0] - self._clock.monotonic()) if self._later else None

    def _take_batch(self) -> list[Settlement]:
        batch: list[Settlement] = []
        limit = self._mq.capabilities.batch
        while len(batch) < limit and self._is_retry_due():
            batch.append(self._later.popleft()[1])
        while len(batch) < limit and self._waiting:
            batch.append(self._waiting.popleft())
        self._busy = len(batch)
        return batch

    def _flush_safely(self, batch: Sequence[Settlement]) -> list[Settlement]:
        try:
            return self._flush(batch)
        except UNEXPECTED:
            # Those that went through are told again that they did, or that they are no longer ours.
            say_defect(self._throttle)
            return list(batch)

    def _flush(self, batch: Sequence[Settlement]) -> list[Settlement]:
        """Settle a batch; returns what has to be tried again."""
        batch, again = self._keep_unsafe(batch)
        acks = [s for s in batch if isinstance(s.action, Ack)]
        nacks = [s for s in batch if isinstance(s.action, Nack)]
        letters = [s for s in batch if isinstance(s.action, DeadLetter)]
        if acks:
            crash_point("settle.before_ack")
            again += self._call(acks, lambda: self._mq.ack([s.action for s in acks if isinstance(s.action, Ack)]))
        if nacks:
            crash_point("settle.before_nack")
            again += self._call(nacks, lambda: self._mq.nack([s.action for s in nacks if isinstance(s.action, Nack)]))
        if letters:
            crash_point("settle.before_dead_letter")
            again += self._call(
                letters,
                lambda: self._mq.dead_letter([s.action for s in letters if isinstance(s.action, DeadLetter)]),
            )
        return again

    def _keep_unsafe(self, batch: Sequence[Settlement]) -> tuple[list[Settlement], list[Settlement]]:
        """Put results with an unsafe address where an operator finds them: (ready to settle, to be tried again)."""
        ready: list[Settlement] = []
        again: list[Settlement] = []
        for settlement in batch:
            if settlement.unsafe is None or not _replies(settlement.action):
                ready.append(settlement)
            else:
                kept = self._redirect(settlement, settlement.unsafe)
                (again if kept is settlement else ready).append(kept)
        return ready, again

    def _call(self, group: Sequence[Settlement], call: Callable[[], Sequence[BrokerError | None]]) -> list[Settlement]:
        try:
            results = _as_many(call(), len(group))
        except BrokerError as exc:
            return self._after_none(group, exc)
        except UNEXPECTED:
            # Whether it took effect is anybody's guess; where it did, the next try is told that it is no longer ours.
            say_defect(self._throttle)
            return list(group)
        else:
            crash_point(_SETTLED[type(group[0].action)])
        with lines_together():
            again = [self._after(settlement, error) for settlement, error in zip(group, results, strict=True)]
        return [settlement for settlement in again if settlement is not None]

    def _after_none(self, group: Sequence[Settlement], error: BrokerError) -> list[Settlement]:
        """Nothing of the call was attempted, so it tells of the broker and not of anybody's reply address.

        Seen with Redis: a password changed for a moment sent finished results to the undeliverable queue.
        """
        again = []
        for settlement in group:
            if self._is_lost(settlement.action.delivery):
                self._on_settled(settlement, "lost")
            else:
                self._say_retried(settlement, error)
                again.append(settlement)
        return again

    def _after(self, settlement: Settlement, error: BrokerError | None) -> Settlement | None:
        """What the broker said of one: done, lost, or what to try next."""
        if error is None:
            self._on_settled(settlement, settlement.label)
            crash_point("settle.reported")
            return None
        if isinstance(error, LeaseLost) or self._is_lost(settlement.action.delivery):
            self._on_settled(settlement, "lost")
            return None
        if isinstance(error, UNDELIVERABLE) and _replies(settlement.action):
            return self._redirect(settlement, str(error))
        self._say_retried(settlement, error)
        return settlement

    def _redirect(self, settlement: Settlement, why: str) -> Settlement:
        """The reply can't be delivered: keep the result where an operator finds it, and settle without it.

        Returns the settlement that is left to do, or `settlement` itself when the result could not be kept yet.

        Published before the settlement, never with it: a broker may refuse the pair again, and the run must not repeat.
        """
        replies = _replies(settlement.action)
        kept = [_undeliverable(reply, self._undeliverable_queue, why) for reply in replies]
        crash_point("settle.before_redirect")
        failed = self._publish(kept)
        if isinstance(failed, BodyTooLarge):
            failed = self._publish([_shortened(reply) for reply in kept])
        if failed is not None:
            self._say_retried(settlement, failed)
            return settlement
        crash_point("settle.redirected")
        for reply in replies:
            log.warning(
                events.REPLY_UNDELIVERABLE,
                message_id=settlement.message_id,
                reply_to=reply.queue,
                kept_in=self._undeliverable_queue,
                error=why,
            )
        assert not isinstance(settlement.action, Nack)
        return replace(settlement, action=replace(settlement.action, replies=()))

    def _publish(self, replies: Sequence[Outgoing]) -> BrokerError | None:
        """Publish; returns what went wrong first."""
        try:
            # A list of its own: a wrapper may take out of it what it sends elsewhere.
            answers = _as_many(self._mq.publish(list(replies)), len(replies))
        except BrokerError as exc:
            return exc
        except UNEXPECTED as exc:
            say_defect(self._throttle)
            return BrokerError(f"the backend broke: {type(exc).__name__}")
        return next((error for error in answers if error is not None), None)

    def _say_retried(self, settlement: Settlement, error: BrokerError) -> None:
        muted = self._throttle.take("broker")
        if muted is not None:
            log.warning(
                events.SETTLE_RETRIED,
                message_id=settlement.message_id,
                error=str(error),
                hint=error.hint,
                pending=self.pending,
                muted=muted,
            )


def _nobody(settlement: Settlement, label: str) -> None:
    """Before the start there is nobody to tell, and nothing to be told."""


def _as_many(answers: Sequence[BrokerError | None], count: int) -> Sequence[BrokerError | None]:
    if len(answers) != count or not all(answer is None or isinstance(answer, BrokerError) for answer in answers):
        raise TypeError(f"the backend answered {count} settlements with {answers!r:.200}")
    return answers


def _replies(action: Action) -> Sequence[Outgoing]:
    return () if isinstance(action, Nack) else action.replies


def _undeliverable(reply: Outgoing, queue: str, why: str) -> Outgoing:
    """`reply` as it is kept in the undeliverable queue: same body, with where it should have gone and why not."""
    headers = {**reply.headers, "awf-reply-to": reply.queue[:255], "awf-undeliverable": why[:500]}
    return replace(reply, queue=queue, headers=headers, expires_s=None)


def _shortened(reply: Outgoing) -> Outgoing:
    """`reply` where even the queue of last resort is too small for it."""
    headers = {**reply.headers, "awf-shortened-from-bytes": str(len(reply.body))}
    return replace(reply, body=shortened(reply.body), headers=headers)
