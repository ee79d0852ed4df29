"""What is published, as rows: what can't be stored is refused, the rest put into columns. Pure.

Called by `publish.py` and `settle.py`. Bodies that are text are stored as text, so that any SQLite client
reads them.
"""

from __future__ import annotations

import json
import re
import secrets
from typing import TYPE_CHECKING

from awf_core.backends.sqlite.wallclock import MAX_SPAN_S, span_ms
from awf_core.clock import iso_utc
from awf_core.errors import BodyTooLarge, BrokerError, BrokerMisconfigured, QueueMissing, Unroutable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from awf_core.backends.sqlite.opening import QueueConnection
    from awf_core.contract import Outgoing

MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_QUEUE_NAME = 255
_INSERT = """
INSERT INTO message(queue, due, created, expires, message_id, reply_to, correlation_id, content_type, headers,
  body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_REPLY_QUEUE = re.compile(r"awf-reply-([0-9a-f]{11})-[0-9a-f]{24}")

Row = tuple[str, int, int, int | None, str | None, str | None, str | None, str | None, str | None, str | bytes]


def problem(message: Outgoing, path: Path, now_ms: int) -> BrokerError | None:
    """Why `message` can't be stored in the queue file `path` at `now_ms`; None when it can."""
    if len(message.body) > MAX_BODY_BYTES:
        return BodyTooLarge(
            f"{path}: a body for {message.queue!r} of {len(message.body)} bytes, over {MAX_BODY_BYTES}",
            hint="put the data into a file and send its path",
        )
    if message.priority is not None:
        return BrokerMisconfigured(
            f"{path}: priority {message.priority!r} for {message.queue!r}: this backend has none",
            hint="leave it out and use a queue of its own, or a backend with priorities",
        )
    return (
        bad_queue_name(message.queue, path)
        or bad_span("delay_s", message.delay_s, path)
        or (None if message.expires_s is None else bad_span("expires_s", message.expires_s, path))
        or _over(message.queue, path, now_ms)
    )


def _over(queue: str, path: Path, now_ms: int) -> BrokerError | None:
    named = _REPLY_QUEUE.fullmatch(queue)
    if named is None or int(named[1], 16) > now_ms:
        return None
    return QueueMissing(
        f"{path}: the private reply queue {queue!r} is over since {iso_utc(int(named[1], 16) / 1000)}",
        hint="nobody waits there any more; ask for the reply queue with a longer time, or raise mq.reply.ttl",
    )


def bad_queue_name(queue: str, path: Path) -> BrokerError | None:
    """Why no queue can have this name; None when one can."""
    if 0 < len(queue) <= MAX_QUEUE_NAME and "\0" not in queue and storable(queue) == queue:
        return None
    return Unroutable(
        f"{path}: {queue[:80]!r} can't be the name of a queue",
        hint=f"use 1 to {MAX_QUEUE_NAME} characters of valid Unicode, without NUL",
    )


def bad_span(name: str, seconds: float, path: Path) -> BrokerError | None:
    """Why a delay or expiry can't be kept; None when it can. Not-a-number compares false and is refused."""
    if seconds <= MAX_SPAN_S:
        return None
    return BrokerMisconfigured(
        f"{path}: {name} is {seconds}, which is not a time the queue can keep",
        hint=f"give at most {MAX_SPAN_S:.0f} seconds (ten years)",
    )


def insert(
    connection: QueueConnection, messages: Iterable[Outgoing], now_ms: int, *, keep_s: float | None = None
) -> None:
    """Store `messages` in the caller's transaction; those without an expiry of their own expire after
    `keep_s`.
    """
    connection.executemany(_INSERT, [_row(message, now_ms, keep_s) for message in messages])


def reply_queue_name(now_ms: int, ttl_s: float) -> str:
    """A name nobody guesses. It tells when the queue ends, so nothing has to be kept about it."""
    return f"awf-reply-{now_ms + span_ms(ttl_s):011x}-{secrets.token_hex(12)}"


def storable(text: str) -> str:
    """`text` with what UTF-8 has no form for (lone surrogates, possible in JSON) replaced."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()


def to_json(value: object) -> str:
    """`value` as JSON text that any client can store and read."""
    return json.dumps(value, default=str)


def _row(message: Outgoing, now_ms: int, keep_s: float | None) -> Row:
    return (
        message.queue,
        now_ms + span_ms(message.delay_s),
        now_ms,
        _expires_ms(message, now_ms, keep_s),
        _or_null(message.id),
        _or_null(message.reply_to),
        _or_null(message.correlation_id),
        None if message.content_type == "application/json" else storable(message.content_type),
        to_json(dict(message.headers)) if message.headers else None,
        _text_or_blob(message.body),
    )


def _expires_ms(message: Outgoing, now_ms: int, keep_s: float | None) -> int | None:
    own_s = message.expires_s if message.expires_s is not None else keep_s
    own_ms = None if own_s is None else now_ms + span_ms(min(own_s, MAX_SPAN_S))
    named = _REPLY_QUEUE.fullmatch(message.queue)
    if named is None:
        return own_ms
    named_ms = int(named[1], 16)
    return named_ms if own_ms is None else min(own_ms, named_ms)


def _or_null(text: str | None) -> str | None:
    return None if text is None else storable(text)


def _text_or_blob(body: bytes) -> str | bytes:
    # SQLite's text ends at a NUL for many of its functions and clients.
    if b"\0" in body:
        return body
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body
