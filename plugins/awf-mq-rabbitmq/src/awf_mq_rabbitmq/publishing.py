"""Publishes messages and waits for the publisher confirm of each, on a connection of its own. `backend.py`,
`settling.py`, `moving.py` and `early_ack.py` call it.

Every message for a queue is mandatory: the broker returns one that it can't route. (It returns every direct reply,
delivered or not, so a reply probe goes before those.) Publishes nothing twice unless the broker surely dropped it.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pika
from pika import exceptions as px

from awf_core.errors import (
    BodyTooLarge,
    BrokerBlocked,
    BrokerError,
    BrokerMisconfigured,
    BrokerUnavailable,
    Unroutable,
)
from awf_core.units import format_duration
from awf_mq_rabbitmq.connection import Connection
from awf_mq_rabbitmq.failures import broker_error, closed_error, timeout_error, too_large_bytes
from awf_mq_rabbitmq.names import is_direct, rounded_up_ms
from awf_mq_rabbitmq.properties import UNWRITABLE, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_mq_rabbitmq.replies import ReplyProbe
    from awf_mq_rabbitmq.settings import Target
    from awf_mq_rabbitmq.topology import Topology

DOING = "publish"
MAX_PROPERTIES_BYTES = 120_000
"""Properties have to fit into one frame, of 128 KiB by default; a longer one costs the connection."""
ALARM_HINT = "check its alarms (`rabbitmq-diagnostics alarms`), let consumers drain, or give it more of both"


@dataclass(slots=True, eq=False)
class PendingPublish:
    """A message on its way to `queue`. Once `is_done`, `error` says what became of it: None = the broker has it."""

    queue: str
    properties: Any
    body: bytes
    error: BrokerError | None = None
    is_sent: bool = False
    is_done: bool = False
    is_returned: bool = False
    _watchers: list[threading.Event] = field(default_factory=list)

    def is_like(self, queue: str, properties: Any, body: bytes) -> bool:
        """Whether a returned message may be this one. Those alike in everything are as good as each other."""
        return self.queue == queue and self.body == body and vars(self.properties) == vars(properties)

    def finish(self, error: BrokerError | None) -> None:
        """Its outcome is known. On the I/O thread."""
        self.error = error
        self.is_done = True
        for watcher in self._watchers:
            watcher.set()

    def watch(self, event: threading.Event) -> None:
        """Have `event` set when its outcome is known."""
        self._watchers.append(event)
        if self.is_done:
            event.set()


class Publishing:
    """The publishing connection. Thread-safe; connects at the first publish."""

    def __init__(self, target: Target, topology: Topology, probe: ReplyProbe) -> None:
        self._settings = target.settings
        self._timeout_s = target.settings.publish_timeout_s
        self._topology = topology
        self._probe = probe
        self._channel: Any = None
        self._number = 0
        self._may_publish = False
        self._unconfirmed: OrderedDict[int, PendingPublish] = OrderedDict()
        self._postponed: list[PendingPublish] = []
        self.connection = Connection(target, "publishing", self)

    def route(self, queue: str, delay_s: float = 0.0) -> str:
        """The queue to publish to, so that a message is in `queue` after `delay_s`: itself, or a retry queue.

        Declares the retry queue where it is missing. Raises the contract's errors; Unroutable for a direct reply
        address without requester.
        """
        if is_direct(queue):
            self._probe.check(queue)
        elif delay_s > 0:
            return self._topology.ensure_retry_queue(queue, rounded_up_ms(delay_s, self._settings.delays_s))
        return queue

    def check_rights(self) -> None:
        """Raise BrokerMisconfigured where nothing may be published: neither results nor dead-lettered messages.

        A name that no queue has is answered as such only to those who may publish. Whatever else goes wrong is the next
        publish's to say.
        """
        if self._may_publish or self.connection.is_blocked:
            return
        nowhere = PendingPublish(f"awf-rights-{secrets.token_hex(8)}", pika.BasicProperties(), b"")
        (answer,) = self.publish([lambda: nowhere])
        if isinstance(answer, BrokerMisconfigured):
            raise answer
        self._may_publish = True

    def waits_s(self, delay_s: float) -> float:
        """How long a message is in its retry queue: `delay_s`, rounded up."""
        return rounded_up_ms(delay_s, self._settings.delays_s) / 1000 if delay_s > 0 else 0.0

    def publish(self, makes: Sequence[Callable[[], PendingPublish]]) -> list[BrokerError | None]:
        """Publish what each of `makes` makes and wait for the outcome; one answer each, in order.

        What the broker returns from a retry queue that is gone is made once more. An error that a `make` raises is its
        answer. Messages that were sent before are waited for only.
        """
        made = [self._made(make) for make in makes]
        answers = self._outcomes(made)
        again = [index for index, pending in enumerate(made) if self._lost_its_queue(pending, answers[index])]
        for index in again:
            made[index] = self._made(makes[index])
        return self._outcomes(made) if again else answers

    def _lost_its_queue(self, pending: PendingPublish | BrokerError, answer: BrokerError | None) -> bool:
        if not isinstance(answer, Unroutable) or not isinstance(pending, PendingPublish):
            return False
        return self._topology.forget_retry_queue(pending.queue)

    def _made(self, make: Callable[[], PendingPublish]) -> PendingPublish | BrokerError:
        try:
            pending = make()
        except BrokerError as error:
            return error
        return pending if pending.is_sent else self._unwritable(pending) or pending

    def _outcomes(self, made: Sequence[PendingPublish | BrokerError]) -> list[BrokerError | None]:
        pending = [each for each in made if isinstance(each, PendingPublish)]
        self._send([each for each in pending if not each.is_sent])
        self._await(pending)
        return [each if isinstance(each, BrokerError) else self._answer(each) for each in made]

    def _unwritable(self, pending: PendingPublish) -> BrokerError | None:
        try:
            size = len(encode(pending.properties))
        except UNWRITABLE as error:
            return BrokerMisconfigured(
                f"{self.connection.where}: a message for {pending.queue!r} has a property or header AMQP has no form "
                f"for: {error}",
                hint="header names are at most 255 bytes; values are texts, numbers, lists and tables",
            )
        if size <= MAX_PROPERTIES_BYTES:
            return None
        return BodyTooLarge(
            f"{self.connection.where}: the headers of a message for {pending.queue!r} take {size} bytes, over "
            f"{MAX_PROPERTIES_BYTES}",
            hint="put large data into the body",
        )

    def _send(self, messages: Sequence[PendingPublish]) -> None:
        """Send without waiting for the confirms; errors are in the messages."""
        if not messages:
            return
        for pending in messages:
            pending.is_sent = True
        try:
            self.connection.ensure_ready()
            self._refuse_blocked()
        except BrokerError as error:
            _finish(messages, error)
            return
        if not self.connection.post(lambda: self._write(messages)):
            _finish(messages, closed_error(self.connection.where, DOING))

    def _await(self, messages: Sequence[PendingPublish]) -> None:
        """Wait until the outcome of each is known, at most `publish_timeout`."""
        end = time.monotonic() + self._timeout_s
        # Confirms mostly come in order: once the last message has its own, so have the others.
        for pending in reversed(messages):
            if not pending.is_done:
                event = threading.Event()
                pending.watch(event)
                if not event.wait(max(0.0, end - time.monotonic())):
                    if not self.connection.is_blocked:
                        self.connection.abort(
                            timeout_error(self.connection.where, DOING, self._timeout_s, in_doubt=True)
                        )
                    return

    def connection_opened(self, amqp: Any) -> None:
        """See `connection.Owner`. It is ready once it has a channel with confirms."""

        def opened(channel: Any) -> None:
            channel.add_on_return_callback(self._returned)
            channel.confirm_delivery(self._confirmed, callback=lambda _: confirming(channel))

        def confirming(channel: Any) -> None:
            self._channel, self._number = channel, 0
            self.connection.mark_ready()
            postponed, self._postponed = self._postponed, []
            self._write(postponed)

        amqp.channel(on_open_callback=opened).add_on_close_callback(self._channel_closed)

    def connection_lost(self, error: BrokerError) -> None:
        """See `connection.Owner`. What has no confirm yet is in doubt."""
        self._channel = None
        left, self._unconfirmed = self._unconfirmed, OrderedDict()
        _finish(list(left.values()), _in_doubt(error))
        postponed, self._postponed = self._postponed, []
        _finish(postponed, error)

    def _refuse_blocked(self) -> None:
        if self.connection.is_blocked and not self.connection.wait_unblocked(self._timeout_s):
            raise BrokerBlocked(
                f"{self.connection.where}: the broker takes nothing, for {format_duration(self._timeout_s)} now: it is "
                "short of memory or disk; nothing was sent",
                hint=ALARM_HINT,
            )

    def _answer(self, pending: PendingPublish) -> BrokerError | None:
        """BrokerBlocked for a message on its way to a blocked broker: it may arrive, and can be waited for again."""
        if pending.is_done:
            return pending.error
        if self.connection.is_blocked:
            return BrokerBlocked(
                f"{self.connection.where}: the broker stopped taking messages (memory or disk alarm), for "
                f"{format_duration(self._timeout_s)} now; what was sent to {pending.queue!r} may still be taken when "
                "it goes on",
                hint=ALARM_HINT,
            )
        doing = f"publish to {pending.queue!r}"
        return timeout_error(self.connection.where, doing, self._timeout_s, in_doubt=True)

    def _write(self, messages: Sequence[PendingPublish]) -> None:
        for pending in messages:
            channel = self._channel
            if channel is None or not channel.is_open:
                self._postpone(pending)
                continue
            is_mandatory = not is_direct(pending.queue)
            try:
                channel.basic_publish("", pending.queue, pending.body, pending.properties, mandatory=is_mandatory)
            except Exception as error:  # noqa: BLE001 - an error of the library over one message is that message's
                doing = f"publish to {pending.queue!r}"
                pending.finish(broker_error(error, where=self.connection.where, doing=doing))
                continue
            self._number += 1
            self._unconfirmed[self._number] = pending

    def _postpone(self, pending: PendingPublish) -> None:
        """Between two channels of one connection a message waits for the next."""
        if self.connection.is_ready:
            self._postponed.append(pending)
        else:
            pending.finish(self.connection.unready_error())

    def _confirmed(self, frame: Any) -> None:
        method = frame.method
        is_accepted = method.NAME == "Basic.Ack"
        if method.multiple:
            tags = []
            for number in self._unconfirmed:
                if number > method.delivery_tag:
                    break
                tags.append(number)
        else:
            tags = [method.delivery_tag]
        for tag in tags:
            pending = self._unconfirmed.pop(tag, None)
            if pending is not None:
                pending.finish(self._outcome(pending, is_accepted=is_accepted))

    def _outcome(self, pending: PendingPublish, *, is_accepted: bool) -> BrokerError | None:
        if pending.is_returned:
            return Unroutable(
                f"{self.connection.where}: no queue {pending.queue!r} takes it: there is none of that name",
                hint="a requester has to declare its reply queue and be there for direct replies; work queues are made "
                "by `awf queue ensure` or by a worker's start",
            )
        if is_accepted:
            return None
        return BrokerBlocked(
            f"{self.connection.where}: queue {pending.queue!r} takes nothing more: it is full, or its replicas are "
            "away",
            hint="check its length limit (max-length with reject-publish) and its members "
            "(`rabbitmq-queues quorum_status`)",
        )

    def _returned(self, _channel: Any, method: Any, raw_properties: bytes, body: bytes) -> None:
        # The broker returns a message before it confirms it, so it is still here.
        properties = decode(raw_properties)
        left = [pending for pending in self._unconfirmed.values() if not pending.is_returned]
        alike = (pending for pending in left if pending.is_like(method.routing_key, properties, body))
        same_queue = (pending for pending in left if pending.queue == method.routing_key)
        found = next(alike, None) or next(same_queue, None)
        if found is not None:
            found.is_returned = True

    def _channel_closed(self, _channel: Any, reason: BaseException) -> None:
        self._channel = None
        if not isinstance(reason, px.ChannelClosedByBroker) or self.connection.amqp is None:
            return
        left, self._unconfirmed = self._unconfirmed, OrderedDict()
        self._sort_out(list(left.values()), reason)
        self.connection_opened(self.connection.amqp)

    def _sort_out(self, left: list[PendingPublish], reason: BaseException) -> None:
        """The broker closed the channel over one message: those before it are in doubt, those after it never went."""
        error = broker_error(reason, where=self.connection.where, doing=DOING)
        size = too_large_bytes(reason)
        culprit = next((n for n, each in enumerate(left) if size is not None and len(each.body) == size[0]), None)
        if culprit is None or not isinstance(error, BodyTooLarge):
            _finish(left, error)
            return
        lost = BrokerUnavailable(
            f"{self.connection.where}: the channel closed before the publisher confirm came",
            hint="the caller publishes it again",
        )
        _finish(left[:culprit], _in_doubt(lost))
        left[culprit].finish(error)
        self._postponed = left[culprit + 1 :]


def _finish(messages: Sequence[PendingPublish], error: BrokerError) -> None:
    for pending in messages:
        pending.finish(error)


def _in_doubt(error: BrokerError) -> BrokerUnavailable:
    return BrokerUnavailable(error.message, hint=error.hint, in_doubt=True)
