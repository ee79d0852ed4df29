"""What an operator does with a queue: count, browse, move and purge messages. Called by `backend.py`.

Move and purge work in batches, each its own transaction, so that workers get their turn in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awf_core.backends.sqlite.messages import new_ids, read_headers, read_history, to_json
from awf_core.backends.sqlite.schema import WALL_MS, bounded
from awf_core.contract import ItemState, Page, QueueItem, Stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.backends.sqlite.connection import Connections, Waker
    from awf_core.backends.sqlite.opening import QueueConnection
    from awf_core.clock import Clock

# What an external producer wrote and no claim has read yet has times of the wall clock.
_NOW = f"CASE queue_time WHEN 1 THEN :now ELSE {WALL_MS} END"
_UNEXPIRED = f"(expires IS NULL OR expires > {_NOW})"
# By id, which never changes, so that no message is missed or shown twice when due times change between two pages.
_PAGE = f"""
SELECT id, {bounded("due")} - {_NOW}, {bounded("created")} - {_NOW}, attempt, deliveries, owner,
  message_id, reply_to, correlation_id, headers, source, reason, error, history,
  {bounded("dead_at")} - :now, CAST(body AS BLOB)
FROM message WHERE id IN (
  SELECT id FROM message WHERE queue = :queue AND id > :after AND {_UNEXPIRED} ORDER BY id LIMIT :limit)
ORDER BY id"""


def _counts(is_queue_time: int, now: str, expiry_index: str) -> str:
    """The SELECT for the rows with one kind of time. `unseen`: expired and not yet removed.

    The age is exact for queues of up to 1000 ready messages; in longer queues a retried message may be older than the
    first thousand.
    """
    mine = f"queue = :queue AND queue_time = {is_queue_time}"
    due, later = f"{mine} AND due <= {now}", f"{mine} AND due > {now}"
    unseen = f"message INDEXED BY {expiry_index} WHERE expires <= {now}"
    return f"""
SELECT
  (SELECT COUNT(*) FROM message WHERE {due}),
  (SELECT COUNT(*) FROM {unseen} AND {due}),
  (SELECT COUNT(*) FROM message WHERE {later}),
  (SELECT COUNT(*) FROM {unseen} AND {later} AND owner IS NULL),
  (SELECT COUNT(*) FROM message INDEXED BY message_held WHERE {later} AND owner IS NOT NULL),
  (SELECT {now} - {bounded("MIN(created)")} FROM (
    SELECT created FROM message WHERE {due} AND (expires IS NULL OR expires > {now}) ORDER BY due, id LIMIT 1000))"""


_COUNTS = f"""{_counts(1, ":now", "message_expires")}
UNION ALL {_counts(0, WALL_MS, "message_external_expires")}"""
_DEAD = "SELECT COUNT(*) FROM message WHERE source = :queue"
_BATCH = 500
_LAST = "SELECT MAX(id) FROM message"
# Up to :last, the newest message at the beginning: so a move to the same queue ends, and a purge of a busy queue too.
_FREE = f"queue = :queue AND id <= :last AND NOT (owner IS NOT NULL AND due > {_NOW})"
# In the order of the index, without a sort of the whole queue for each batch.
_PICK = f"SELECT id FROM message WHERE {_FREE} AND {_UNEXPIRED} ORDER BY queue_time, due, id LIMIT :limit"
_PICK_NAMED = f"""
SELECT id FROM message WHERE id IN (SELECT value FROM json_each(:ids)) AND {_FREE}
  AND {_UNEXPIRED} ORDER BY queue_time, due, id LIMIT :limit"""
# The row gets a new id, and its counters start again: no old receipt is valid for it.
_MOVE = f"""
UPDATE message SET id = :new_id, queue = :target, due = :now, created = :now, queue_time = 1, attempt = 1,
  deliveries = 0, crashes = NULL, owner = NULL, first_seen = NULL, expires = :now + {bounded("expires")} - {_NOW},
  message_id = COALESCE(message_id, 'sqlite-' || :store || '-' || id), source = NULL, reason = NULL, error = NULL,
  dead_at = NULL
WHERE id = :id"""
_PURGE = f"DELETE FROM message WHERE id IN (SELECT id FROM message WHERE {_FREE} LIMIT :limit)"


class Operating:
    """Counts, browses, moves and purges in one queue file. Thread-safe."""

    def __init__(self, connections: Connections, waker: Waker, clock: Clock) -> None:
        self._connections = connections
        self._waker = waker
        self._clock = clock

    def browse(self, queue: str, limit: int, after: str | None) -> Page:
        """Up to `limit` messages, oldest first; an invalid `after` starts from the beginning."""
        start = int(after) if after is not None and after.isdecimal() and len(after) < 19 else 0
        with self._connections.reading("browse") as connection:
            # Both clocks at once: the wall clock only turns the queue's times into those that people read.
            now, now_ms = self._clock.now(), connection.now_ms()
            values = {"queue": queue, "after": start, "now": now_ms, "limit": max(limit, 0) + 1}
            rows = connection.execute(_PAGE, values).fetchall()
        items = [_item(row, now) for row in rows[:limit]]
        return Page(items=items, next=items[-1].id if items and len(rows) > limit else None)

    def stats(self, queue: str) -> Stats:
        """The counts of one moment."""
        with self._connections.reading("count messages") as connection:
            values = {"queue": queue, "now": connection.now_ms()}
            counts = connection.execute(_COUNTS, values).fetchall()
            dead = connection.execute(_DEAD, values).fetchall()[0][0]
        due, due_unseen, later, later_unseen, held = (sum(numbers) for numbers in list(zip(*counts, strict=True))[:5])
        ages_ms = [row[-1] for row in counts if row[-1] is not None]
        return Stats(
            ready=due - due_unseen,
            delayed=later - later_unseen - held,
            in_flight=held,
            dead=dead,
            oldest_age_s=max(0, *ages_ms) / 1000 if ages_ms else None,
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
                values = {"queue": queue, "last": last, "now": connection.now_ms(), "limit": _BATCH}
                count = connection.execute(_PURGE, values).rowcount
            removed += count
            if count < _BATCH:
                return removed

    def _last_id(self) -> int:
        with self._connections.reading("find messages") as connection:
            return connection.execute(_LAST).fetchall()[0][0] or 0

    def _move_batch(self, source: str, target: str, named: Sequence[int] | None, last: int, limit: int) -> int:
        with self._connections.writing("move messages") as connection:
            values = {"queue": source, "last": last, "now": connection.now_ms(), "limit": limit}
            picked = _pick(connection, values, named)
            moved = {"target": target, "now": values["now"], "store": connection.store}
            numbered = zip(picked, new_ids(connection, len(picked)) if picked else (), strict=True)
            connection.executemany(_MOVE, [{**moved, "id": old, "new_id": new} for old, new in numbered])
        self._waker.notify()
        return len(picked)


def _item(row: tuple[Any, ...], now: float) -> QueueItem:
    """The message of a row, whose times are relative to now; `now` is the wall clock's, which people read."""
    (row_id, due_in_ms, created_in_ms, attempt, deliveries, owner, message_id, reply_to, correlation_id, headers,
     source, reason, error, history, dead_in_ms, body) = row  # fmt: skip
    return QueueItem(
        id=str(row_id),
        body=body,
        state=_item_state(owner, source, is_due=due_in_ms <= 0),
        message_id=message_id,
        attempt=attempt,
        deliveries=deliveries,
        reply_to=reply_to,
        correlation_id=correlation_id,
        headers=read_headers(headers),
        enqueued_at=now + created_in_ms / 1000,
        due_at=now + due_in_ms / 1000,
        source=source,
        reason=reason,
        error=error,
        history=read_history(history),
        dead_at=None if dead_in_ms is None else now + dead_in_ms / 1000,
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
