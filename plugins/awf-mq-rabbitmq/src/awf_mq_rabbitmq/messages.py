"""Messages as AMQP has them: what is published, what was delivered, and the copies of a message. Pure.

A copy keeps the body and every property, except those that the broker acts on: the expiry (it would cut a delay short),
the user id (it has to be that of the connection) and further addressees. It keeps the headers that can be written.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pika

from awf_core.contract import Delivery, QueueItem
from awf_core.errors import BrokerMisconfigured
from awf_core.units import span_ms
from awf_mq_rabbitmq import headers as noted
from awf_mq_rabbitmq.headers import Counts, read_counts, read_death, written_counts
from awf_mq_rabbitmq.names import is_direct
from awf_mq_rabbitmq.properties import decode, encode, fitting, is_short
from awf_mq_rabbitmq.publishing import MAX_PROPERTIES_BYTES, PendingPublish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from awf_core.contract import DeadLetter, Outgoing
    from awf_core.errors import BrokerError

PERSISTENT = 2
MAX_EXPIRY_S = 4_000_000.0
"""The broker keeps an expiry in 32 bits of milliseconds, and closes the channel over a longer one."""
MAX_EXPIRY_DIGITS = 12


@dataclass(slots=True, eq=False, kw_only=True)
class Received:
    """A message as the broker delivered it. `is_excused`: a notice says that its loss was no crash."""

    queue: str
    raw_properties: bytes
    body: bytes
    is_redelivered: bool
    is_excused: bool = False
    _properties: Any = field(default=None, init=False)

    @property
    def properties(self) -> Any:
        """AMQP's properties, headers among them; see `properties.decode`."""
        if self._properties is None:
            self._properties = decode(self.raw_properties)
        return self._properties

    @property
    def headers(self) -> dict[str, object]:
        """All headers that can be read."""
        return self.properties.headers or {}

    @property
    def is_start_noted(self) -> bool:
        """Whether the start that this delivery is counts among those noted on it."""
        return not self.is_redelivered and noted.read_counts(self.headers).is_noted

    @property
    def message_id(self) -> str | None:
        """Its id; None where it has none."""
        return _long(self.headers, noted.MESSAGE_ID) or self.properties.message_id or None

    @property
    def correlation_id(self) -> str | None:
        """Its correlation id; None where it has none."""
        return _long(self.headers, noted.CORRELATION_ID) or self.properties.correlation_id or None


def delivery_of(received: Received, crashes: int = 0) -> Delivery:
    """The contract's view of a message whose receipt is `received`."""
    properties, counts = received.properties, counts_of(received)
    return Delivery(
        queue=received.queue,
        body=received.body,
        receipt=received,
        attempt=counts.attempt,
        deliveries=counts.deliveries + 1,
        crashes=crashes,
        body_bytes=len(received.body),
        id=received.message_id,
        message_id=received.message_id,
        reply_to=properties.reply_to or None,
        correlation_id=received.correlation_id,
        headers=noted.as_texts(received.headers),
        history=noted.read_history(received.headers),
        age_s=counts.age_ms / 1000,
        expires_in_s=None if counts.expires_in_ms is None else counts.expires_in_ms / 1000,
        priority=properties.priority,
    )


def counts_of(received: Received) -> Counts:
    """The counts of a message at its delivery."""
    counts = read_counts(received.headers)
    if noted.COUNTED_BY_BROKER not in received.headers and received.is_redelivered:
        # A classic queue says that a message was delivered before, and not how often.
        counts = replace(counts, deliveries=counts.deliveries + 1)
    if counts.expires_in_ms is None:
        counts = replace(counts, expires_in_ms=_expiry_ms(received))
    return counts


def _expiry_ms(received: Received) -> int | None:
    """How much of its `expiration` is left at most: that counts from the publish, whose time is unknown.

    Noted on copies, since the property itself would cut their delays short.
    """
    text = received.properties.expiration
    if not isinstance(text, str) or not text.isascii() or not text.isdigit() or len(text) > MAX_EXPIRY_DIGITS:
        return None
    return int(text)


def unsupported(message: Outgoing, where: str) -> BrokerError | None:
    """Why `message` can't be published though `Capabilities` allow it; None when it can."""
    if message.expires_s is not None and message.expires_s > MAX_EXPIRY_S:
        return BrokerMisconfigured(
            f"{where}: expires_s is {message.expires_s}, which is longer than the broker can keep",
            hint=f"give at most {MAX_EXPIRY_S:.0f} seconds (46 days)",
        )
    if message.delay_s > 0 and is_direct(message.queue):
        return BrokerMisconfigured(
            f"{where}: a direct reply can't be delayed, and delay_s is {message.delay_s}", hint="leave the delay out"
        )
    if message.delay_s > 0 and message.expires_s is not None:
        return BrokerMisconfigured(
            f"{where}: a message for {message.queue!r} has delay_s and expires_s: this broker can do one of them",
            hint="leave one out",
        )
    return None


def outgoing(message: Outgoing, *, queue: str, expires_s: float | None) -> PendingPublish:
    """What is published for `message`, to `queue`: its own, or a retry queue."""
    properties = pika.BasicProperties(
        content_type=_short(message.content_type),
        delivery_mode=PERSISTENT,
        message_id=_short(message.id),
        correlation_id=_short(message.correlation_id),
        reply_to=_short(message.reply_to),
        expiration=None if expires_s is None else str(span_ms(expires_s)),
        headers=_headers_of(message) or None,
    )
    return PendingPublish(queue=queue, properties=properties, body=message.body)


def later(counts: Counts, waited_s: float) -> Counts:
    """`counts` of a message `waited_s` seconds after its delivery."""
    waited_ms = span_ms(max(0.0, waited_s))
    left_ms = None if counts.expires_in_ms is None else max(0, counts.expires_in_ms - waited_ms)
    return replace(counts, age_ms=min(noted.MAX_MS, counts.age_ms + waited_ms), expires_in_ms=left_ms)


def ended(received: Received, waited_s: float = 0.0, *, is_crash: bool = False) -> Counts:
    """The counts of the copy after a delivery whose run has ended, `waited_s` seconds after it.

    `is_crash`: it has not ended, and its worker is gone. That is a start, noted before or not.
    """
    counts = later(counts_of(received), waited_s)
    starts = counts.starts - received.is_start_noted + is_crash
    key = counts.key or (secrets.token_hex(16) if is_crash else None)
    return replace(counts, deliveries=counts.deliveries + 1, key=key, starts=max(0, starts), is_noted=False)


def noted_copy(received: Received) -> PendingPublish:
    """The copy that goes back to its queue, on which the start is noted that its next delivery is."""
    counts = counts_of(received)
    key = counts.key or secrets.token_hex(16)
    return retry_copy(received, received.queue, replace(counts, key=key, starts=counts.starts + 1, is_noted=True))


def retry_copy(
    received: Received, queue: str, counts: Counts, history: Sequence[Mapping[str, object]] | None = None
) -> PendingPublish:
    """The copy that goes back to its queue, or waits in a retry queue, with `counts` on it.

    `history` None = that of the message stays.
    """
    # A dead-lettered message stays one until it is moved.
    kept = {name: value for name, value in received.headers.items() if name in noted.KEPT}
    notes = written_counts(counts)
    if history is not None:
        kept.pop(noted.HISTORY, None)
        if history:
            notes[noted.HISTORY] = noted.written_history(history)
    return _copy(received, queue, {**_carried(received.headers), **kept}, notes)


def dead_copy(received: Received, dead_letter: DeadLetter, *, now_s: float) -> PendingPublish:
    """The copy for the dead-letter queue."""
    headers, counts = received.headers, counts_of(received)
    ended = replace(counts, deliveries=counts.deliveries + 1, expires_in_ms=None, key=None)
    notes = {
        **written_counts(ended),
        noted.SOURCE: received.queue,
        noted.REASON: _sound(dead_letter.reason)[:200],
        noted.ERROR: _sound(dead_letter.error)[: noted.MAX_ERROR_CHARS],
        noted.DEAD_AT: int(now_s * 1000),
        noted.HISTORY: noted.written_history(dead_letter.history),
        noted.DEAD_ID: secrets.token_hex(8),
    }
    return _copy(received, dead_letter.queue, _carried(headers), notes)


def moved_copy(received: Received, target: str) -> PendingPublish:
    """The copy that starts afresh in `target`. How it died goes into its history."""
    headers = received.headers
    history = noted.read_history(headers)
    death, counts = read_death(headers), read_counts(headers)
    if death is not None:
        died = {"event": "dead_letter", **asdict(death)}
        history.append({**died, "attempt": counts.attempt, "deliveries": counts.deliveries})
    notes: dict[str, object] = {noted.HISTORY: noted.written_history(history)} if history else {}
    return _copy(received, target, _carried(headers), notes)


def item_of(item_id: str, received: Received) -> QueueItem:
    """A message that was browsed."""
    properties, headers = received.properties, received.headers
    counts, death = read_counts(headers), read_death(headers)
    return QueueItem(
        id=item_id,
        body=received.body,
        state="ready" if death is None else "dead",
        message_id=received.message_id,
        attempt=counts.attempt,
        deliveries=counts.deliveries,
        reply_to=properties.reply_to or None,
        correlation_id=received.correlation_id,
        headers=noted.as_texts(headers),
        source=None if death is None else death.source,
        reason=None if death is None else death.reason,
        error=None if death is None else death.error,
        history=noted.read_history(headers),
        dead_at=None if death is None else death.dead_at,
    )


def _copy(received: Received, queue: str, carried: Mapping[str, object], notes: Mapping[str, object]) -> PendingPublish:
    """`notes` are our own headers and always fit; of `carried`, what the message had, those that fit beside them."""
    copied = pika.BasicProperties(**vars(received.properties))
    copied.delivery_mode = PERSISTENT
    copied.expiration = copied.user_id = None
    copied.headers = dict(notes)
    copied.headers = {**fitting(carried, MAX_PROPERTIES_BYTES - len(encode(copied))), **notes} or None
    return PendingPublish(queue=queue, properties=copied, body=received.body)


def _carried(headers: Mapping[str, object]) -> dict[str, object]:
    """The headers of the producer, and the ids that are too long for properties."""
    long = {name: headers[name] for name in (noted.MESSAGE_ID, noted.CORRELATION_ID) if name in headers}
    return {**noted.external(headers), **long}


def _headers_of(message: Outgoing) -> dict[str, object]:
    headers: dict[str, object] = {
        name: _sound(value) for name, value in message.headers.items() if name not in noted.ROUTING
    }
    if message.id is not None and not is_short(message.id):
        headers[noted.MESSAGE_ID] = _sound(message.id)
    if message.correlation_id is not None and not is_short(message.correlation_id):
        headers[noted.CORRELATION_ID] = _sound(message.correlation_id)
    return headers


def _short(text: str | None) -> str | None:
    return text if is_short(text) else None


def _long(headers: Mapping[str, object], name: str) -> str | None:
    value = headers.get(name)
    return value if isinstance(value, str) and value else None


def _sound(text: str) -> str:
    """`text` with what UTF-8 has no form for replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
