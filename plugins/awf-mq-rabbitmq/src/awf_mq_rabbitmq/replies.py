"""Private places for one answer: a queue that expires, or the broker's direct reply-to. Called by `backend.py`.

Direct reply-to needs no queue and no right to declare one, and lives exactly as long as the channel it was asked for
on: an answer that comes later is undeliverable to the worker, which keeps it.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pika

from awf_core.contract import Delivery
from awf_core.errors import BrokerError, BrokerUnavailable
from awf_mq_rabbitmq.failures import broker_error, closed_error, timeout_error
from awf_mq_rabbitmq.headers import as_texts
from awf_mq_rabbitmq.names import DIRECT, reply_queue_name

if TYPE_CHECKING:
    from awf_mq_rabbitmq.link import Link

ANSWER_S = 10.0
NOWHERE = "awf-direct-reply-address-request"


@dataclass(slots=True, eq=False)
class Answer:
    """Behind the receipt of an answer that came by direct reply-to: the broker has forgotten it already."""

    address: str
    properties: Any
    body: bytes


class DirectReplies:
    """Channels with an address of their own, and what came in on them. Thread-safe."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._changed = threading.Condition()
        self._inboxes: dict[str, deque[Answer]] = {}
        self._channels: dict[str, Any] = {}
        self._deaths: dict[str, BrokerError] = {}
        self._is_stopped = False

    def new_address(self) -> str:
        """An address that answers can be published to, for as long as this connection lives."""
        self._link.ensure_up()
        found: Future[str] = Future()
        doing = "ask for a direct reply address"
        if not self._link.post(lambda: self._ask(found)):
            raise closed_error(self._link.where, doing)
        try:
            return found.result(ANSWER_S)
        except FutureTimeout:
            raise timeout_error(self._link.where, doing, ANSWER_S) from None
        except Exception as error:
            raise broker_error(error, where=self._link.where, doing=doing) from error

    def owns(self, queue: str) -> bool:
        """Whether `queue` is an address of ours."""
        return queue in self._inboxes

    def consume(self, address: str, limit: int, wait_s: float) -> list[Delivery]:
        """Up to `limit` answers. Raises BrokerUnavailable once the address has died and is empty."""
        inbox = self._inboxes[address]
        with self._changed:
            self._changed.wait_for(lambda: inbox or address in self._deaths or self._is_stopped, wait_s)
            if self._is_stopped:
                return []
            if not inbox and address in self._deaths:
                raise self._deaths[address]
            return [_delivery(inbox.popleft()) for _ in range(min(limit, len(inbox)))]

    def give_back(self, answer: Answer) -> None:
        """Somebody looked at an answer and left it."""
        with self._changed:
            self._inboxes[answer.address].append(answer)
            self._changed.notify_all()

    def stop(self) -> None:
        """End waiting calls."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def restart(self) -> None:
        """Let calls wait again."""
        self._is_stopped = False

    def _ask(self, found: Future[str]) -> None:
        """The broker writes the real address into what is published, so something is, that comes straight back."""
        connection = self._link.connection
        if connection is None or not connection.is_open:
            found.set_exception(closed_error(self._link.where, "ask for a direct reply address"))
            return
        channel = connection.channel(on_open_callback=lambda channel: self._consume(channel, found))
        channel.add_on_close_callback(lambda closed, reason: self._closed(closed, reason, found))

    def _consume(self, channel: Any, found: Future[str]) -> None:
        properties = pika.BasicProperties(reply_to=DIRECT)
        channel.add_on_return_callback(lambda _, __, returned, ___: self._learn(channel, returned.reply_to, found))
        channel.basic_consume(
            DIRECT,
            lambda _, __, came, body: self._arrived(channel, came, body),
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
            self._inboxes[address].append(Answer(address=address, properties=properties, body=body))
            self._changed.notify_all()

    def _closed(self, channel: Any, reason: BaseException, found: Future[str]) -> None:
        if not found.done():
            found.set_exception(reason)
        with self._changed:
            for address in [address for address, each in self._channels.items() if each is channel]:
                del self._channels[address]
                self._deaths[address] = BrokerUnavailable(
                    f"{self._link.where}: the connection that the answer was to come by is gone",
                    hint="the worker keeps the result in mq.undeliverable.queue; ask with mq.rabbitmq.private_replies: "
                    "queue where a wait has to outlive its connection",
                )
            self._changed.notify_all()


def new_queue_name() -> str:
    """A name for a queue that expires."""
    return reply_queue_name()


def _delivery(answer: Answer) -> Delivery:
    properties = answer.properties
    return Delivery(
        queue=answer.address,
        body=answer.body,
        receipt=answer,
        id=properties.message_id or None,
        correlation_id=properties.correlation_id or None,
        headers=as_texts(properties.headers or {}),
    )
