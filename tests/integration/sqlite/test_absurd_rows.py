"""Rows that an external client wrote with absurd numbers: each harms itself at most, and no other message."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import pytest

from awf_core.contract import Ack, DeadLetter, Nack, Outgoing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from awf_core.backends.sqlite.backend import Backend

HUGE, LEAST = (1 << 63) - 1, -(1 << 63)
NUMBERS = ("due", "created", "queue_time", "attempt", "deliveries", "first_seen", "expires", "dead_at")
TEXTS = ("crashes", "owner", "headers", "history", "message_id", "reply_to", "correlation_id")
ODD_TEXTS = (
    "",
    "\0",
    "{}",
    "[" * 2000 + "]" * 2000,
    '[{"a":1e999}]',
    "[1,2,3]",
    "9" * 5000,
    "\ud800".encode("utf-8", "surrogatepass"),
)


def insert(external: sqlite3.Connection, **columns: object) -> None:
    names = ", ".join(columns)
    values = ", ".join("CAST(? AS TEXT)" if isinstance(value, bytes) else "?" for value in columns.values())
    external.execute(f"INSERT INTO message(queue, body, {names}) VALUES ('work', 'odd', {values})", [*columns.values()])


def settle_all(backend: Backend, queue: str = "work") -> list[bytes]:
    """Deliver each message twice, dead-letter the odd ones and ack the others; their bodies."""
    bodies = []
    for _ in range(3):
        for delivery in backend.awf_mq_consume(queue, 100, 0):
            if delivery.attempt == 1:
                assert backend.awf_mq_nack([Nack(delivery=delivery, history=delivery.history)]) == [None]
            elif delivery.body == b"odd":
                assert backend.awf_mq_dead_letter(
                    [DeadLetter(delivery=delivery, queue="dead", reason="r", error="e")]
                ) == [None]
            else:
                assert backend.awf_mq_ack([Ack(delivery=delivery)]) == [None]
            if delivery.attempt > 1:
                bodies.append(delivery.body)
    return bodies


@pytest.mark.parametrize("column", [*NUMBERS, *TEXTS])
def test_an_absurd_value_harms_no_other_message(backend: Backend, external: sqlite3.Connection, column: str) -> None:
    values: tuple[Any, ...] = ODD_TEXTS if column in TEXTS else (HUGE, LEAST, HUGE - 1, 0, -1)
    for queue_time in (0, 1):
        for value in values:
            insert(external, **{"queue_time": queue_time, column: value})
    backend.awf_mq_publish([Outgoing(queue="work", body=b"good")])

    assert backend.awf_mq_browse("work", 100, None).items
    backend.awf_mq_stats("work")
    bodies = settle_all(backend)

    assert bodies.count(b"good") == 1
    backend.awf_mq_browse("dead", 100, None)
    backend.awf_mq_move("dead", "work", None, None)
    assert backend.awf_mq_stats("dead").ready == 0


@pytest.mark.parametrize("row_id", [HUGE, HUGE - 1, (1 << 53) + 1, LEAST, -5])
def test_an_absurd_id_leaves_ids_for_others(backend: Backend, external: sqlite3.Connection, row_id: int) -> None:
    backend.awf_mq_publish([Outgoing(queue="work", body=b"good")])
    (held,) = backend.awf_mq_consume("work", 1, 0)
    insert(external, id=row_id)

    (odd,) = backend.awf_mq_consume("work", 5, 0)
    external.execute("INSERT INTO message(queue, body) VALUES ('other', 'external')")
    assert backend.awf_mq_publish([Outgoing(queue="work", body=b"good")]) == [None]
    assert backend.awf_mq_dead_letter([DeadLetter(delivery=held, queue="dead", reason="r", error="e")]) == [None]

    assert [each.body for each in backend.awf_mq_consume("other", 5, 0)] == [b"external"]
    assert [each.body for each in backend.awf_mq_consume("work", 5, 0)] == [b"good"]
    assert backend.awf_mq_ack([Ack(delivery=odd)]) == [None]
    assert [item.body for item in backend.awf_mq_browse("dead", 5, None).items] == [b"good"]


def test_new_ids_after_an_absurd_one_were_never_used(backend: Backend, external: sqlite3.Connection) -> None:
    backend.awf_mq_publish([Outgoing(queue="work", body=b"good") for _ in range(5)])
    old = backend.awf_mq_consume("work", 5, 0)
    backend.awf_mq_ack([Ack(delivery=each) for each in old])
    insert(external, id=HUGE)

    backend.awf_mq_publish([Outgoing(queue="work", body=b"good") for _ in range(5)])

    new = backend.awf_mq_consume("work", 10, 0)
    assert len(new) == 6
    assert not {each.id for each in old} & {each.id for each in new}
    assert backend.awf_mq_ack([Ack(delivery=each) for each in new]) == [None] * 6


def test_no_column_makes_a_message_younger_or_switches_off_its_count_of_crashes(
    make_backend: Callable[..., Backend], external: sqlite3.Connection
) -> None:
    insert(external, first_seen=HUGE, attempt=LEAST, crashes="{}", owner="dead-worker", queue_time=1, due=0)

    (delivery,) = make_backend().awf_mq_consume("work", 1, 0)

    assert (delivery.age_s, delivery.attempt, delivery.crashes) == (0.0, 1, 1)
    assert external.execute("SELECT crashes FROM message").fetchone() == ("[0]",)
    (first_seen,) = external.execute("SELECT first_seen FROM message").fetchone()
    assert 0 < first_seen < 1 << 52


def test_only_the_owner_can_read_the_queue_and_the_directory_made_for_it(
    make_backend: Callable[..., Backend], tmp_path: Path
) -> None:
    path = tmp_path / "made" / "here" / "queue.db"

    backend = make_backend(path=str(path))
    backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])

    modes = {each.name: oct(stat.S_IMODE(each.stat().st_mode)) for each in path.parent.iterdir()}
    assert modes == {"queue.db": "0o600", "queue.db-wal": "0o600", "queue.db-shm": "0o600"}
    assert [oct(stat.S_IMODE(each.stat().st_mode)) for each in (path.parent, path.parent.parent)] == ["0o700"] * 2


def test_the_mode_of_a_file_that_is_there_is_the_operators(
    make_backend: Callable[..., Backend], tmp_path: Path
) -> None:
    path = tmp_path / "queue.db"
    path.touch()
    path.chmod(0o660)

    make_backend(path=str(path))

    assert stat.S_IMODE(path.stat().st_mode) == 0o660
