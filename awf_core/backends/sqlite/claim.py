"""Take messages: look, claim what is due, else sleep until something may be. Called by `backend.py`.

A look never takes the write lock. A claim is one transaction: a process that dies in it has taken nothing,
one that dies after it holds a lease that ends.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from awf_core.backends.sqlite.columns import read_headers
from awf_core.backends.sqlite.connection import Connections, GaveUp
from awf_core.backends.sqlite.receipt import Receipt
from awf_core.backends.sqlite.wallclock import TOLERANCE_MS, WallClock, span_ms
from awf_core.contract import Delivery
from awf_core.errors import BrokerUnavailable

if TYPE_CHECKING:
    from awf_core.backends.sqlite.opening import QueueConnection
    from awf_core.backends.sqlite.wait import Waker

_LONGEST_SLEEP_S = 0.5
_LOOKING = "look for messages"
_UNEXPIRED = "(expires IS NULL OR expires > :now)"
_HEAD = f"SELECT due, created FROM message WHERE queue = :queue AND {_UNEXPIRED} ORDER BY due, id LIMIT 1"
# CAST: foreign text is taken as the bytes it is, valid UTF-8 or not.
_READY = f"""
SELECT id, attempt, deliveries + 1, released, COALESCE(first_seen, :now), message_id, reply_to,
  correlation_id, headers, CAST(body AS BLOB)
FROM message WHERE queue = :queue AND due <= :now AND {_UNEXPIRED} ORDER BY due, id LIMIT :limit"""
# One statement for the batch: every step of SQLite lets go of Python's interpreter lock, and under load each return
# of it is waited for.
_CLAIM = """
UPDATE message SET deliveries = deliveries + 1, owner = :owner, first_seen = COALESCE(first_seen, :now), due = :due
WHERE id IN (SELECT value FROM json_each(:ids))"""
# A message put in before the clock was set back seems to come from the future, and would wait until it has
# come.
_REBASE = "UPDATE message SET due = due - created + :now, created = :now WHERE queue = :queue AND created > :latest"


class Claims:
    """Takes messages for one owner. Thread-safe."""

    def __init__(self, connections: Connections, clock: WallClock, waker: Waker, *, owner: str, lease_s: float) -> None:
        self._connections = connections
        self._clock = clock
        self._waker = waker
        self._owner = owner
        self._lease_s = lease_s
        self._was_full = False

    def consume(self, queue: str, limit: int, wait_s: float) -> list[Delivery]:
        """Up to `limit` deliveries, oldest due first; [] when `wait_s` is over or the waker stopped."""
        try:
            return self._consume(queue, limit, time.monotonic() + wait_s)
        except BrokerUnavailable:
            # close() from another thread takes the connection away; that is an end, not a failure.
            if self._waker.is_stopped:
                return []
            raise

    def _consume(self, queue: str, limit: int, deadline: float) -> list[Delivery]:
        if self._was_full and limit > 0 and not self._waker.is_stopped:
            # Where there was as much as asked for, there is likely more: no need to look first.
            deliveries = self._claim(queue, limit)
            if deliveries:
                return deliveries
        while limit > 0 and not self._waker.is_stopped:
            changes = self._waker.changes
            version, due_in_s = self._look(queue)
            if due_in_s <= 0 and (deliveries := self._claim(queue, limit)):
                return deliveries
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            sleep_s = min(left_s, max(due_in_s, 0), _LONGEST_SLEEP_S)
            self._waker.wait(changes, partial(self._is_changed, version), sleep_s)
        return []

    def _is_changed(self, version: tuple[int, int]) -> bool:
        with self._connections.reading(_LOOKING) as connection:
            return connection.data_version() != version

    def _look(self, queue: str) -> tuple[tuple[int, int], float]:
        """The file's version, and the seconds until the head of the queue is due; not positive = now."""
        now_ms = self._clock.now_ms()
        with self._connections.reading(_LOOKING) as connection:
            version = connection.data_version()
            head = connection.execute(_HEAD, {"queue": queue, "now": now_ms}).fetchall()
        if not head:
            return version, float("inf")
        due_ms, created_ms = head[0]
        if due_ms > now_ms and created_ms > now_ms + TOLERANCE_MS:
            self._rebase(queue)
            return version, 0.0
        return version, float(due_ms - now_ms) / 1000

    def _rebase(self, queue: str) -> None:
        with self._connections.writing("correct times after the clock was set back") as connection:
            now_ms = self._clock.now_ms()
            connection.execute(_REBASE, {"queue": queue, "now": now_ms, "latest": now_ms + TOLERANCE_MS})

    def _claim(self, queue: str, limit: int) -> list[Delivery]:
        # Not durable: a claim lost in a power cut was held by a process that is gone too, and the message
        # comes again. Results and acks, which it must not come again after, are written durably, and that
        # writes this out as well.
        with (
            suppress(GaveUp),
            self._connections.writing(
                "take messages", durable=False, give_up=lambda: self._waker.is_stopped
            ) as connection,
        ):
            lease_until, now_ms = self._clock.monotonic_s() + self._lease_s, self._clock.now_ms()
            rows = self._take(connection, queue, limit, now_ms)
            self._was_full = len(rows) == limit
            if self._waker.is_stopped:
                raise GaveUp
            return [_delivery(row, queue, connection.store, lease_until) for row in rows]
        return []

    def _take(self, connection: QueueConnection, queue: str, limit: int, now_ms: int) -> list[tuple[Any, ...]]:
        # Two statements in the write lock, not one UPDATE ... RETURNING: that returns rows in no order.
        rows = connection.execute(_READY, {"queue": queue, "now": now_ms, "limit": limit}).fetchall()
        if rows:
            ids = f"[{','.join([str(row[0]) for row in rows])}]"
            due_ms = now_ms + span_ms(self._lease_s)
            connection.execute(_CLAIM, {"owner": self._owner, "now": now_ms, "due": due_ms, "ids": ids})
        return rows


def _delivery(row: tuple[Any, ...], queue: str, store: str, lease_until: float) -> Delivery:
    (
        row_id,
        attempt,
        deliveries,
        released,
        first_seen_ms,
        message_id,
        reply_to,
        correlation_id,
        headers,
        body,
    ) = row
    return Delivery(
        queue=queue,
        body=body,
        receipt=Receipt(store=store, row_id=row_id, deliveries=deliveries),
        attempt=attempt,
        deliveries=deliveries,
        released=released,
        id=message_id if message_id is not None else f"sqlite-{store}-{row_id}",
        reply_to=reply_to,
        correlation_id=correlation_id,
        headers=read_headers(headers),
        first_seen_at=first_seen_ms / 1000,
        lease_until=lease_until,
    )
