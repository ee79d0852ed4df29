"""Look at a queue without taking anything: its messages, and its counts. Called by `backend.py`. Writes
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awf_core.backends.sqlite.columns import read_headers, read_history
from awf_core.contract import ItemState, Page, QueueItem, Stats

if TYPE_CHECKING:
    from awf_core.backends.sqlite.connection import Connections
    from awf_core.backends.sqlite.wallclock import WallClock

# By id, which never changes, so that no message is missed or met twice when due times move between two pages.
_PAGE = """
SELECT id, due, created, attempt, deliveries, owner, message_id, reply_to, correlation_id, headers, source,
  reason, error, history, dead_at, CAST(body AS BLOB)
FROM message WHERE id IN (
  SELECT id FROM message
  WHERE queue = :queue AND id > :after AND (expires IS NULL OR expires > :now) ORDER BY id LIMIT :limit)
ORDER BY id"""
# `unseen`: expired and not yet swept. The age is exact for queues of up to 1000 ready messages; in longer
# ones a message that was retried may be older than the thousand in front.
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


class Browsing:
    """Looks at one queue file. Thread-safe."""

    def __init__(self, connections: Connections, clock: WallClock) -> None:
        self._connections = connections
        self._clock = clock

    def browse(self, queue: str, limit: int, after: str | None) -> Page:
        """Up to `limit` messages in the order they came in; a damaged `after` starts from the beginning."""
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
