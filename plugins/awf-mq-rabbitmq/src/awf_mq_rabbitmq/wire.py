"""Messages as AMQP has them: properties of what is published, deliveries of what came, copies of what goes on. Pure.

A copy keeps the body and every property but those the broker acts on: the expiry (it would cut a delay short), the
user id (it has to be that of the connection) and further addressees.
"""

from __future__ import annotations

import math
import secrets
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import pika
from pika import exceptions as px

from awf_core.contract import Delivery, QueueItem
from awf_core.errors import BodyTooLarge, BrokerError, BrokerMisconfigured
from awf_mq_rabbitmq import headers as noted
from awf_mq_rabbitmq.headers import Counts, foreign, read_counts, read_death, written_counts
from awf_mq_rabbitmq.names import bad_queue_name, is_direct, is_short
from awf_mq_rabbitmq.publishing import Parcel

if TYPE_CHECKING:
    from awf_core.contract import DeadLetter, Outgoing
    from awf_mq_rabbitmq.lane import Held

PERSISTENT = 2
MAX_HEADER_FRAME_BYTES = 120_000
"""Properties have to fit into one frame, of 128 KiB by default; a longer one costs the connection."""
MAX_EXPIRY_S = 4_000_000.0
MAX_EXPIRY_DIGITS = 12


class Original(Protocol):
    """A message as it came."""

    @property
    def queue(self) -> str:
        """Where it came from."""

    @property
    def properties(self) -> Any:
        """AMQP's, headers among them."""

    @property
    def body(self) -> bytes:
        """As it is."""

    @property
    def is_redelivered(self) -> bool:
        """Whether the broker says that it was handed out before."""

    @property
    def seen_at_s(self) -> float:
        """When it was handed out, in epoch seconds."""


def delivery_of(held: Held) -> Delivery:
    """The contract's view of a message in hand."""
    properties, headers = held.properties, held.properties.headers or {}
    counts = counts_of(held)
    return Delivery(
        queue=held.queue,
        body=held.body,
        receipt=held,
        attempt=counts.attempt,
        deliveries=counts.deliveries + 1,
        released=counts.released,
        id=_long(headers, noted.MESSAGE_ID) or properties.message_id or None,
        reply_to=properties.reply_to or None,
        correlation_id=_long(headers, noted.CORRELATION_ID) or properties.correlation_id or None,
        headers=noted.as_texts(headers),
        first_seen_at=None if counts.first_seen_ms is None else counts.first_seen_ms / 1000,
        expires_at=None if counts.expires_ms is None else counts.expires_ms / 1000,
        priority=properties.priority,
    )


def counts_of(original: Original) -> Counts:
    """The counts of a message in hand; it is first seen when it was handed out, unless it says otherwise."""
    headers = original.properties.headers or {}
    counts = read_counts(headers)
    if noted.COUNTED_BY_BROKER not in headers and original.is_redelivered:
        # A classic queue tells that it was handed out before, and not how often.
        counts = replace(counts, deliveries=counts.deliveries + 1)
    if counts.first_seen_ms is None:
        counts = replace(counts, first_seen_ms=int(original.seen_at_s * 1000))
    if counts.expires_ms is None:
        counts = replace(counts, expires_ms=_expiry_ms(original))
    return counts


def _expiry_ms(original: Original) -> int | None:
    """When its `expiration` is over at the latest: that counts from its publishing, and nobody tells us when it was.

    Noted on copies, since the property itself would cut their delays short.
    """
    text = original.properties.expiration
    if not isinstance(text, str) or not text.isascii() or not text.isdigit() or len(text) > MAX_EXPIRY_DIGITS:
        return None
    return int(original.seen_at_s * 1000) + int(text)


def outgoing_parcel(message: Outgoing, *, expires_s: float | None, queue: str | None = None) -> Parcel:
    """What is published for `message`, to `queue` where that isn't its own."""
    properties = pika.BasicProperties(
        content_type=message.content_type if is_short(message.content_type) else None,
        delivery_mode=PERSISTENT,
        message_id=message.id if message.id is not None and is_short(message.id) else None,
        correlation_id=message.correlation_id if _fits(message.correlation_id) else None,
        reply_to=message.reply_to if _fits(message.reply_to) else None,
        expiration=None if expires_s is None else str(max(0, math.ceil(expires_s * 1000))),
        headers=_headers_of(message) or None,
    )
    return Parcel(queue=queue or message.queue, properties=properties, body=message.body)


def retry_parcel(held: Held, queue: str, *, is_counted: bool) -> Parcel:
    """The copy of `held` that waits in `queue`, or goes back to its own."""
    counts = counts_of(held)
    counts = replace(
        counts,
        attempt=counts.attempt + (1 if is_counted else 0),
        deliveries=counts.deliveries + 1,
        released=counts.released + (0 if is_counted else 1),
    )
    return _copy(held.properties, held.body, queue, {**_kept(held.properties.headers), **written_counts(counts)})


def recount_parcel(held: Held) -> Parcel:
    """The copy of `held` that says on itself that it was handed out before: what a classic queue doesn't count."""
    counts = written_counts(counts_of(held))
    return _copy(held.properties, held.body, held.queue, {**_kept(held.properties.headers), **counts})


def recovered_parcel(original: Original) -> Parcel:
    """The copy of a message whose worker is gone, for its own queue: handed out once more, and nothing came of it."""
    counts = counts_of(original)
    counts = replace(counts, deliveries=counts.deliveries + 1)
    noted_on = {**_kept(original.properties.headers), **written_counts(counts)}
    return _copy(original.properties, original.body, original.queue, noted_on)


def letter_parcel(held: Held, letter: DeadLetter, *, now_s: float) -> Parcel:
    """The dead letter of `held`."""
    headers = held.properties.headers or {}
    counts = counts_of(held)
    history = [*noted.read_history(headers), *letter.history]
    return _copy(
        held.properties,
        held.body,
        letter.queue,
        {
            **_carried(headers),
            **written_counts(replace(counts, deliveries=counts.deliveries + 1, expires_ms=None)),
            noted.SOURCE: held.queue,
            noted.REASON: _sound(letter.reason)[:200],
            noted.ERROR: _sound(letter.error)[: noted.MAX_ERROR_CHARS],
            noted.DEAD_AT: int(now_s * 1000),
            noted.HISTORY: noted.written_history(history),
            noted.LETTER: secrets.token_hex(8),
        },
    )


def moved_parcel(properties: Any, body: bytes, target: str) -> Parcel:
    """A message that starts afresh in `target`; what killed it goes into its history."""
    headers = properties.headers or {}
    history = noted.read_history(headers)
    death = read_death(headers)
    if death is not None:
        counts = read_counts(headers)
        history.append(
            {
                "event": "dead_letter",
                "source": death.source,
                "reason": death.reason,
                "error": death.error,
                "attempt": counts.attempt,
                "deliveries": counts.deliveries,
                "dead_at": death.dead_at,
            }
        )
    kept: dict[str, object] = {noted.HISTORY: noted.written_history(history)} if history else {}
    return _copy(properties, body, target, {**_carried(headers), **kept})


def item_of(item_id: str, properties: Any, body: bytes) -> QueueItem:
    """A message that was looked at."""
    headers = properties.headers or {}
    counts, death = read_counts(headers), read_death(headers)
    return QueueItem(
        id=item_id,
        body=body,
        state="ready" if death is None else "dead",
        message_id=_long(headers, noted.MESSAGE_ID) or properties.message_id or None,
        attempt=counts.attempt,
        deliveries=counts.deliveries,
        reply_to=properties.reply_to or None,
        correlation_id=_long(headers, noted.CORRELATION_ID) or properties.correlation_id or None,
        headers=noted.as_texts(headers),
        source=None if death is None else death.source,
        reason=None if death is None else death.reason,
        error=None if death is None else death.error,
        history=noted.read_history(headers),
        dead_at=None if death is None else death.dead_at,
    )


def problem(message: Outgoing, *, max_body_bytes: int, where: str) -> BrokerError | None:
    """Why `message` can't be published at all; None when it can. Its delay is looked at elsewhere."""
    if len(message.body) > max_body_bytes:
        return BodyTooLarge(
            f"{where}: a body for {message.queue!r} of {len(message.body)} bytes, over {max_body_bytes}",
            hint="put the data into a file and send its path; or raise mq.rabbitmq.max_body_bytes, where the broker's "
            "max_message_size allows it",
        )
    if message.priority is not None:
        return BrokerMisconfigured(
            f"{where}: priority {message.priority!r} for {message.queue!r}: this backend has none",
            hint="leave it out and use a queue of its own for what is urgent",
        )
    if message.expires_s is not None and not message.expires_s <= MAX_EXPIRY_S:
        return BrokerMisconfigured(
            f"{where}: expires_s is {message.expires_s}, which is not a time the broker can keep",
            hint=f"give at most {MAX_EXPIRY_S:.0f} seconds (46 days)",
        )
    if message.delay_s > 0 and is_direct(message.queue):
        return BrokerMisconfigured(
            f"{where}: a direct reply can't be delayed, and delay_s is {message.delay_s}", hint="leave the delay out"
        )
    if message.expires_s is not None and message.delay_s > 0:
        return BrokerMisconfigured(
            f"{where}: a message for {message.queue!r} has delay_s and expires_s: this broker can do one of them",
            hint="leave one out",
        )
    return bad_queue_name(message.queue, where)


def header_problem(parcel: Parcel, where: str) -> BrokerError | None:
    """Why the broker couldn't take the properties of `parcel`; None when it can."""
    try:
        size = sum(len(piece) for piece in parcel.properties.encode())
    except (px.AMQPError, ValueError, TypeError, struct.error) as error:
        return BrokerMisconfigured(
            f"{where}: a message for {parcel.queue!r} has a property or header AMQP has no form for: {error}",
            hint="header names are at most 255 bytes; values are texts, numbers, lists and tables",
        )
    if size <= MAX_HEADER_FRAME_BYTES:
        return None
    return BodyTooLarge(
        f"{where}: the headers of a message for {parcel.queue!r} take {size} bytes, over {MAX_HEADER_FRAME_BYTES}",
        hint="put large data into the body",
    )


def _copy(properties: Any, body: bytes, queue: str, headers: dict[str, object]) -> Parcel:
    copied = pika.BasicProperties(**vars(properties))
    copied.delivery_mode = PERSISTENT
    copied.expiration = copied.user_id = None
    copied.headers = headers or None
    return Parcel(queue=queue, properties=copied, body=body)


def _carried(headers: dict[str, object]) -> dict[str, object]:
    """The headers of others, and the long ids that didn't fit into properties."""
    long = {name: headers[name] for name in (noted.MESSAGE_ID, noted.CORRELATION_ID) if name in headers}
    return {**foreign(headers), **long}


def _kept(headers: dict[str, object] | None) -> dict[str, object]:
    """What a copy that is tried again carries on: a letter stays one until it is moved."""
    noted_on = {name: value for name, value in (headers or {}).items() if name in noted.KEPT}
    return {**_carried(headers or {}), **noted_on}


def _headers_of(message: Outgoing) -> dict[str, object]:
    headers: dict[str, object] = {
        name: _sound(value) for name, value in message.headers.items() if name not in noted.ROUTING
    }
    if message.id is not None and not is_short(message.id):
        headers[noted.MESSAGE_ID] = _sound(message.id)
    if message.correlation_id is not None and not is_short(message.correlation_id):
        headers[noted.CORRELATION_ID] = _sound(message.correlation_id)
    return headers


def _fits(text: str | None) -> bool:
    return text is not None and is_short(text)


def _long(headers: dict[str, object], name: str) -> str | None:
    value = headers.get(name)
    return value if isinstance(value, str) and value else None


def _sound(text: str) -> str:
    """`text` with what UTF-8 has no form for replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
