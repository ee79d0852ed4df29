"""Deliveries ended: what goes out on their behalf first, confirmed, then the acknowledgement. Called by `session.py`.

A crash in between leaves the message to be done again, never lost. A call that is repeated because the broker's word
was late waits for that word, and publishes nothing twice.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from awf_core.contract import Ack, DeadLetter, Nack
from awf_core.errors import BrokerError, BrokerMisconfigured
from awf_mq_rabbitmq.wire import letter_parcel, outgoing_parcel, problem, recount_parcel, retry_parcel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.clock import Clock
    from awf_core.contract import Delivery, Outgoing
    from awf_mq_rabbitmq.consuming import Consuming
    from awf_mq_rabbitmq.delaying import Delaying
    from awf_mq_rabbitmq.lane import Held
    from awf_mq_rabbitmq.publishing import Parcel

    Make = Callable[[], Parcel | BrokerError]

Answers = list[BrokerError | None]
Item = TypeVar("Item", Ack, Nack, DeadLetter)


class Settling:
    """Ends deliveries. Thread-safe. `end(helds)` acknowledges what is done."""

    def __init__(
        self,
        consuming: Consuming,
        delaying: Delaying,
        clock: Clock,
        *,
        where: str,
        max_body_bytes: int,
        reply_ttl_s: float,
        end: Callable[[Sequence[Held]], Sequence[BrokerError | None]],
    ) -> None:
        self._consuming = consuming
        self._delaying = delaying
        self._clock = clock
        self._where = where
        self._max_body_bytes = max_body_bytes
        self._reply_ttl_s = reply_ttl_s
        self._end = end

    def ack(self, acks: Sequence[Ack]) -> Answers:
        """Publish the replies, then acknowledge."""
        return self._settle(acks, self._replies_of)

    def nack(self, nacks: Sequence[Nack]) -> Answers:
        """Copies to where they wait, then acknowledge; what is given back at once and uncounted needs no copy."""
        answers: Answers = [None] * len(nacks)
        plain = [n for n, nack in enumerate(nacks) if _goes_back(nack)]
        others = [n for n in range(len(nacks)) if n not in set(plain)]
        for index, answer in zip(plain, self._requeue([nacks[n].delivery for n in plain]), strict=True):
            answers[index] = answer
        for index, answer in zip(others, self._settle([nacks[n] for n in others], self._retry_of), strict=True):
            answers[index] = answer
        return answers

    def dead_letter(self, letters: Sequence[DeadLetter]) -> Answers:
        """Letters and replies out, then acknowledge."""
        return self._settle(letters, self._letter_of)

    def extend(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """There is nothing to renew: those whose channel is gone, or that are settled."""
        return [delivery for delivery in deliveries if isinstance(self._consuming.held(delivery), BrokerError)]

    def recount(self, held: Held) -> bool:
        """Put a copy that says that it was handed out before in place of `held`; False where that failed."""
        make = partial(recount_parcel, held)
        ((_, error),) = self._delaying.publish([make])
        if error is None:
            self._end([held])
        return error is None

    def _settle(self, items: Sequence[Item], makes_of: Callable[[Held, Item], list[Make]]) -> Answers:
        found = [self._consuming.held(item.delivery) for item in items]
        answers: Answers = [each if isinstance(each, BrokerError) else None for each in found]
        helds = {n: each for n, each in enumerate(found) if not isinstance(each, BrokerError)}
        now = time.monotonic()
        for held in helds.values():
            held.ended_at = held.ended_at or now
        makes = [(n, make) for n, held in helds.items() for make in makes_of(held, items[n])]
        waiting = {n for n, _ in makes}
        self._acknowledge({n: held for n, held in helds.items() if n not in waiting}, answers)
        for (n, _), (_, error) in zip(makes, self._delaying.publish([make for _, make in makes]), strict=True):
            answers[n] = answers[n] or error
        self._acknowledge({n: helds[n] for n in waiting if answers[n] is None}, answers)
        return answers

    def _acknowledge(self, helds: dict[int, Held], answers: Answers) -> None:
        if helds:
            for index, answer in zip(helds, self._end(list(helds.values())), strict=True):
                answers[index] = answer

    def _replies_of(self, held: Held, ack: Ack | DeadLetter) -> list[Make]:
        if isinstance(ack, Ack) and ack.remember is not None:
            return [lambda: _stateless(self._where)]
        return [partial(self._reply, held, reply) for reply in ack.replies]

    def _retry_of(self, held: Held, nack: Nack) -> list[Make]:
        return [partial(self._retry, held, nack)]

    def _letter_of(self, held: Held, letter: DeadLetter) -> list[Make]:
        return [partial(self._letter, held, letter), *self._replies_of(held, letter)]

    def _reply(self, held: Held, reply: Outgoing) -> Parcel | BrokerError:
        error = problem(reply, max_body_bytes=self._max_body_bytes, where=self._where)
        if error is not None:
            return error
        queue = self._delaying.way(reply.queue, reply.delay_s)
        kept_s = reply.expires_s if reply.expires_s is not None or queue != reply.queue else self._reply_ttl_s
        # By identity: the same reply handed in again is the same reply, another with equal fields is another.
        return _once(held, ("reply", id(reply)), lambda: outgoing_parcel(reply, expires_s=kept_s, queue=queue), reply)

    def _retry(self, held: Held, nack: Nack) -> Parcel:
        queue = self._delaying.way(held.queue, nack.delay_s)
        make = partial(retry_parcel, held, queue, is_counted=nack.counted)
        return _once(held, ("retry", queue, nack.counted), make, None)

    def _letter(self, held: Held, letter: DeadLetter) -> Parcel:
        make = partial(letter_parcel, held, letter, now_s=self._clock.now())
        return _once(held, ("letter", letter.queue), make, None)

    def _requeue(self, deliveries: Sequence[Delivery]) -> Answers:
        found = [self._consuming.held(delivery) for delivery in deliveries]
        answers: Answers = [each if isinstance(each, BrokerError) else None for each in found]
        helds = [each for each in found if not isinstance(each, BrokerError)]
        given = iter(self._consuming.requeue(helds) if helds else [])
        return [answer if answer is not None else next(given) for answer in answers]


def _goes_back(nack: Nack) -> bool:
    """Whether the broker itself can give it back at once: nothing is to be noted on it, and it still has it."""
    held = nack.delivery.receipt
    return not nack.counted and not nack.delay_s > 0 and getattr(held, "entry", None) is None


def _once(held: Held, key: object, make: Callable[[], Parcel], cause: object) -> Parcel:
    """The parcel sent before for `key` where it arrived or still may; else a new one."""
    found = held.sent.get(key)
    if found is not None and (not found[0].is_done or found[0].error is None):
        parcel: Parcel = found[0]
        return parcel
    parcel = make()
    held.sent[key] = (parcel, cause)
    return parcel


def _stateless(where: str) -> BrokerMisconfigured:
    return BrokerMisconfigured(
        f"{where}: RabbitMQ keeps no shared state, and an ack asks to remember something",
        hint="use a backend with the capability `state` for it",
    )
