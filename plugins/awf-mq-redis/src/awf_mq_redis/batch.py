"""Settle in batches: one script call for all deliveries of a queue, an answer for each. Called by `settle.py` and
`bury.py`.

Knows which answers were lost: a settlement that is repeated, and finds itself done, was done by us.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from redis.exceptions import ResponseError

from awf_core.errors import BrokerError, BrokerMisconfigured, BrokerUnavailable, Unroutable
from awf_mq_redis.link import AT_ONCE, text
from awf_mq_redis.names import queue_keys
from awf_mq_redis.receipt import Receipt, lost, receipt_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.contract import Delivery
    from awf_mq_redis.link import Argument, Link
    from awf_mq_redis.names import QueueKeys


MAX_DOUBTS = 10_000
"""Of those that are never asked about again; the oldest are let go."""


class Settled(Protocol):
    """An Ack, Nack or DeadLetter."""

    @property
    def delivery(self) -> Delivery:
        """What is settled."""


Item = TypeVar("Item", bound=Settled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A script call."""

    script: str
    keys: Sequence[str]
    arguments: Sequence[Argument]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending(Generic[Item]):
    """A way to settle.

    doing   for error texts
    group   the deliveries that may go into one call, by anything that can be compared
    encode  the call for some of a group, whose answer has one word an item
    done    the answer to a repetition after the first was carried out
    """

    doing: str
    group: Callable[[Item, Receipt], tuple[str, ...]]
    encode: Callable[[QueueKeys, Sequence[tuple[Item, Receipt]]], Call]
    done: str


class Batches:
    """Settles for one backend. Thread-safe."""

    def __init__(self, link: Link, *, prefix: str) -> None:
        self._link = link
        self._prefix = prefix
        self._lock = threading.Lock()
        self._doubts: dict[Receipt, str] = {}

    def settle(
        self, ending: Ending[Item], items: Sequence[Item], problems: Sequence[BrokerError | None]
    ) -> list[BrokerError | None]:
        """An answer for each item: its problem where it has one already. Raises when nothing was attempted."""
        answers = list(problems)
        groups: dict[tuple[str, ...], list[int]] = {}
        for index, item in enumerate(items):
            receipt = receipt_of(item.delivery)
            if answers[index] is not None:
                continue
            if receipt is None:
                answers[index] = lost(item.delivery, self._link.where)
            else:
                groups.setdefault((receipt.queue, *ending.group(item, receipt)), []).append(index)
        self._settle_groups(ending, items, answers, groups)
        return answers

    def _settle_groups(
        self,
        ending: Ending[Item],
        items: Sequence[Item],
        answers: list[BrokerError | None],
        groups: dict[tuple[str, ...], list[int]],
    ) -> None:
        away: BrokerError | None = None
        attempted = False
        for (queue, *_), indexes in groups.items():
            for start in range(0, len(indexes), AT_ONCE):
                piece = indexes[start : start + AT_ONCE]
                held = [(items[index], _receipt(items[index])) for index in piece]
                found = [away] * len(piece) if away is not None else self._settle_piece(ending, queue, held)
                away = away or next((e for e in found if isinstance(e, BrokerUnavailable)), None)
                attempted = attempted or away is None or _is_in_doubt(away)
                for index, answer in zip(piece, found, strict=True):
                    answers[index] = answer
        if away is not None and not attempted:
            raise away

    def _settle_piece(
        self, ending: Ending[Item], queue: str, held: Sequence[tuple[Item, Receipt]]
    ) -> list[BrokerError | None]:
        call = ending.encode(queue_keys(queue, self._prefix), held)
        doing = f"{ending.doing} in {queue!r}"
        try:
            words = self._link.run(doing, call.script, call.keys, *call.arguments)
        except BrokerMisconfigured as error:
            if len(held) == 1:
                return [error]
            # One address this user may not write to must not hold up the others.
            return [answer for one in held for answer in self._settle_piece(ending, queue, [one])]
        except BrokerError as error:
            if _is_in_doubt(error):
                self._doubt([receipt for _, receipt in held], ending.done)
            return [error] * len(held)
        return [
            self._answer(text(word), item.delivery, receipt, doing)
            for word, (item, receipt) in zip(words, held, strict=True)
        ]

    def _answer(self, word: str, delivery: Delivery, receipt: Receipt, doing: str) -> BrokerError | None:
        expected = self._resolve(receipt)
        kind, _, rest = word.partition(" ")
        if kind == "ok" or word == expected:
            return None
        if kind == "type":
            return self.unroutable(rest)
        if kind == "err":
            return self._link.error(ResponseError(rest), doing)
        return lost(delivery, self._link.where)

    def unroutable(self, found: str) -> Unroutable:
        """The error for a reply address where something else lies; `found` is `<type> <key>`."""
        kind, _, key = found.partition(" ")
        return Unroutable(
            f"{self._link.where}: no answer can be put into {key!r}: the key holds a {kind}, not a list",
            hint="reply_to has to name a list, or nothing yet",
        )

    def _doubt(self, receipts: Sequence[Receipt], done: str) -> None:
        with self._lock:
            self._doubts.update(dict.fromkeys(receipts, done))
            while len(self._doubts) > MAX_DOUBTS:
                del self._doubts[next(iter(self._doubts))]

    def _resolve(self, receipt: Receipt) -> str | None:
        if not self._doubts:
            return None
        with self._lock:
            return self._doubts.pop(receipt, None)


def fences(held: Sequence[tuple[Any, Receipt]]) -> list[Argument]:
    """The ids of a call's items."""
    return [receipt.id for _, receipt in held]


def _receipt(item: Settled) -> Receipt:
    receipt = receipt_of(item.delivery)
    assert receipt is not None
    return receipt


def _is_in_doubt(error: BrokerError) -> bool:
    return isinstance(error, BrokerUnavailable) and error.in_doubt
