"""A channel to be used once, step by step, from the caller's own thread: to count, declare, browse, move and purge.

A refused step closes the channel and nothing else; after an error the caller opens a new one. Never consumes.
"""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pika import exceptions as px
from pika import spec

from awf_core.errors import BrokerError, QueueMissing
from awf_mq_rabbitmq.failures import broker_error, closed_error, timeout_error
from awf_mq_rabbitmq.messages import Received

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from awf_mq_rabbitmq.connection import Connection

ANSWER_S = 10.0
"""How long an answer may take: declaring a replicated queue on a busy cluster takes seconds."""


@dataclass(slots=True, eq=False, kw_only=True)
class Got(Received):
    """A message taken with `get`. The broker requeues it when the channel closes, unless it was acknowledged."""

    tag: int


class Channel:
    """One channel, one step at a time. Not thread-safe; made by `open_channel`.

    `got` is how many messages it took and did not ack, `left` how many were ready in the queue after the last get.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel: Any = None
        self.got = 0
        self.left = 0
        self._waiting: Future[Any] = Future()

    def open(self) -> None:
        """Open it. Raises the contract's error."""
        self._connection.ensure_ready()
        self._step("open a channel", self._open)

    def close(self) -> None:
        """Close it; the broker requeues what was got and not acked. Returns once it has done so."""
        if self._channel is not None and self._channel.is_open:
            self._step("close a channel", lambda channel, _: channel.close())

    def count(self, queue: str) -> int:
        """How many messages of `queue` are ready. Raises QueueMissing."""
        frame = self._step(
            f"check queue {queue!r}", lambda channel, done: channel.queue_declare(queue, passive=True, callback=done)
        )
        return int(frame.method.message_count)

    def declare(self, queue: str, arguments: Mapping[str, object]) -> None:
        """Declare a durable queue. Raises BrokerMisconfigured when it is there with other properties."""
        self._step(
            f"declare queue {queue!r}",
            lambda channel, done: channel.queue_declare(queue, durable=True, arguments=dict(arguments), callback=done),
        )

    def has_exchange(self, exchange: str) -> bool:
        """Whether there is such an exchange. Where there is none, the broker closes this channel."""
        try:
            self._step(
                f"check exchange {exchange!r}",
                lambda channel, done: channel.exchange_declare(exchange, passive=True, callback=done),
            )
        except QueueMissing:
            return False
        return True

    def bind_marker(self, exchange: str, queue: str) -> None:
        """Declare an exchange that the broker deletes together with `queue`."""
        doing = f"declare exchange {exchange!r}"
        self._step(
            doing,
            lambda channel, done: channel.exchange_declare(
                exchange, "fanout", durable=True, auto_delete=True, callback=done
            ),
        )
        self._step(doing, lambda channel, done: channel.queue_bind(queue, exchange, callback=done))

    def delete_exchange(self, exchange: str) -> None:
        """Delete it, if it is there."""
        doing = f"delete exchange {exchange!r}"
        self._step(doing, lambda channel, done: channel.exchange_delete(exchange, callback=done))

    def get(self, queue: str) -> Got | None:
        """The next message of `queue`, None where there is none."""

        def send(channel: Any, done: Callable[[Any], None]) -> None:
            channel.add_callback(lambda _: done(None), [spec.Basic.GetEmpty], one_shot=True)
            channel.basic_get(queue, callback=lambda _, method, properties, body: done((method, properties, body)))

        answer = self._step(f"get a message of {queue!r}", send)
        if answer is None:
            self.left = 0
            return None
        method, raw_properties, body = answer
        self.got += 1
        self.left = method.message_count
        return Got(
            tag=method.delivery_tag,
            queue=queue,
            raw_properties=raw_properties,
            body=body,
            is_redelivered=bool(method.redelivered),
        )

    def ack(self, tags: Sequence[int]) -> None:
        """Acknowledge, and wait until the broker has read it."""

        def send(channel: Any, done: Callable[[Any], None]) -> None:
            for tag in tags:
                channel.basic_ack(tag)
            channel.basic_qos(prefetch_count=0, callback=done)

        self._step("acknowledge messages", send)
        self.got -= len(tags)

    def purge(self, queue: str) -> int:
        """Remove what is ready in `queue`; returns how many."""
        frame = self._step(f"purge queue {queue!r}", lambda channel, done: channel.queue_purge(queue, callback=done))
        return int(frame.method.message_count)

    def _open(self, _channel: Any, done: Callable[[Any], None]) -> None:
        amqp = self._connection.amqp
        if amqp is None or not amqp.is_open:
            raise closed_error(self._connection.where, "open a channel")
        self._channel = amqp.channel(on_open_callback=done)
        self._channel.add_on_close_callback(self._closed)

    def _closed(self, _channel: Any, reason: BaseException) -> None:
        waiting = self._waiting
        if not waiting.done():
            if isinstance(reason, px.ChannelClosedByClient):
                waiting.set_result(None)
            else:
                waiting.set_exception(reason)

    def _step(self, doing: str, send: Callable[[Any, Callable[[Any], None]], None]) -> Any:
        waiting: Future[Any] = Future()
        self._waiting = waiting

        def done(value: Any) -> None:
            if not waiting.done():
                waiting.set_result(value)

        def act() -> None:
            try:
                send(self._channel, done)
            except Exception as error:  # noqa: BLE001 - it belongs to the waiting thread, whatever it is
                if not waiting.done():
                    waiting.set_exception(error)

        where = self._connection.where
        if not self._connection.post(act):
            raise closed_error(where, doing)
        try:
            return waiting.result(ANSWER_S)
        except FutureTimeout:
            error = timeout_error(where, doing, ANSWER_S)
            self._connection.abort(error)
            raise error from None
        except Exception as error:
            raise broker_error(error, where=where, doing=doing, in_doubt=True) from error


@contextmanager
def open_channel(connection: Connection) -> Iterator[Channel]:
    """A channel for the `with` block."""
    channel = Channel(connection)
    channel.open()
    try:
        yield channel
    finally:
        with suppress(BrokerError):
            channel.close()
