"""Messages as rows of the queue file: publish them, read their columns, recognise a delivery, remove what has expired.

Used by the other modules of the backend, inside their transactions. Bodies that are text are stored as text, so that
any SQLite client reads them.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from awf_core.backends.sqlite import queue_clock
from awf_core.backends.sqlite.schema import WALL_MS
from awf_core.errors import BrokerError, BrokerMisconfigured, BrokerUnavailable, LeaseLost, QueueMissing
from awf_core.json_text import json_or_none
from awf_core.units import MAX_SPAN_S, format_duration, span_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from awf_core.backends.sqlite.connection import Connections, Waker
    from awf_core.backends.sqlite.opening import QueueConnection
    from awf_core.contract import Delivery, Outgoing

MAX_BODY_BYTES = 64 * 1024 * 1024
_SWEEP_EVERY_MS = 1_000
_SWEEP_LIMIT = 500
_REPLY_QUEUE = re.compile(r"awf-reply-([0-9a-f]{11})-[0-9a-f]{24}")
_INSERT = """
INSERT INTO message(queue, due, created, queue_time, expires, message_id, reply_to, correlation_id, content_type,
  headers, body)
VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?)"""
# A message that a consumer holds stays: the expiry limits the wait, not the work.
_SWEEP_MESSAGES = """
DELETE FROM message WHERE id IN (
  SELECT id FROM message INDEXED BY message_expires
  WHERE expires <= :now AND queue_time = 1 AND NOT (owner IS NOT NULL AND due > :now) LIMIT :limit)"""
_SWEEP_EXTERNAL = f"""
DELETE FROM message WHERE id IN (
  SELECT id FROM message INDEXED BY message_external_expires
  WHERE expires <= {WALL_MS} AND queue_time = 0 LIMIT :limit)"""
_SWEEP_STATE = """
DELETE FROM state WHERE key IN (
  SELECT key FROM state INDEXED BY state_expires WHERE expires <= :now LIMIT :limit)"""
_NEW_IDS = "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'message' RETURNING seq"
MAX_ROW_ID = 1 << 53
"""A larger id was written by an external client; SQLite would soon have none left, and refuse every insert."""
_FRESH_IDS = range(1 << 50, 1 << 52)
_SWEEPS = (_SWEEP_MESSAGES, _SWEEP_EXTERNAL, _SWEEP_STATE)
HELD = "id = ? AND deliveries = ? AND owner IS NOT NULL"
"""The fence: whether a row still is the delivery of (row_id, deliveries).

Every other end of a delivery clears `owner`, gives the message a new id, or counts a new delivery.
"""

Row = tuple[str, int, int, int | None, str | None, str | None, str | None, str | None, str | None, str | bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One delivery of one row of one queue file. Valid after its lease too, until another consumer takes the row."""

    store: str
    row_id: int
    deliveries: int


def held_row(delivery: Delivery, store: str) -> tuple[int, int] | None:
    """The values for HELD; None for a receipt of another file or backend."""
    receipt = delivery.receipt
    if isinstance(receipt, Receipt) and receipt.store == store:
        return receipt.row_id, receipt.deliveries
    return None


def lost(delivery: Delivery, path: Path) -> LeaseLost:
    """The answer to settling a delivery that is lost."""
    return LeaseLost(
        f"{path}: delivery {delivery.deliveries} of message {delivery.id} in {delivery.queue!r} is lost: its lease "
        "ended and the message was redelivered, or it was settled before",
        hint="nothing was changed or published; if runs outlast the lease, raise mq.sqlite.lease",
    )


class Publishing:
    """Publishes into one queue file. Thread-safe."""

    def __init__(self, connections: Connections, waker: Waker, sweeper: Sweeper) -> None:
        self._connections = connections
        self._waker = waker
        self._sweeper = sweeper

    def publish(self, messages: Sequence[Outgoing]) -> list[BrokerError | None]:
        """Store all in one transaction; only expired reply queues get an error. Raises when nothing was stored."""
        path, now_ms = self._connections.path, self._connections.now_ms
        answers = [expired_reply_queue(message, path, now_ms) for message in messages]
        good = [message for message, answer in zip(messages, answers, strict=True) if answer is None]
        try:
            self._store(good)
        except BrokerUnavailable as error:
            if not error.in_doubt:
                raise
            return [answer or error for answer in answers]
        self._waker.notify()
        return answers

    def _store(self, messages: Sequence[Outgoing]) -> None:
        if messages:
            with self._connections.writing("publish") as connection:
                now_ms = connection.now_ms()
                insert(connection, messages, now_ms)
                self._sweeper.sweep(connection, now_ms)


def insert(
    connection: QueueConnection, messages: Iterable[Outgoing], now_ms: int, *, keep_s: float | None = None
) -> None:
    """Store `messages` in the caller's transaction. Those without an expiry of their own expire after `keep_s`."""
    rows = [_row(message, now_ms, keep_s) for message in messages]
    if rows:
        replace_huge_ids(connection)
        connection.executemany(_INSERT, rows)


def new_ids(connection: QueueConnection, count: int) -> range:
    """`count` ids that no row has or had, for rows that change theirs in the caller's transaction."""
    replace_huge_ids(connection)
    last: int = connection.execute(_NEW_IDS, (count,)).fetchall()[0][0]
    return range(last - count + 1, last + 1)


def replace_huge_ids(connection: QueueConnection) -> None:
    """Give rows with an id over MAX_ROW_ID another one, and let later ids follow it, in the caller's transaction.

    The new ids are at a random place far beyond those in use, because an id must never be used twice. A delivery of
    such a row is lost, and redelivered.
    """
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'message'").fetchone()
    if found is None or found[0] <= MAX_ROW_ID:
        return
    huge = [row_id for (row_id,) in connection.execute("SELECT id FROM message WHERE id > ?", (MAX_ROW_ID,))]
    start = _FRESH_IDS.start + secrets.randbelow(len(_FRESH_IDS))
    renamed = [(start + index, row_id) for index, row_id in enumerate(huge)]
    connection.executemany("UPDATE message SET id = ? WHERE id = ?", renamed)
    connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'message'", (start + len(huge),))


def expired_reply_queue(message: Outgoing, path: Path, now_ms: Callable[[], int]) -> BrokerError | None:
    """The error for a message to a private reply queue that has expired; None for all others."""
    named = _REPLY_QUEUE.fullmatch(message.queue)
    if named is None:
        return None
    late_ms = now_ms() - int(named[1], 16)
    if late_ms < 0:
        return None
    return QueueMissing(
        f"{path}: the private reply queue {message.queue!r} expired {format_duration(late_ms / 1000)} ago",
        hint="its requester waits no longer; ask for the reply queue with a longer time, or raise mq.reply.ttl",
    )


def reply_queue_name(now_ms: int, ttl_s: float) -> str:
    """A name that can't be guessed. It contains the queue's time when it expires, so nothing has to be stored."""
    return f"awf-reply-{now_ms + span_ms(ttl_s):011x}-{secrets.token_hex(12)}"


def check_ttl(ttl_s: float, path: Path) -> None:
    """Raise BrokerMisconfigured for a time to live that can't be stored. Not-a-number compares false."""
    if not ttl_s <= MAX_SPAN_S:
        raise BrokerMisconfigured(
            f"{path}: ttl_s is {ttl_s}, which the queue can't store",
            hint=f"give at most {MAX_SPAN_S:.0f} seconds (ten years)",
        )


def storable(text: str) -> str:
    """`text` without lone surrogates, which JSON can hold and UTF-8 can't."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()


def to_json(value: object) -> str:
    """`value` as JSON text that any client can store and read."""
    return json.dumps(value, default=str)


def read_headers(text: str | None) -> dict[str, str]:
    """The headers in a row: none if it isn't a JSON object; a value that isn't text becomes its JSON."""
    found = parsed(text)
    if not isinstance(found, dict):
        return {}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}


def read_history(text: str | None) -> list[dict[str, object]]:
    """The history in a row, oldest first; none if it isn't a JSON array of objects."""
    found = parsed(text)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def crash_count(text: str | None) -> int:
    """How many deliveries of a row ended in a crash: the length of its `crashes`."""
    found = parsed(text)
    return len(found) if isinstance(found, list) else 0


class Sweeper:
    """Removes what has expired, inside write transactions that happen anyway: once a second, sooner while more is left.

    Expired rows are invisible before they are removed.
    """

    def __init__(self) -> None:
        self._next_ms = 0

    def sweep(self, connection: QueueConnection, now_ms: int) -> None:
        """Remove up to 500 messages of each kind and 500 state entries in the caller's transaction, if it is time."""
        if self._next_ms - _SWEEP_EVERY_MS <= now_ms < self._next_ms:
            return
        values = {"now": now_ms, "limit": _SWEEP_LIMIT}
        removed = [connection.execute(sql, values).rowcount for sql in _SWEEPS]
        queue_clock.note_seen(connection, now_ms)
        self._next_ms = now_ms if max(removed) == _SWEEP_LIMIT else now_ms + _SWEEP_EVERY_MS


def parsed(text: str | None) -> object:
    """The JSON in a column; None where it is none, since an external client may have written anything."""
    return None if text is None else json_or_none(text)


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
