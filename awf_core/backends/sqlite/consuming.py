"""Deliver messages: wait, claim, and turn rows into deliveries. Called by `backend.py`.

A claim is one transaction: a process that dies in it has taken nothing, and one that dies after it holds a lease that
ends. The claim notes its owner, and that the delivery before it ended in a crash, if no live process owned that one.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from awf_core.backends.sqlite.connection import Connections, GaveUp, Waker
from awf_core.backends.sqlite.messages import (
    MAX_ROW_ID,
    Receipt,
    crash_count,
    read_headers,
    read_history,
    replace_huge_ids,
)
from awf_core.backends.sqlite.schema import WALL_MS, bounded
from awf_core.contract import Delivery
from awf_core.errors import BrokerUnavailable
from awf_core.units import span_ms

if TYPE_CHECKING:
    from awf_core.backends.sqlite.opening import QueueConnection
    from awf_core.clock import Clock

_LONGEST_SLEEP_S = 0.5
_CHECK = "check for messages"
# So many rows of external producers get the queue's time in one claim: an import of a million holds up no worker.
_ADOPTED = 1000
_UNEXPIRED = "(expires IS NULL OR expires > :now)"
_HEAD = f"""
SELECT
  (SELECT due FROM message WHERE queue = :queue AND queue_time = 1 AND {_UNEXPIRED} ORDER BY due, id LIMIT 1),
  EXISTS (SELECT 1 FROM message WHERE queue = :queue AND queue_time = 0),
  (SELECT seq > {MAX_ROW_ID} FROM sqlite_sequence WHERE name = 'message')"""
_DUE, _CREATED, _EXPIRES = bounded("due"), bounded("created"), bounded("expires")
_DELIVERIES = bounded("deliveries")
# A later time would make the message younger than it is, and switch its greatest age off.
_FIRST_SEEN = "CASE WHEN first_seen BETWEEN 0 AND :now THEN first_seen ELSE :now END"
# Times of an external producer become times of the queue's clock. A message that waited is as old there as by the wall
# clock, and none waits longer than its own delay, though the wall clock was set back since.
_ADOPT = f"""
UPDATE message SET
  due = :now + MIN({_DUE} - {WALL_MS}, MAX({_DUE} - {_CREATED}, 0)),
  expires = :now + MIN({_EXPIRES} - {WALL_MS}, MAX({_EXPIRES} - {_CREATED}, 0)),
  created = :now + MIN({_CREATED} - {WALL_MS}, 0),
  queue_time = 1
WHERE id IN (SELECT id FROM message WHERE queue = :queue AND queue_time = 0 ORDER BY due, id LIMIT {_ADOPTED})"""
# `octet_length` needs SQLite 3.43; without it SQLite reads a long text to count its bytes. Python never does.
_BYTES = (
    "octet_length(body)"
    if sqlite3.sqlite_version_info >= (3, 43)
    else "CASE typeof(body) WHEN 'blob' THEN length(body) ELSE length(CAST(body AS BLOB)) END"
)
# CAST: an external client's text is taken as the bytes it is, valid UTF-8 or not. A number in its place is the size of
# a body that is too large.
_READY = f"""
SELECT id, {bounded("attempt", 1)}, {_DELIVERIES} + 1, crashes, owner, {_FIRST_SEEN}, {_EXPIRES}, message_id, reply_to,
  correlation_id, headers, history,
  CASE WHEN {_BYTES} > :max_bytes THEN {_BYTES} ELSE CAST(body AS BLOB) END
FROM message
WHERE queue = :queue AND queue_time = 1 AND due <= :now AND {_UNEXPIRED} ORDER BY due, id LIMIT :limit"""
# One statement for the batch: every step of SQLite releases Python's interpreter lock, and under load the thread waits
# for it after each step.
_CRASHES = "CASE WHEN json_valid(crashes) AND json_type(crashes) = 'array' THEN crashes ELSE '[]' END"
_CLAIM = f"""
UPDATE message SET
  crashes = CASE WHEN owner IS NULL OR owner = :owner THEN crashes
    ELSE json_insert({_CRASHES}, '$[#]', {_DELIVERIES}) END,
  deliveries = {_DELIVERIES} + 1, owner = :owner, first_seen = {_FIRST_SEEN}, due = :due
WHERE id IN (SELECT value FROM json_each(:ids))"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """What claims in one process have in common.

    owner            the process, as `BackendContext.instance` names it
    lease_s          how long a claimed message stays with it
    max_body_bytes   larger bodies are not read; None = no limit
    """

    owner: str
    lease_s: float
    max_body_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """One claim: its times are milliseconds of the queue's clock, `lease_until` is `Clock.monotonic()` seconds."""

    queue: str
    store: str
    now_ms: int
    due_ms: int
    lease_until: float


class Consuming:
    """The deliveries of one process from one queue file. Thread-safe."""

    def __init__(self, connections: Connections, waker: Waker, claimant: Claimant, clock: Clock) -> None:
        self._connections = connections
        self._waker = waker
        self._claimant = claimant
        self._clock = clock
        self._was_full = False

    def consume(self, queue: str, limit: int, wait_s: float) -> list[Delivery]:
        """Up to `limit` deliveries, oldest due first; [] after `wait_s`, or when the waker is stopped."""
        try:
            return self._consume(queue, limit, time.monotonic() + wait_s)
        except BrokerUnavailable:
            # close() from another thread closes the connection; that ends the wait and is no failure.
            if self._waker.is_stopped:
                return []
            raise

    def _consume(self, queue: str, limit: int, deadline: float) -> list[Delivery]:
        if self._was_full and limit > 0 and not self._waker.is_stopped:
            # The last claim was full, so there is likely more: claim without a check first.
            deliveries = self._claim(queue, limit)
            if deliveries:
                return deliveries
        while limit > 0 and not self._waker.is_stopped:
            changes = self._waker.changes
            version, due_in_s = self._check(queue)
            if due_in_s <= 0 and (deliveries := self._claim(queue, limit)):
                return deliveries
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            sleep_s = min(left_s, max(due_in_s, 0), _LONGEST_SLEEP_S)
            self._waker.wait(changes, partial(self._is_changed, version), sleep_s)
        return []

    def _is_changed(self, version: tuple[int, int]) -> bool:
        with self._connections.reading(_CHECK) as connection:
            return connection.data_version() != version

    def _check(self, queue: str) -> tuple[tuple[int, int], float]:
        """The file's version, and the seconds until a claim makes sense; not positive = now."""
        # Without the write lock: an idle consumer disturbs no writer.
        with self._connections.reading(_CHECK) as connection:
            version, now_ms = connection.data_version(), connection.now_ms()
            due_ms, is_external, is_id_huge = connection.execute(_HEAD, {"queue": queue, "now": now_ms}).fetchall()[0]
        if is_id_huge:
            with self._connections.writing("give messages new ids") as connection:
                replace_huge_ids(connection)
        if is_external:
            return version, 0.0
        return version, float("inf") if due_ms is None else float(due_ms - now_ms) / 1000

    def _claim(self, queue: str, limit: int) -> list[Delivery]:
        # Not durable: a power cut that loses the claim ends its process too, and the message is redelivered. Results
        # and acks are written durably, and each such commit writes the claim out as well.
        with (
            suppress(GaveUp),
            self._connections.writing(
                "take messages", durable=False, give_up=lambda: self._waker.is_stopped
            ) as connection,
        ):
            claim = self._begun(connection, queue)
            rows = self._take(connection, claim, limit)
            self._was_full = len(rows) == limit
            if self._waker.is_stopped:
                raise GaveUp
            return [_delivery(row, claim, self._claimant.owner) for row in rows]
        return []

    def _begun(self, connection: QueueConnection, queue: str) -> _Claim:
        now_ms = connection.now_ms()
        due_ms = now_ms + span_ms(self._claimant.lease_s)
        lease_until = (due_ms - connection.start_ms) / 1000
        return _Claim(queue=queue, store=connection.store, now_ms=now_ms, due_ms=due_ms, lease_until=lease_until)

    def _take(self, connection: QueueConnection, claim: _Claim, limit: int) -> list[tuple[Any, ...]]:
        values: dict[str, object] = {"queue": claim.queue, "now": claim.now_ms}
        connection.execute(_ADOPT, values)
        # Two statements in the write lock, not one UPDATE ... RETURNING: that returns rows in no order.
        values |= {"limit": limit, "max_bytes": self._claimant.max_body_bytes}
        rows = connection.execute(_READY, values).fetchall()
        if any(row[0] > MAX_ROW_ID for row in rows):
            replace_huge_ids(connection)
            rows = connection.execute(_READY, values).fetchall()
        if rows:
            ids = f"[{','.join([str(row[0]) for row in rows])}]"
            values = {"owner": self._claimant.owner, "now": claim.now_ms, "due": claim.due_ms, "ids": ids}
            connection.execute(_CLAIM, values)
        return rows


def _delivery(row: tuple[Any, ...], claim: _Claim, owner: str) -> Delivery:
    (row_id, attempt, deliveries, crashes, last_owner, first_seen_ms, expires_ms, message_id, reply_to, correlation_id,
     headers, history, body) = row  # fmt: skip
    # Most messages are new: what they don't have is not parsed.
    crashed = 0 if crashes is None else crash_count(crashes)
    if last_owner is not None and last_owner != owner:
        crashed += 1
    age_s = (claim.now_ms - first_seen_ms) / 1000
    is_stub = isinstance(body, int)
    return Delivery(
        queue=claim.queue,
        body=b"" if is_stub else body,
        receipt=Receipt(store=claim.store, row_id=row_id, deliveries=deliveries),
        id=f"sqlite-{claim.store}-{row_id}",
        message_id=message_id,
        attempt=attempt,
        deliveries=deliveries,
        crashes=crashed,
        body_bytes=body if is_stub else len(body),
        reply_to=reply_to,
        correlation_id=correlation_id,
        headers={} if headers is None else read_headers(headers),
        history=() if history is None else read_history(history),
        age_s=age_s,
        lease_until=claim.lease_until,
        expires_in_s=None if expires_ms is None else (expires_ms - claim.now_ms) / 1000,
    )
