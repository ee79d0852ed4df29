"""Move messages between queues, and remove them all. Called by `backend.py` for an operator.

Works through a queue in pieces, each its own transaction, so that workers get their turn in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.backends.sqlite.outgoing import bad_queue_name, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.backends.sqlite.connection import Connections
    from awf_core.backends.sqlite.opening import QueueConnection
    from awf_core.backends.sqlite.wait import Waker
    from awf_core.backends.sqlite.wallclock import WallClock

_AT_ONCE = 500
_LAST = "SELECT MAX(id) FROM message"
# Up to :last, what was there at the beginning: a move onto the same queue ends, and so does a purge of a busy
# one.
_FREE = "queue = :queue AND id <= :last AND NOT (owner IS NOT NULL AND due > :now)"
_PICK = f"""
SELECT id FROM message WHERE {_FREE} AND (expires IS NULL OR expires > :now) ORDER BY due, id LIMIT :limit"""
_PICK_NAMED = f"""
SELECT id FROM message WHERE id IN (SELECT value FROM json_each(:ids)) AND {_FREE}
  AND (expires IS NULL OR expires > :now) ORDER BY due, id LIMIT :limit"""
# A new row: it starts afresh, and no receipt of the old one fits it. What killed a dead letter goes into its
# history.
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


class Moving:
    """Moves and removes messages that nobody holds. Thread-safe."""

    def __init__(self, connections: Connections, clock: WallClock, waker: Waker) -> None:
        self._connections = connections
        self._clock = clock
        self._waker = waker

    def move(self, source: str, target: str, ids: Sequence[str] | None, limit: int | None) -> int:
        """Move up to `limit` (None = all) messages, those in `ids` (None = any); returns how many."""
        error = bad_queue_name(target, self._connections.path)
        if error is not None:
            raise error
        named = None if ids is None else _row_ids(ids)
        moved, last = 0, self._last_id()
        while limit is None or moved < limit:
            piece = _AT_ONCE if limit is None else min(_AT_ONCE, limit - moved)
            count = self._move_piece(source, target, named, last, piece)
            moved += count
            if count < piece:
                break
        return moved

    def purge(self, queue: str) -> int:
        """Remove what is there now and free; returns how many."""
        removed, last = 0, self._last_id()
        while True:
            with self._connections.writing("purge") as connection:
                values = {"queue": queue, "last": last, "now": self._clock.now_ms(), "limit": _AT_ONCE}
                count = connection.execute(_PURGE, values).rowcount
            removed += count
            if count < _AT_ONCE:
                return removed

    def _last_id(self) -> int:
        with self._connections.reading("find messages") as connection:
            return connection.execute(_LAST).fetchall()[0][0] or 0

    def _move_piece(self, source: str, target: str, named: Sequence[int] | None, last: int, limit: int) -> int:
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


def _pick(connection: QueueConnection, values: dict[str, object], named: Sequence[int] | None) -> list[int]:
    if named is None:
        rows = connection.execute(_PICK, values).fetchall()
    else:
        rows = connection.execute(_PICK_NAMED, {**values, "ids": to_json(named)}).fetchall()
    return [row_id for (row_id,) in rows]


def _row_ids(ids: Sequence[str]) -> list[int]:
    """The row ids among `ids`; what can't be one names no message."""
    return [int(text) for text in ids if text.isdecimal() and len(text) < 19]
