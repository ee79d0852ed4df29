"""Direct reply-to: addresses for replies to this process, and a probe whether a requester waits at one.

An address needs no queue and no right to declare one. It lives as long as the channel it was requested on; for the
worker a later reply is undeliverable. `backend.py` consumes replies here, `publishing.py` probes before it publishes.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pika

from awf_core.contract import Delivery
from awf_core.errors import BrokerError, BrokerUnavailable, QueueMissing, Unroutable
from awf_mq_rabbitmq.channel import open_channel
from awf_mq_rabbitmq.connection import Connection
from awf_mq_rabbitmq.failures import (
    INTERNAL_ERROR,
    broker_error,
    closed_error,
    reply_code,
    root_cause,
    timeout_error,
)
from awf_mq_rabbitmq.headers import as_texts
from awf_mq_rabbitmq.names import DIRECT
from awf_mq_rabbitmq.properties import decode

if TYPE_CHECKING:
    from awf_mq_rabbitmq.settings import Target

ANSWER_S = 10.0
NOWHERE = "awf-direct-reply-address-request"


@dataclass(slots=True, eq=False)
class DirectReply:
    """The receipt of a reply that came by direct reply-to. The broker doesn't have it any more."""

    address: str
    properties: Any
    body: bytes


class DirectReplies:
    """Channels with an address of their own, and the replies to them. Thread-safe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._changed = threading.Condition()
        self._inboxes: dict[str, deque[DirectReply]] = {}
        self._channels: dict[str, Any] = {}
        self._deaths: dict[str, BrokerError] = {}
        self._is_stopped = False

    def new_address(self) -> str:
        """An address for replies, for as long as this connection lives."""
        self._connection.ensure_ready()
        found: Future[str] = Future()
        doing = "request a direct reply address"
        if not self._connection.post(lambda: self._request(found)):
            raise closed_error(self._connection.where, doing)
        try:
            return found.result(ANSWER_S)
        except FutureTimeout:
            raise timeout_error(self._connection.where, doing, ANSWER_S) from None
        except Exception as error:
            raise broker_error(error, where=self._connection.where, doing=doing) from error

    def owns(self, queue: str) -> bool:
        """Whether `queue` is an address of ours."""
        return queue in self._inboxes

    def consume(self, address: str, limit: int, wait_s: float) -> list[Delivery]:
        """Up to `limit` replies. Raises BrokerUnavailable once the address has died and is empty."""
        inbox = self._inboxes[address]
        with self._changed:
            self._changed.wait_for(lambda: inbox or address in self._deaths or self._is_stopped, wait_s)
            if self._is_stopped:
                return []
            if not inbox and address in self._deaths:
                raise self._deaths[address]
            return [_delivery(inbox.popleft()) for _ in range(min(limit, len(inbox)))]

    def release(self, reply: DirectReply) -> None:
        """Have a reply delivered again."""
        with self._changed:
            self._inboxes[reply.address].append(reply)
            self._changed.notify_all()

    def stop(self) -> None:
        """End waiting calls."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def restart(self) -> None:
        """Let calls wait again."""
        self._is_stopped = False

    def _request(self, found: Future[str]) -> None:
        """The broker writes the real address into what is published; an unroutable message comes back with it."""
        amqp = self._connection.amqp
        if amqp is None or not amqp.is_open:
            found.set_exception(closed_error(self._connection.where, "request a direct reply address"))
            return
        channel = amqp.channel(on_open_callback=lambda channel: self._consume(channel, found))
        channel.add_on_close_callback(lambda closed, reason: self._closed(closed, reason, found))

    def _consume(self, channel: Any, found: Future[str]) -> None:
        properties = pika.BasicProperties(reply_to=DIRECT)
        channel.add_on_return_callback(lambda _, __, raw, ___: self._learn(channel, decode(raw).reply_to, found))
        channel.basic_consume(
            DIRECT,
            lambda _, __, raw, body: self._arrived(channel, decode(raw), body),
            auto_ack=True,
            callback=lambda _: channel.basic_publish("", NOWHERE, b"", properties, mandatory=True),
        )

    def _learn(self, channel: Any, address: str, found: Future[str]) -> None:
        with self._changed:
            self._inboxes[address] = deque()
            self._channels[address] = channel
        if not found.done():
            found.set_result(address)

    def _arrived(self, channel: Any, properties: Any, body: bytes) -> None:
        with self._changed:
            address = next(address for address, each in self._channels.items() if each is channel)
            self._inboxes[address].append(DirectReply(address=address, properties=properties, body=body))
            self._changed.notify_all()

    def _closed(self, channel: Any, reason: BaseException, found: Future[str]) -> None:
        if not found.done():
            found.set_exception(reason)
        with self._changed:
            for address in [address for address, each in self._channels.items() if each is channel]:
                del self._channels[address]
                self._deaths[address] = BrokerUnavailable(
                    f"{self._connection.where}: the connection that the reply was to come by is gone",
                    hint="the worker stores the result in mq.undeliverable.queue; set "
                    "mq.rabbitmq.private_replies: queue where a wait has to outlive its connection",
                )
            self._changed.notify_all()


class ReplyProbe:
    """Asks the broker whether a requester waits at a direct reply address. Thread-safe.

    On a connection of its own, made when it is first needed. RabbitMQ trusts such an address when it decodes it: one
    that is damaged, or of another cluster, has it drop the connection (seen on 3.10) with all that is under way there;
    and any producer chooses its reply address.
    """

    def __init__(self, target: Target) -> None:
        self._connection = Connection(target, "reply probe", self)

    def check(self, address: str) -> None:
        """Raise Unroutable where no requester waits: a publish would not say so."""
        try:
            with open_channel(self._connection) as channel:
                channel.count(address)
        except QueueMissing as error:
            raise self._gone(address) from error
        except BrokerUnavailable as error:
            cause = error.__cause__
            if cause is not None and reply_code(root_cause(cause)) == INTERNAL_ERROR:
                raise self._gone(address) from error
            raise

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def connection_opened(self, _amqp: Any) -> None:
        """See `connection.Owner`."""
        self._connection.mark_ready()

    def connection_lost(self, error: BrokerError) -> None:
        """See `connection.Owner`. The channel in use raises the error."""

    def _gone(self, address: str) -> Unroutable:
        return Unroutable(
            f"{self._connection.where}: no requester waits at the direct reply address {address[:80]!r}",
            hint="the requester's channel is closed, or it made the address up; one that may be away for a while "
            "declares a reply queue",
        )


def new_reply_queue() -> str:
    """A name that can't be guessed, for a reply queue that expires."""
    return f"awf-reply-{secrets.token_hex(16)}"


def _delivery(reply: DirectReply) -> Delivery:
    properties = reply.properties
    return Delivery(
        queue=reply.address,
        body=reply.body,
        receipt=reply,
        id=properties.message_id or None,
        message_id=properties.message_id or None,
        body_bytes=len(reply.body),
        correlation_id=properties.correlation_id or None,
        headers=as_texts(properties.headers or {}),
    )
