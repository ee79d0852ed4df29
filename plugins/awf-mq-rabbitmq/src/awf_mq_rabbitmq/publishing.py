"""Messages out, with the broker's word for each, on the connection that does nothing else. Called by `backend.py`,
`settling.py` and `operating.py`.

Every message for a queue is mandatory: one that no queue takes comes back, and is told apart from those that were
taken. (Direct replies come back always, delivered or not.) Never publishes anything twice by itself unless the broker
surely dropped it.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pika import exceptions as px

from awf_core.errors import BodyTooLarge, BrokerBlocked, BrokerError, BrokerUnavailable, Unroutable
from awf_core.units import format_duration
from awf_mq_rabbitmq.failures import broker_error, closed_error, timeout_error, too_large_bytes
from awf_mq_rabbitmq.link import Link
from awf_mq_rabbitmq.names import is_direct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_mq_rabbitmq.parameters import Target

DOING = "publish"


@dataclass(slots=True, eq=False)
class Parcel:
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
        """Whether a message that came back may be this one. Those alike in everything are as good as each other."""
        return self.queue == queue and self.body == body and vars(self.properties) == vars(properties)

    def finish(self, error: BrokerError | None) -> None:
        """Its fate is known. On the I/O thread."""
        self.error = error
        self.is_done = True
        for watcher in self._watchers:
            watcher.set()

    def watch(self, event: threading.Event) -> None:
        """Have `event` set when its fate is known."""
        self._watchers.append(event)
        if self.is_done:
            event.set()


class Publishing:
    """The publishing connection. Thread-safe; connects at the first publish."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._timeout_s = target.settings.publish_timeout_s
        self._channel: Any = None
        self._number = 0
        self._unconfirmed: OrderedDict[int, Parcel] = OrderedDict()
        self._again: list[Parcel] = []
        self.link = Link(target, "publishing", self)

    @property
    def is_blocked(self) -> bool:
        """Whether the broker takes nothing for now."""
        return self.link.is_blocked

    def close(self) -> None:
        """End the connection; what is not confirmed stays in doubt."""
        self.link.close()

    def publish(self, parcels: Sequence[Parcel]) -> list[BrokerError | None]:
        """Send, and wait until the fate of each is known; one answer each, in order."""
        self.send(parcels)
        return self.await_all(parcels)

    def send(self, parcels: Sequence[Parcel]) -> None:
        """Send without waiting for the broker's word; errors are in the parcels."""
        if not parcels:
            return
        for parcel in parcels:
            parcel.is_sent = True
        try:
            self.link.ensure_up()
            self._refuse_blocked()
        except BrokerError as error:
            for parcel in parcels:
                parcel.finish(error)
            return
        if not self.link.post(lambda: self._send(parcels)):
            for parcel in parcels:
                parcel.finish(closed_error(self.link.where, DOING))

    def await_all(self, parcels: Sequence[Parcel]) -> list[BrokerError | None]:
        """Wait until the fate of each is known, at most `publish_timeout`; one answer each, in order.

        BrokerBlocked for one that is still on its way to a blocked broker: it may arrive later, and can be waited for
        again by the same parcel.
        """
        end = time.monotonic() + self._timeout_s
        # The broker's words mostly come in order: once the last has its own, so have the others.
        for parcel in reversed(parcels):
            if not parcel.is_done and not self._await(parcel, end - time.monotonic()):
                if not self.is_blocked:
                    self.link.abort(timeout_error(self.link.where, DOING, self._timeout_s, in_doubt=True))
                break
        return [self._answer(parcel) for parcel in parcels]

    def went_up(self, connection: Any) -> None:
        """Part of the link: it is ready once it has a channel with confirmations."""

        def opened(channel: Any) -> None:
            channel.add_on_return_callback(self._returned)
            channel.confirm_delivery(self._confirmed, callback=lambda _: confirming(channel))

        def confirming(channel: Any) -> None:
            self._channel, self._number = channel, 0
            self.link.is_ready_now()
            again, self._again = self._again, []
            self._send(again)

        connection.channel(on_open_callback=opened).add_on_close_callback(self._channel_closed)

    def went_down(self, error: BrokerError) -> None:
        """Part of the link: whatever had no word yet is in doubt."""
        self._channel = None
        left, self._unconfirmed = self._unconfirmed, OrderedDict()
        for parcel in left.values():
            parcel.finish(_in_doubt(error))
        again, self._again = self._again, []
        for parcel in again:
            parcel.finish(error)

    def _refuse_blocked(self) -> None:
        if self.link.is_blocked and not self.link.wait_unblocked(self._timeout_s):
            raise BrokerBlocked(
                f"{self.link.where}: the broker takes nothing, for {format_duration(self._timeout_s)} now: it is short "
                "of memory or disk; nothing was sent",
                hint="look at its alarms (`rabbitmq-diagnostics alarms`), let consumers drain, or give it more of both",
            )

    def _await(self, parcel: Parcel, wait_s: float) -> bool:
        event = threading.Event()
        parcel.watch(event)
        return event.wait(max(0.0, wait_s))

    def _answer(self, parcel: Parcel) -> BrokerError | None:
        if parcel.is_done:
            return parcel.error
        waited = format_duration(self._timeout_s)
        if self.is_blocked:
            return BrokerBlocked(
                f"{self.link.where}: the broker stopped taking messages (memory or disk alarm), for {waited} now; what "
                f"was sent to {parcel.queue!r} may still be taken when it goes on",
                hint="look at its alarms (`rabbitmq-diagnostics alarms`), let consumers drain, or give it more of both",
            )
        return timeout_error(self.link.where, f"publish to {parcel.queue!r}", self._timeout_s, in_doubt=True)

    def _send(self, parcels: Sequence[Parcel]) -> None:
        for parcel in parcels:
            channel = self._channel
            if channel is None or not channel.is_open:
                self._postpone(parcel)
                continue
            is_mandatory = not is_direct(parcel.queue)
            try:
                channel.basic_publish("", parcel.queue, parcel.body, parcel.properties, mandatory=is_mandatory)
            except Exception as error:  # noqa: BLE001 - whatever the library thinks of one message is that message's
                parcel.finish(broker_error(error, where=self.link.where, doing=f"publish to {parcel.queue!r}"))
                continue
            self._number += 1
            self._unconfirmed[self._number] = parcel

    def _postpone(self, parcel: Parcel) -> None:
        """Between two channels of one connection a message waits for the next."""
        if self.link.is_up:
            self._again.append(parcel)
        else:
            parcel.finish(self.link.down_error())

    def _confirmed(self, frame: Any) -> None:
        method = frame.method
        is_taken = method.NAME == "Basic.Ack"
        if method.multiple:
            tags = []
            for number in self._unconfirmed:
                if number > method.delivery_tag:
                    break
                tags.append(number)
        else:
            tags = [method.delivery_tag]
        for tag in tags:
            parcel = self._unconfirmed.pop(tag, None)
            if parcel is not None:
                parcel.finish(self._verdict(parcel, is_taken=is_taken))

    def _verdict(self, parcel: Parcel, *, is_taken: bool) -> BrokerError | None:
        if parcel.is_returned:
            return Unroutable(
                f"{self.link.where}: no queue {parcel.queue!r} takes it: there is none of that name",
                hint="a requester has to declare its reply queue and be there for direct replies; work queues are made "
                "by `awf queue ensure` or by a worker's start",
            )
        if is_taken:
            return None
        return BrokerBlocked(
            f"{self.link.where}: queue {parcel.queue!r} takes nothing more: it is full, or its replicas are away",
            hint="look at its length limit (max-length with reject-publish) and at its members "
            "(`rabbitmq-queues quorum_status`)",
        )

    def _returned(self, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        # The broker gives a message back before it confirms it, so it is still here.
        left = [parcel for parcel in self._unconfirmed.values() if not parcel.is_returned]
        alike = (parcel for parcel in left if parcel.is_like(method.routing_key, properties, body))
        same_queue = (parcel for parcel in left if parcel.queue == method.routing_key)
        found = next(alike, None) or next(same_queue, None)
        if found is not None:
            found.is_returned = True

    def _channel_closed(self, _channel: Any, reason: BaseException) -> None:
        self._channel = None
        if not isinstance(reason, px.ChannelClosedByBroker) or self.link.connection is None:
            return
        left, self._unconfirmed = self._unconfirmed, OrderedDict()
        self._sort_out(list(left.values()), reason)
        self.went_up(self.link.connection)

    def _sort_out(self, left: list[Parcel], reason: BaseException) -> None:
        """The broker closed the channel over one message: those before it are in doubt, those after it never went."""
        error = broker_error(reason, where=self.link.where, doing=DOING)
        size = too_large_bytes(reason)
        culprit = next((n for n, each in enumerate(left) if size is not None and len(each.body) == size[0]), None)
        if culprit is None or not isinstance(error, BodyTooLarge):
            for parcel in left:
                parcel.finish(error)
            return
        for parcel in left[:culprit]:
            parcel.finish(_in_doubt(_lost_channel(self.link)))
        left[culprit].finish(error)
        self._again = left[culprit + 1 :]


def _lost_channel(link: Link) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"{link.where}: the channel closed before the broker's word on it came",
        hint="it is sent again by whoever retries",
    )


def _in_doubt(error: BrokerError) -> BrokerUnavailable:
    return BrokerUnavailable(error.message, hint=error.hint, in_doubt=True)
