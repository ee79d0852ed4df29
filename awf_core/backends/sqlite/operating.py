"""What an operator does with a queue: count, browse, move and purge messages. Called by `backend.py`.

Move and purge work in batches, each its own transaction, so that workers get their turn in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awf_core.backends.sqlite.messages import read_headers, read_history, to_json
from awf_core.contract import ItemState, Page, QueueItem, Stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.backends.sqlite.connection import Connections, Waker
    from awf_core.backends.sqlite.messages import WallClock
    from awf_core.backends.sqlite.opening import QueueConnection

# By id, which never changes, so that no message is missed or shown twice when due times change between two pages.
_PAGE = """
SELECT id, due, created, attempt, deliveries, owner, message_id, reply_to, correlation_id, headers, source,
  reason, error, history, dead_at, CAST(body AS BLOB)
FROM message WHERE id IN (
  SELECT id FROM message
  WHERE queue = :queue AND id > :after AND (expires IS NULL OR expires > :now) ORDER BY id LIMIT :limit)
ORDER BY id"""
# `unseen`: expired and not yet removed. The age is exact for queues of up to 1000 ready messages; in longer queues a
# retried message may be older than the first thousand.
_COUNTS = """
SELECT
  (SELECT COUNT(*) FROM message WHERE queue = :queue AND due <= :now),
  (SELECT COUNT(*) FROM message INDEXED BY message_expires
   WHERE expires <= :now AND queue = :queue AND due <= :now),
  (SELECT COUNT(*) FROM message WHERE queue = :queue AND due > :now),
  (SELECT COUNT(*) FROM message INDEXED BY message_expires
   WHERE expires <= :now AND queue = :queue AND due > :now AND owner IS NULL),
  (SELECT COUNT(*) FROM message INDEXED BY message_held
   WHERE queue = :queue AND due > :now AND owner IS NOT NULL),
  (SELECT COUNT(*) FROM message WHERE source = :queue),
  (SELECT MIN(created) FROM (
    SELECT created FROM message
    WHERE queue = :queue AND due <= :now AND (expires IS NULL OR expires > :now)
    ORDER BY due, id LIMIT 1000))"""


_BATCH = 500
_LAST = "SELECT MAX(id) FROM message"
# Up to :last, the newest message at the beginning: so a move to the same queue ends, and a purge of a busy queue too.
_FREE = "queue = :queue AND id <= :last AND NOT (owner IS NOT NULL AND due > :now)"
_PICK = f"""
SELECT id FROM message WHERE {_FREE} AND (expires IS NULL OR expires > :now) ORDER BY due, id LIMIT :limit"""
_PICK_NAMED = f"""
SELECT id FROM message WHERE id IN (SELECT value FROM json_each(:ids)) AND {_FREE}
  AND (expires IS NULL OR expires > :now) ORDER BY due, id LIMIT :limit"""
# A new row, with counters at their start: no old receipt is valid for it. The reason of a dead-lettered message goes
# into its history.
_COPY = """
INSERT INTO message(queue, due, created, expires, message_id, reply_to, correlation_id, content_type, headers,
  history, body)
SELECT :target, :now, :now, expires, COALESCE(message_id, 'sqlite-' || :store || '-' || id), reply_to,
  correlation_id, content_type, headers,
  CASE WHEN source IS NULL THEN history ELSE json_insert(
    CASE WHEN json_valid(history) AND json_type(history) = 'array' THEN history ELSE '[]' END, '$[#]',
    json_object('event', 'dead_letter', 'source', source, 'reason', reason, 'error', error,
      'attempt', attempt, 'deliveries', deliveries, 'dead_at', dead_at / 1000.0)) END,
  body
FROM message WHERE id IN (SELECT value FROM json_each(:ids)) ORDER BY due, id"""
_REMOVE = "DELETE FROM message WHERE id IN (SELECT value FROM json_each(:ids))"
_PURGE = f"DELETE FROM message WHERE id IN (SELECT id FROM message WHERE {_FREE} LIMIT :limit)"


class Operating:
    """Counts, browses, moves and purges in one queue file. Thread-safe."""

    def __init__(self, connections: Connections, clock: WallClock, waker: Waker) -> None:
        self._connections = connections
        self._clock = clock
        self._waker = waker

    def browse(self, queue: str, limit: int, after: str | None) -> Page:
        """Up to `limit` messages, oldest first; an invalid `after` starts from the beginning."""
        now_ms = self._clock.now_ms()
        start = int(after) if after is not None and after.isdecimal() and len(after) < 19 else 0
        values = {"queue": queue, "after": start, "now": now_ms, "limit": max(limit, 0) + 1}
        with self._connections.reading("browse") as connection:
            rows = connection.execute(_PAGE, values).fetchall()
        items = [_item(row, now_ms) for row in rows[:limit]]
        return Page(items=items, next=items[-1].id if items and len(rows) > limit else None)

    def stats(self, queue: str) -> Stats:
        """The counts of one moment."""
        now_ms = self._clock.now_ms()
        with self._connections.reading("count messages") as connection:
            found = connection.execute(_COUNTS, {"queue": queue, "now": now_ms}).fetchall()[0]
        due, due_unseen, later, later_unseen, held, dead, oldest_ms = found
        return Stats(
            ready=due - due_unseen,
            delayed=later - later_unseen - held,
            in_flight=held,
            dead=dead,
            oldest_age_s=None if oldest_ms is None else max(0, now_ms - oldest_ms) / 1000,
        )

    def move(self, source: str, target: str, ids: Sequence[str] | None, limit: int | None) -> int:
        """Move up to `limit` messages (None = all), those in `ids` (None = any); returns how many."""
        named = None if ids is None else _row_ids(ids)
        moved, last = 0, self._last_id()
        while limit is None or moved < limit:
            size = _BATCH if limit is None else min(_BATCH, limit - moved)
            count = self._move_batch(source, target, named, last, size)
            moved += count
            if count < size:
                break
        return moved

    def purge(self, queue: str) -> int:
        """Remove the messages that are there now and that no consumer holds; returns how many."""
        removed, last = 0, self._last_id()
        while True:
            with self._connections.writing("purge") as connection:
                values = {"queue": queue, "last": last, "now": self._clock.now_ms(), "limit": _BATCH}
                count = connection.execute(_PURGE, values).rowcount
            removed += count
            if count < _BATCH:
                return removed

    def _last_id(self) -> int:
        with self._connections.reading("find messages") as connection:
            return connection.execute(_LAST).fetchall()[0][0] or 0

    def _move_batch(self, source: str, target: str, named: Sequence[int] | None, last: int, limit: int) -> int:
        with self._connections.writing("move messages") as connection:
            values = {"queue": source, "last": last, "now": self._clock.now_ms(), "limit": limit}
            picked = _pick(connection, values, named)
            chosen = {
                "ids": to_json(picked),
                "target": target,
                "now": values["now"],
                "store": connection.store,
            }
            connection.execute(_COPY, chosen)
            connection.execute(_REMOVE, chosen)
        self._waker.notify()
        return len(picked)


def _item(row: tuple[Any, ...], now_ms: int) -> QueueItem:
    (row_id, due_ms, created_ms, attempt, deliveries, owner, message_id, reply_to, correlation_id, headers,
     source, reason, error, history, dead_at_ms, body) = row  # fmt: skip
    return QueueItem(
        id=str(row_id),
        body=body,
        state=_item_state(owner, source, is_due=due_ms <= now_ms),
        message_id=message_id,
        attempt=attempt,
        deliveries=deliveries,
        reply_to=reply_to,
        correlation_id=correlation_id,
        headers=read_headers(headers),
        enqueued_at=created_ms / 1000,
        due_at=due_ms / 1000,
        source=source,
        reason=reason,
        error=error,
        history=read_history(history),
        dead_at=None if dead_at_ms is None else dead_at_ms / 1000,
    )


def _item_state(owner: str | None, source: str | None, *, is_due: bool) -> ItemState:
    if owner is not None and not is_due:
        return "in_flight"
    if source is not None:
        return "dead"
    return "ready" if is_due else "delayed"


def _pick(connection: QueueConnection, values: dict[str, object], named: Sequence[int] | None) -> list[int]:
    if named is None:
        rows = connection.execute(_PICK, values).fetchall()
    else:
        rows = connection.execute(_PICK_NAMED, {**values, "ids": to_json(named)}).fetchall()
    return [row_id for (row_id,) in rows]


def _row_ids(ids: Sequence[str]) -> list[int]:
    """The row ids among `ids`; the others name no message."""
    return [int(text) for text in ids if text.isdecimal() and len(text) < 19]
