"""Deliver messages and settle them: consume, extend, ack, nack, dead-letter. Called by `backend.py`.

A claim is one transaction: a process that dies in it has taken nothing, and one that dies after it holds a lease that
ends. A settling call is one transaction: each item passes the fence on its own, and a lost one publishes no replies.
What is reported as done is on disk (`synchronous: full`) when the call returns.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from awf_core.backends.sqlite import state
from awf_core.backends.sqlite.connection import Connections, GaveUp, Waker
from awf_core.backends.sqlite.messages import (
    CLOCK_TOLERANCE_MS,
    HELD,
    Receipt,
    Sweeper,
    WallClock,
    expired_reply_queue,
    held_row,
    insert,
    lost,
    read_headers,
    read_history,
    storable,
    to_json,
)  # fmt: skip
from awf_core.contract import Ack, DeadLetter, Delivery, Nack, Outgoing, StateEntry
from awf_core.errors import BrokerError, BrokerUnavailable
from awf_core.units import span_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.backends.sqlite.opening import QueueConnection

MAX_HISTORY = 50
_LONGEST_SLEEP_S = 0.5
_CHECK = "check for messages"
_UNEXPIRED = "(expires IS NULL OR expires > :now)"
_HEAD = f"SELECT due, created FROM message WHERE queue = :queue AND {_UNEXPIRED} ORDER BY due, id LIMIT 1"
# CAST: an external client's text is taken as the bytes it is, valid UTF-8 or not.
_READY = f"""
SELECT id, attempt, deliveries + 1, released, COALESCE(first_seen, :now), message_id, reply_to,
  correlation_id, headers, CAST(body AS BLOB)
FROM message WHERE queue = :queue AND due <= :now AND {_UNEXPIRED} ORDER BY due, id LIMIT :limit"""
# One statement for the batch: every step of SQLite releases Python's interpreter lock, and under load the thread waits
# for it after each step.
_CLAIM = """
UPDATE message SET deliveries = deliveries + 1, owner = :owner, first_seen = COALESCE(first_seen, :now), due = :due
WHERE id IN (SELECT value FROM json_each(:ids))"""
# A message published before the clock was set back is due in the future, and would wait until then.
_REBASE = "UPDATE message SET due = due - created + :now, created = :now WHERE queue = :queue AND created > :latest"
_ACK = f"DELETE FROM message WHERE {HELD}"
# One statement for the batch, as for a claim ({row id: deliveries}; not `->>`, which reads "12" as an array index).
_ACK_ALL = """
DELETE FROM message
WHERE id IN (SELECT CAST(key AS INTEGER) FROM json_each(:held)) AND owner IS NOT NULL
  AND deliveries = json_extract(:held, '$."' || id || '"')"""
_RELEASE = f"UPDATE message SET owner = NULL, due = ?, released = released + 1 WHERE {HELD}"
# The history has the reason of each failed attempt, for the reader of the dead-lettered message; the first 50 suffice.
_NACK = f"""
UPDATE message SET owner = NULL, due = ?, history = CASE
    WHEN ? = '' OR NOT json_valid(COALESCE(history, '[]')) THEN history
    WHEN json_array_length(history) >= {MAX_HISTORY} THEN history
    ELSE json_insert(COALESCE(history, '[]'), '$[#]',
      json_object('event', 'nack', 'attempt', attempt, 'at', ? / 1000.0, 'reason', ?)) END,
  attempt = attempt + 1
WHERE {HELD}"""
_EXTEND = f"UPDATE message SET due = ? WHERE {HELD}"
_HISTORY = f"SELECT history FROM message WHERE {HELD}"
# A new row with a new id: no old receipt is valid for it. SQLite copies the body byte for byte.
_DEAD_LETTER = """
INSERT INTO message(queue, due, created, attempt, deliveries, released, first_seen, message_id, reply_to,
  correlation_id, content_type, headers, source, reason, error, history, dead_at, body)
SELECT :queue, :now, created, attempt, deliveries, released, first_seen,
  COALESCE(message_id, 'sqlite-' || :store || '-' || id), reply_to, correlation_id,
  content_type, headers, queue, :reason, :error, :history, :now, body
FROM message WHERE id = :id"""
_REMOVE = "DELETE FROM message WHERE id = ?"


class _OneIsLost(Exception):
    """Rolls a batch back: one of its deliveries is lost."""


Item = TypeVar("Item", Ack, Nack, DeadLetter)
HeldRow = tuple[int, int]


class Deliveries:
    """The deliveries of one consumer process from one queue file. Thread-safe."""

    def __init__(
        self,
        connections: Connections,
        clock: WallClock,
        waker: Waker,
        sweeper: Sweeper,
        *,
        owner: str,
        lease_s: float,
        reply_ttl_s: float,
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._waker = waker
        self._sweeper = sweeper
        self._owner = owner
        self._lease_s = lease_s
        self._reply_ttl_s = reply_ttl_s
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
        """The file's version, and the seconds until the head of the queue is due; not positive = now."""
        # Without the write lock: an idle consumer disturbs no writer.
        now_ms = self._clock.now_ms()
        with self._connections.reading(_CHECK) as connection:
            version = connection.data_version()
            head = connection.execute(_HEAD, {"queue": queue, "now": now_ms}).fetchall()
        if not head:
            return version, float("inf")
        due_ms, created_ms = head[0]
        if due_ms > now_ms and created_ms > now_ms + CLOCK_TOLERANCE_MS:
            self._rebase(queue)
            return version, 0.0
        return version, float(due_ms - now_ms) / 1000

    def _rebase(self, queue: str) -> None:
        with self._connections.writing("correct times after the clock was set back") as connection:
            now_ms = self._clock.now_ms()
            connection.execute(_REBASE, {"queue": queue, "now": now_ms, "latest": now_ms + CLOCK_TOLERANCE_MS})

    def _claim(self, queue: str, limit: int) -> list[Delivery]:
        # Not durable: a power cut that loses the claim ends its process too, and the message is redelivered. Results
        # and acks are written durably, and each such commit writes the claim out as well.
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

    def extend(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Renew the leases; returns those already lost."""
        # Not durable, as a claim.
        with self._connections.writing("extend leases", durable=False) as connection:
            due_ms = self._clock.now_ms() + span_ms(self._lease_s)
            return [delivery for delivery in deliveries if not _extend(connection, delivery, due_ms)]

    def ack(self, acks: Sequence[Ack]) -> list[BrokerError | None]:
        """Remove the messages; replies and `remember` become visible in the same instant."""
        problems = [self._reply_problem(ack.replies) for ack in acks]
        if not any(problems) and self._ack_all(acks):
            return problems
        return self._settle("acknowledge", acks, problems, _ack)

    def nack(self, nacks: Sequence[Nack]) -> list[BrokerError | None]:
        """Release the messages, due after their delay."""
        return self._settle("release", nacks, [None] * len(nacks), _nack)

    def dead_letter(self, dead_letters: Sequence[DeadLetter]) -> list[BrokerError | None]:
        """Move the messages to their dead-letter queues."""
        problems = [self._reply_problem(each.replies) for each in dead_letters]
        return self._settle("dead-letter", dead_letters, problems, _dead_letter)

    def _reply_problem(self, replies: Sequence[Outgoing]) -> BrokerError | None:
        now_ms = self._clock.now_ms() if replies else 0
        found = (expired_reply_queue(reply, self._connections.path, now_ms) for reply in replies)
        return next((error for error in found if error is not None), None)

    def _ack_all(self, acks: Sequence[Ack]) -> bool:
        """Acknowledge all in a few statements; False, with nothing changed, when one has to be settled on its own."""
        if any(ack.remember is not None for ack in acks):
            return False
        try:
            with self._connections.writing("acknowledge messages") as connection:
                now_ms = self._clock.now_ms()
                held = dict(filter(None, (held_row(ack.delivery, connection.store) for ack in acks)))
                if connection.execute(_ACK_ALL, {"held": to_json(held)}).rowcount != len(acks):
                    raise _OneIsLost  # noqa: TRY301 - leaving the block rolls back
                replies = [reply for ack in acks for reply in ack.replies]
                insert(connection, replies, now_ms, keep_s=self._reply_ttl_s)
                self._sweeper.sweep(connection, now_ms)
        except _OneIsLost:
            return False
        except BrokerUnavailable as error:
            # In doubt, settling each on its own finds out which deliveries are held.
            if not error.in_doubt:
                raise
            return False
        self._waker.notify()
        return True

    def _settle(
        self,
        doing: str,
        items: Sequence[Item],
        problems: Sequence[BrokerError | None],
        end: Callable[[QueueConnection, int, HeldRow, Item], bool],
    ) -> list[BrokerError | None]:
        answers = list(problems)
        try:
            with self._connections.writing(f"{doing} messages") as connection:
                self._settle_each(connection, items, answers, end)
        except BrokerUnavailable as error:
            if not error.in_doubt:
                raise
            return [problem or error for problem in problems]
        self._waker.notify()
        return answers

    def _settle_each(
        self,
        connection: QueueConnection,
        items: Sequence[Item],
        answers: list[BrokerError | None],
        end: Callable[[QueueConnection, int, HeldRow, Item], bool],
    ) -> None:
        now_ms = self._clock.now_ms()
        replies: list[Outgoing] = []
        for index, item in enumerate(items):
            if answers[index] is not None:
                continue
            held = held_row(item.delivery, connection.store)
            if held is None or not end(connection, now_ms, held, item):
                answers[index] = lost(item.delivery, self._connections.path)
            elif not isinstance(item, Nack):
                replies.extend(item.replies)
        insert(connection, replies, now_ms, keep_s=self._reply_ttl_s)
        self._sweeper.sweep(connection, now_ms)


def _delivery(row: tuple[Any, ...], queue: str, store: str, lease_until: float) -> Delivery:
    (row_id, attempt, deliveries, released, first_seen_ms, message_id, reply_to, correlation_id, headers,
     body) = row  # fmt: skip
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


def _extend(connection: QueueConnection, delivery: Delivery, due_ms: int) -> bool:
    held = held_row(delivery, connection.store)
    return held is not None and connection.execute(_EXTEND, (due_ms, *held)).rowcount == 1


def _ack(connection: QueueConnection, now_ms: int, held: HeldRow, ack: Ack) -> bool:
    if connection.execute(_ACK, held).rowcount != 1:
        return False
    if ack.remember is not None:
        entry = StateEntry(key=ack.remember.key, value=ack.remember.value, ttl_s=ack.remember.ttl_s)
        state.put(connection, entry, now_ms)
    return True


def _nack(connection: QueueConnection, now_ms: int, held: HeldRow, nack: Nack) -> bool:
    due_ms = now_ms + span_ms(nack.delay_s)
    if not nack.counted:
        return connection.execute(_RELEASE, (due_ms, *held)).rowcount == 1
    reason = storable(nack.reason)
    return connection.execute(_NACK, (due_ms, reason, now_ms, reason, *held)).rowcount == 1


def _dead_letter(connection: QueueConnection, now_ms: int, held: HeldRow, dead_letter: DeadLetter) -> bool:
    found = connection.execute(_HISTORY, held).fetchall()
    if not found:
        return False
    values = {
        "queue": dead_letter.queue,
        "now": now_ms,
        "store": connection.store,
        "reason": storable(dead_letter.reason),
        "error": storable(dead_letter.error),
        "history": to_json([*read_history(found[0][0]), *map(dict, dead_letter.history)]),
        "id": held[0],
    }
    connection.execute(_DEAD_LETTER, values)
    connection.execute(_REMOVE, held[:1])
    return True
