"""End deliveries, or keep them: ack, nack, dead letter, extend. Called by `backend.py`.

A call is one transaction: each item is fenced on its own, and a lost one neither publishes its replies nor
spoils the others. What is said to be done is on disk (`synchronous: full`) when the call returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from awf_core.backends.sqlite import state
from awf_core.backends.sqlite.columns import read_history
from awf_core.backends.sqlite.outgoing import bad_queue_name, bad_span, insert, problem, storable, to_json
from awf_core.backends.sqlite.receipt import HELD, held_row, lost
from awf_core.backends.sqlite.wallclock import WallClock, span_ms
from awf_core.contract import Ack, DeadLetter, Delivery, Nack, Outgoing, StateEntry
from awf_core.errors import BrokerError, BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.backends.sqlite.connection import Connections
    from awf_core.backends.sqlite.opening import QueueConnection
    from awf_core.backends.sqlite.sweep import Sweeper
    from awf_core.backends.sqlite.wait import Waker

MAX_HISTORY = 50

_ACK = f"DELETE FROM message WHERE {HELD}"
# As one statement for a batch ({row id: deliveries}; not `->>`, which reads "12" as a place in an array): every step of
# SQLite lets go of Python's interpreter lock, and under load each return of it is waited for.
_ACK_ALL = """
DELETE FROM message
WHERE id IN (SELECT CAST(key AS INTEGER) FROM json_each(:held)) AND owner IS NOT NULL
  AND deliveries = json_extract(:held, '$."' || id || '"')"""
_RELEASE = f"UPDATE message SET owner = NULL, due = ?, released = released + 1 WHERE {HELD}"
# What each attempt failed of is kept for whoever reads the dead letter; the first attempts of many tell enough.
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
# A new row with a new id: no receipt of the old one fits it. The body is copied by SQLite, byte for byte.
_BURY = """
INSERT INTO message(queue, due, created, attempt, deliveries, released, first_seen, message_id, reply_to,
  correlation_id, content_type, headers, source, reason, error, history, dead_at, body)
SELECT :queue, :now, created, attempt, deliveries, released, first_seen,
  COALESCE(message_id, 'sqlite-' || :store || '-' || id), reply_to, correlation_id,
  content_type, headers, queue, :reason, :error, :history, :now, body
FROM message WHERE id = :id"""
_REMOVE = "DELETE FROM message WHERE id = ?"


class _OneIsLost(Exception):
    """Rolls a batch back: not all of it was held by us."""


Item = TypeVar("Item", Ack, Nack, DeadLetter)
Held = tuple[int, int]


class Settling:
    """Settles deliveries of one queue file. Thread-safe."""

    def __init__(
        self,
        connections: Connections,
        clock: WallClock,
        waker: Waker,
        sweeper: Sweeper,
        *,
        lease_s: float,
        reply_ttl_s: float,
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._waker = waker
        self._sweeper = sweeper
        self._lease_s = lease_s
        self._reply_ttl_s = reply_ttl_s

    def ack(self, acks: Sequence[Ack]) -> list[BrokerError | None]:
        """Remove the messages; replies and `remember` become visible in the same instant."""
        problems = [self._reply_problem(ack.replies) for ack in acks]
        if not any(problems) and self._ack_all(acks):
            return problems
        return self._settle("acknowledge", acks, problems, _ack)

    def _ack_all(self, acks: Sequence[Ack]) -> bool:
        """Acknowledge all in a few statements; False, with nothing changed, when one of them needs a closer look."""
        if any(ack.remember is not None for ack in acks):
            return False
        try:
            with self._connections.writing("acknowledge messages") as connection:
                now_ms = self._clock.now_ms()
                held = dict(filter(None, (held_row(ack.delivery, connection.store) for ack in acks)))
                _remove_all(connection, held, len(acks))
                replies = [reply for ack in acks for reply in ack.replies]
                insert(connection, replies, now_ms, keep_s=self._reply_ttl_s)
                self._sweeper.sweep(connection, now_ms)
        except _OneIsLost:
            return False
        except BrokerUnavailable as error:
            # In doubt, the closer look finds out which of them were ours.
            if not error.in_doubt:
                raise
            return False
        self._waker.notify()
        return True

    def nack(self, nacks: Sequence[Nack]) -> list[BrokerError | None]:
        """Give the messages back, due after their delay."""
        problems = [bad_span("delay_s", nack.delay_s, self._connections.path) for nack in nacks]
        return self._settle("give back", nacks, problems, _nack)

    def dead_letter(self, letters: Sequence[DeadLetter]) -> list[BrokerError | None]:
        """Move the messages to their dead-letter queues."""
        problems = [
            bad_queue_name(letter.queue, self._connections.path) or self._reply_problem(letter.replies)
            for letter in letters
        ]
        return self._settle("dead-letter", letters, problems, _bury)

    def extend(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Renew the leases; returns those already lost."""
        # Not durable: an extension lost in a power cut was held by a process that is gone too.
        with self._connections.writing("extend leases", durable=False) as connection:
            due_ms = self._clock.now_ms() + span_ms(self._lease_s)
            return [delivery for delivery in deliveries if not _extend(connection, delivery, due_ms)]

    def _reply_problem(self, replies: Sequence[Outgoing]) -> BrokerError | None:
        now_ms = self._clock.now_ms() if replies else 0
        found = (problem(reply, self._connections.path, now_ms) for reply in replies)
        return next((error for error in found if error is not None), None)

    def _settle(
        self,
        doing: str,
        items: Sequence[Item],
        problems: Sequence[BrokerError | None],
        end: Callable[[QueueConnection, int, Held, Item], bool],
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
        end: Callable[[QueueConnection, int, Held, Item], bool],
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


def _remove_all(connection: QueueConnection, held: dict[int, int], count: int) -> None:
    if connection.execute(_ACK_ALL, {"held": to_json(held)}).rowcount != count:
        raise _OneIsLost


def _ack(connection: QueueConnection, now_ms: int, held: Held, ack: Ack) -> bool:
    if connection.execute(_ACK, held).rowcount != 1:
        return False
    if ack.remember is not None:
        entry = StateEntry(key=ack.remember.key, value=ack.remember.value, ttl_s=ack.remember.ttl_s)
        state.put(connection, entry, now_ms)
    return True


def _nack(connection: QueueConnection, now_ms: int, held: Held, nack: Nack) -> bool:
    due_ms = now_ms + span_ms(nack.delay_s)
    if not nack.counted:
        return connection.execute(_RELEASE, (due_ms, *held)).rowcount == 1
    reason = storable(nack.reason)
    return connection.execute(_NACK, (due_ms, reason, now_ms, reason, *held)).rowcount == 1


def _bury(connection: QueueConnection, now_ms: int, held: Held, letter: DeadLetter) -> bool:
    found = connection.execute(_HISTORY, held).fetchall()
    if not found:
        return False
    values = {
        "queue": letter.queue,
        "now": now_ms,
        "store": connection.store,
        "reason": storable(letter.reason),
        "error": storable(letter.error),
        "history": to_json([*read_history(found[0][0]), *map(dict, letter.history)]),
        "id": held[0],
    }
    connection.execute(_BURY, values)
    connection.execute(_REMOVE, held[:1])
    return True


def _extend(connection: QueueConnection, delivery: Delivery, due_ms: int) -> bool:
    held = held_row(delivery, connection.store)
    return held is not None and connection.execute(_EXTEND, (due_ms, *held)).rowcount == 1
