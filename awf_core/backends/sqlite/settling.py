"""Settle deliveries and renew their leases: ack, nack, dead-letter, extend. Called by `backend.py`.

A settling call is one transaction: each item passes the fence on its own, and a lost one publishes no replies. What is
reported as done is on disk (`synchronous: full`) when the call returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from awf_core.backends.sqlite import state
from awf_core.backends.sqlite.messages import (
    HELD,
    Receipt,
    Sweeper,
    expired_reply_queue,
    held_row,
    insert,
    lost,
    new_ids,
    storable,
    to_json,
)  # fmt: skip
from awf_core.backends.sqlite.schema import bounded
from awf_core.contract import Ack, DeadLetter, Delivery, Nack, Outgoing, StateEntry
from awf_core.errors import BrokerError, BrokerUnavailable
from awf_core.units import span_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.backends.sqlite.connection import Connections, Waker
    from awf_core.backends.sqlite.opening import QueueConnection
    from awf_core.backends.sqlite.roles import Roles

_ACK = f"DELETE FROM message WHERE {HELD}"
# {row id: deliveries}; not `->>`, which reads "12" as an array index.
_ALL_HELD = """id IN (SELECT CAST(key AS INTEGER) FROM json_each(:held)) AND owner IS NOT NULL
  AND deliveries = json_extract(:held, '$."' || id || '"')"""
# One statement for the batch, as for a claim.
_ACK_ALL = f"""
DELETE FROM message
WHERE {_ALL_HELD}"""
_EXTEND_ALL = f"UPDATE message SET due = :due WHERE {_ALL_HELD}"
_EXTEND = f"UPDATE message SET due = ? WHERE {HELD}"
_RELEASE = f"""
UPDATE message SET owner = NULL, due = ?, history = ?, attempt = {bounded("attempt", 1)} + ? WHERE {HELD}"""
# The delivery was counted as a crash, and its owner turns out to live. A second time there is nothing to take back.
_TAKE_BACK = """
UPDATE message SET crashes = (SELECT json_group_array(value) FROM json_each(crashes) WHERE value <> :deliveries)
WHERE id = :id AND json_valid(crashes) AND EXISTS (SELECT 1 FROM json_each(crashes) WHERE value = :deliveries)"""
# The row gets a new id: no old receipt is valid for it. An UPDATE holds the body in memory once less than a copy.
_DEAD_LETTER = """
UPDATE message SET id = :new_id, queue = :queue, due = :now, owner = NULL, expires = NULL,
  message_id = COALESCE(message_id, 'sqlite-' || :store || '-' || id), source = queue, reason = :reason,
  error = :error, history = :history, dead_at = :now
WHERE id = :id AND deliveries = :deliveries AND owner IS NOT NULL"""


class _OneIsLost(Exception):
    """Rolls a batch back: one of its deliveries is lost."""


Item = TypeVar("Item", Ack, Nack, DeadLetter)
HeldRow = tuple[int, int]


class Settling:
    """The ends of deliveries of one process from one queue file. Thread-safe."""

    def __init__(
        self,
        connections: Connections,
        waker: Waker,
        sweeper: Sweeper,
        roles: Roles,
        *,
        lease_s: float,
        reply_ttl_s: float,
    ) -> None:
        self._connections = connections
        self._waker = waker
        self._sweeper = sweeper
        self._roles = roles
        self._lease_s = lease_s
        self._reply_ttl_s = reply_ttl_s

    def extend(self, deliveries: Sequence[Delivery]) -> list[BrokerError | None]:
        """Renew the leases, those that ended unclaimed included; LeaseLost for each that is lost."""
        # Not durable, as a claim.
        with self._connections.writing("extend leases", durable=False) as connection:
            due_ms = connection.now_ms() + span_ms(self._lease_s)
            held = dict(filter(None, (held_row(delivery, connection.store) for delivery in deliveries)))
            renewed = connection.execute(_EXTEND_ALL, {"held": to_json(held), "due": due_ms}).rowcount
            if renewed == len(deliveries):
                return [None] * renewed
            return [self._extend(connection, delivery, due_ms) for delivery in deliveries]

    def _extend(self, connection: QueueConnection, delivery: Delivery, due_ms: int) -> BrokerError | None:
        held = held_row(delivery, connection.store)
        if held is not None and connection.execute(_EXTEND, (due_ms, *held)).rowcount == 1:
            return None
        return self._lost(connection, delivery)

    def _lost(self, connection: QueueConnection, delivery: Delivery) -> BrokerError:
        """The answer for a lost delivery. Its owner lives, so it did not end in a crash."""
        receipt = delivery.receipt
        if isinstance(receipt, Receipt) and receipt.store == connection.store:
            connection.execute(_TAKE_BACK, {"id": receipt.row_id, "deliveries": receipt.deliveries})
        return lost(delivery, self._connections.path)

    def ack(self, acks: Sequence[Ack]) -> list[BrokerError | None]:
        """Remove the messages; replies and `remember` become visible in the same instant."""
        problems = self._reply_problems([ack.replies for ack in acks])
        if not any(problems) and self._ack_all(acks):
            return problems
        return self._settle("acknowledge", acks, problems, _ack)

    def nack(self, nacks: Sequence[Nack]) -> list[BrokerError | None]:
        """Release the messages, due after their delay."""
        return self._settle("release", nacks, [None] * len(nacks), _nack)

    def dead_letter(self, dead_letters: Sequence[DeadLetter]) -> list[BrokerError | None]:
        """Move the messages to their dead-letter queues."""
        problems = self._reply_problems([each.replies for each in dead_letters])
        return self._settle("dead-letter", dead_letters, problems, _dead_letter)

    def _reply_problems(self, batches: Sequence[Sequence[Outgoing]]) -> list[BrokerError | None]:
        misfits = self._roles.problems(batches)
        return [misfit or self._expired(replies) for misfit, replies in zip(misfits, batches, strict=True)]

    def _expired(self, replies: Sequence[Outgoing]) -> BrokerError | None:
        path, now_ms = self._connections.path, self._connections.now_ms
        found = (expired_reply_queue(reply, path, now_ms) for reply in replies)
        return next((error for error in found if error is not None), None)

    def _ack_all(self, acks: Sequence[Ack]) -> bool:
        """Acknowledge all in a few statements; False, with nothing changed, when one has to be settled on its own."""
        if any(ack.remember is not None for ack in acks):
            return False
        try:
            with self._connections.writing("acknowledge messages") as connection:
                now_ms = connection.now_ms()
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
        now_ms = connection.now_ms()
        replies: list[Outgoing] = []
        for index, item in enumerate(items):
            if answers[index] is not None:
                continue
            held = held_row(item.delivery, connection.store)
            if held is None or not end(connection, now_ms, held, item):
                answers[index] = self._lost(connection, item.delivery)
            elif not isinstance(item, Nack):
                replies.extend(item.replies)
        insert(connection, replies, now_ms, keep_s=self._reply_ttl_s)
        self._sweeper.sweep(connection, now_ms)


def _ack(connection: QueueConnection, now_ms: int, held: HeldRow, ack: Ack) -> bool:
    if connection.execute(_ACK, held).rowcount != 1:
        return False
    if ack.remember is not None:
        entry = StateEntry(key=ack.remember.key, value=ack.remember.value, ttl_s=ack.remember.ttl_s)
        state.put(connection, entry, now_ms)
    return True


def _nack(connection: QueueConnection, now_ms: int, held: HeldRow, nack: Nack) -> bool:
    values = (now_ms + span_ms(nack.delay_s), _history(nack), int(nack.counted), *held)
    return connection.execute(_RELEASE, values).rowcount == 1


def _dead_letter(connection: QueueConnection, now_ms: int, held: HeldRow, dead_letter: DeadLetter) -> bool:
    values = {
        "new_id": new_ids(connection, 1)[0],
        "queue": dead_letter.queue,
        "now": now_ms,
        "store": connection.store,
        "reason": storable(dead_letter.reason),
        "error": storable(dead_letter.error),
        "history": _history(dead_letter),
        "id": held[0],
        "deliveries": held[1],
    }
    return connection.execute(_DEAD_LETTER, values).rowcount == 1


def _history(item: Nack | DeadLetter) -> str | None:
    return to_json([dict(entry) for entry in item.history]) if item.history else None
