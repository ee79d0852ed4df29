"""Settle deliveries: ack and nack. Called by `backend.py`; `dead_letter.py` uses its batches.

One script call settles all deliveries of a queue. A lost delivery publishes no replies, and the others are settled all
the same. When an answer is lost, the worker repeats the settlement; it counts as done if the first call did it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from redis.exceptions import ResponseError

from awf_core.errors import BrokerError, BrokerMisconfigured, BrokerUnavailable
from awf_core.units import MAX_SPAN_S, span_ms
from awf_mq_redis.claim import Receipt, receipt_of
from awf_mq_redis.connection import MAX_BATCH, text
from awf_mq_redis.failures import bad_span, lease_lost, refused_reply
from awf_mq_redis.history import history_text
from awf_mq_redis.keys import queue_keys, reply_queue_ends_ms, state_key, storable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from awf_core.contract import Ack, Delivery, Nack, Outgoing
    from awf_mq_redis.connection import Argument, RedisConnection
    from awf_mq_redis.cross_slot import CrossSlotPublish
    from awf_mq_redis.keys import QueueKeys
    from awf_mq_redis.leases import Leases
    from awf_mq_redis.wait import Waiter

Answers = list[BrokerError | None]

MAX_IN_DOUBT = 10_000
"""Settlements that are never repeated stay in doubt; beyond this number the oldest are forgotten."""


class Settling:
    """Acknowledges and releases deliveries. Thread-safe."""

    def __init__(
        self,
        connection: RedisConnection,
        batches: Batches,
        cross_slot: CrossSlotPublish,
        waiter: Waiter,
        leases: Leases,
        *,
        lease_s: float,
        block_s: float,
        reply_ttl_s: float,
    ) -> None:
        self._connection = connection
        self._batches = batches
        self._cross_slot = cross_slot
        self._waiter = waiter
        self._leases = leases
        self._lease_s = lease_s
        self._block_s = block_s
        self._reply_ttl_s = reply_ttl_s
        self._ack: Operation[Ack] = Operation(
            script="ack", doing="acknowledge messages", encode=self._ack_call, done="gone"
        )
        self._nack: Operation[Nack] = Operation(script="nack", doing="release messages", encode=_nack_call, done="free")

    def ack(self, acks: Sequence[Ack]) -> Answers:
        """Remove the messages; replies and `remember` become visible in the same instant."""
        where = self._connection.where
        problems = [None if ack.remember is None else bad_span("ttl_s", ack.remember.ttl_s, where) for ack in acks]
        if self._connection.is_cluster:
            acks, problems = self._cross_slot.publish_first(acks, problems, self._leases.extend)
        return self._batches.settle(self._ack, acks, problems)

    def nack(self, nacks: Sequence[Nack]) -> Answers:
        """Release the messages, due after their delay."""
        problems = [bad_span("delay_s", nack.delay_s, self._connection.where) for nack in nacks]
        answers = self._batches.settle(self._nack, nacks, problems)
        soon = [receipt_of(nack.delivery) for nack in nacks if nack.delay_s < self._block_s]
        for queue in {receipt.queue for receipt in soon if receipt is not None}:
            self._waiter.wake(self._connection.prefix + queue)
        return answers

    def _ack_call(self, keys: QueueKeys, pairs: Sequence[tuple[Ack, Receipt]]) -> Call:
        all_keys = ReplyKeys(keys=list(keys.all), prefix=self._connection.prefix, keep_s=self._reply_ttl_s)
        arguments: list[Argument] = [len(pairs), span_ms(self._lease_s), *ids(pairs)]
        for ack, receipt in pairs:
            arguments.append(receipt.token)
            arguments += self._remember_arguments(ack, all_keys)
            arguments += all_keys.arguments(ack.replies)
        return all_keys.keys, arguments

    def _remember_arguments(self, ack: Ack, keys: ReplyKeys) -> list[Argument]:
        remember = ack.remember
        if remember is None:
            return [0]
        key = keys.position(state_key(remember.key, self._connection.prefix))
        return [key, storable(remember.value), max(1, span_ms(remember.ttl_s))]


def _nack_call(keys: QueueKeys, pairs: Sequence[tuple[Nack, Receipt]]) -> Call:
    arguments: list[Argument] = [len(pairs), *ids(pairs)]
    for nack, receipt in pairs:
        arguments += (receipt.token, span_ms(nack.delay_s), int(nack.counted), history_text(nack.history))
    return keys.all, arguments


class Settlement(Protocol):
    """An Ack, Nack or DeadLetter."""

    @property
    def delivery(self) -> Delivery:
        """The delivery to settle."""


Item = TypeVar("Item", bound=Settlement)
Call = tuple["Sequence[str]", "list[Argument]"]
"""The keys and arguments of a script call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[Item]):
    """One kind of settlement.

    doing    for error texts
    encode   the call for some items of a queue; the script answers one word for each item
    done     the script's answer to a repetition when the first call had its effect
    target   another queue that all items of one call have to share, '' where there is none
    """

    script: str
    doing: str
    encode: Callable[[QueueKeys, Sequence[tuple[Item, Receipt]]], Call]
    done: str
    target: Callable[[Item], str] = lambda _: ""


class Batches:
    """Settles in batches, for one backend. Thread-safe."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._in_doubt: dict[Receipt, str] = {}

    def settle(
        self, operation: Operation[Item], items: Sequence[Item], problems: Sequence[BrokerError | None]
    ) -> Answers:
        """An answer for each item: its problem, or else the script's answer. Raises when nothing was attempted."""
        answers = list(problems)
        groups: dict[tuple[str, str], list[tuple[int, Item, Receipt]]] = {}
        for index, item in enumerate(items):
            receipt = receipt_of(item.delivery)
            if answers[index] is not None:
                continue
            if receipt is None:
                answers[index] = lease_lost(item.delivery, self._connection.where)
            else:
                groups.setdefault((receipt.queue, operation.target(item)), []).append((index, item, receipt))
        # A server that can't be reached is asked once a call. In a cluster it is known by the queue's slot.
        unavailable: dict[int, BrokerUnavailable] = {}
        attempted = False
        for (queue, _), group in groups.items():
            server = self._connection.keys(queue).slot if self._connection.is_cluster else 0
            for piece in pieces(group):
                pairs = [(item, receipt) for _, item, receipt in piece]
                known = unavailable.get(server)
                found = [known] * len(pairs) if known else self._settle_piece(operation, queue, pairs)
                error = next((each for each in found if isinstance(each, BrokerUnavailable)), None)
                if error is not None:
                    unavailable[server] = error
                attempted = attempted or error is None or error.in_doubt
                for (index, _, _), answer in zip(piece, found, strict=True):
                    answers[index] = answer
        if unavailable and not attempted:
            raise next(iter(unavailable.values()))
        return answers

    def _settle_piece(
        self, operation: Operation[Item], queue: str, pairs: Sequence[tuple[Item, Receipt]]
    ) -> Sequence[BrokerError | None]:
        keys, arguments = operation.encode(self._connection.keys(queue), pairs)
        doing = f"{operation.doing} in {queue!r}"
        try:
            words = self._connection.run(doing, operation.script, keys, *arguments)
        except BrokerMisconfigured as error:
            if len(pairs) == 1:
                return [error]
            # A reply queue that this user may not write to must not keep the other deliveries from being settled.
            return [answer for pair in pairs for answer in self._settle_piece(operation, queue, [pair])]
        except BrokerError as error:
            if isinstance(error, BrokerUnavailable) and error.in_doubt:
                self._note_in_doubt([receipt for _, receipt in pairs], operation.done)
            return [error] * len(pairs)
        return [
            self._answer(text(word), item.delivery, receipt, doing)
            for word, (item, receipt) in zip(words, pairs, strict=True)
        ]

    def _answer(self, word: str, delivery: Delivery, receipt: Receipt, doing: str) -> BrokerError | None:
        done = self._take_in_doubt(receipt)
        kind, _, rest = word.partition(" ")
        if kind == "ok" or word == done:
            return None
        if kind in ("type", "expired", "role"):
            return refused_reply(word, self._connection.where)
        if kind == "err":
            return self._connection.error(ResponseError(rest), doing)
        return lease_lost(delivery, self._connection.where)

    def _note_in_doubt(self, receipts: Sequence[Receipt], done: str) -> None:
        with self._lock:
            self._in_doubt.update(dict.fromkeys(receipts, done))
            while len(self._in_doubt) > MAX_IN_DOUBT:
                del self._in_doubt[next(iter(self._in_doubt))]

    def _take_in_doubt(self, receipt: Receipt) -> str | None:
        if not self._in_doubt:
            return None
        with self._lock:
            return self._in_doubt.pop(receipt, None)


Piece = TypeVar("Piece")


def pieces(items: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """`items` in parts that one script call takes."""
    for start in range(0, len(items), MAX_BATCH):
        yield items[start : start + MAX_BATCH]


def ids(pairs: Sequence[tuple[Any, Receipt]]) -> list[Argument]:
    """The ids of a call's items."""
    return [receipt.id for _, receipt in pairs]


def reply_arguments(reply: Outgoing, keep_s: float) -> tuple[int, int, bytes]:
    """`keep_ms, ends_ms, body` of a reply for a script; `keep_s` is for those without an expiry of their own."""
    kept_s = reply.expires_s if reply.expires_s is not None else keep_s
    return span_ms(min(kept_s, MAX_SPAN_S)), reply_queue_ends_ms(reply.queue), reply.body


@dataclass(slots=True, kw_only=True)
class ReplyKeys:
    """The keys of one script call: a queue's own, then those that replies and state add. A position counts from 1."""

    keys: list[str]
    prefix: str
    keep_s: float
    _positions: dict[str, int] = field(default_factory=dict)

    def position(self, key: str) -> int:
        """The position of `key`, which is appended when it is new."""
        found = self._positions.get(key)
        if found is None:
            self.keys.append(key)
            found = self._positions[key] = len(self.keys)
        return found

    def arguments(self, replies: Sequence[Outgoing]) -> list[Argument]:
        """`count`, then `position, role's position, keep_ms, ends_ms, body` of each reply."""
        arguments: list[Argument] = [len(replies)]
        for reply in replies:
            keys = queue_keys(reply.queue, self.prefix)
            arguments += (self.position(keys.ready), self.position(keys.role), *reply_arguments(reply, self.keep_s))
        return arguments
