"""The queue's own clock: steps of the wall clock, reboots, times of external producers, files of version 1."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from awf_core.backends.sqlite import queue_clock, schema
from awf_core.contract import Ack, Nack, Outgoing
from awf_core.testing.clocks import SetClock

LEASE_S = 60.0
HOUR_S = 3600
HOUR_MS = HOUR_S * 1000


def bodies(backend, queue="work"):
    return [delivery.body for delivery in backend.awf_mq_consume(queue, 10, 0)]


@pytest.mark.parametrize("step_s", [-HOUR_S, HOUR_S])
def test_a_step_of_the_wall_clock_ends_no_lease_and_delays_nothing(backend, make_backend, clock, take, step_s):
    other = make_backend(context={"instance": "other"})
    take()
    backend.awf_mq_publish([Outgoing(queue="work", body=b"later", delay_s=30)])
    clock.set_back(-step_s)

    at_once = bodies(other)
    clock.advance(31)
    delayed = bodies(other)
    clock.advance(30)
    recovered = bodies(other)

    assert (at_once, delayed, recovered) == ([], [b"later"], [b"{}"])


@pytest.mark.parametrize("step_ms", [-HOUR_MS, HOUR_MS])
def test_an_external_message_from_before_a_step_waits_no_longer_than_its_own_delay(backend, external, clock, step_ms):
    insert = (
        "INSERT INTO message(queue, due, created, body) VALUES ('work', {now} - {step} + {delay}, {now} - {step}, ?)"
    )
    for body, delay_ms in (("now", 0), ("later", 30_000)):
        external.execute(insert.format(now=schema.WALL_MS, step=step_ms, delay=delay_ms), (body,))

    at_once = bodies(backend)
    clock.advance(31)

    # After a step forward the wall clock says that the delay is over.
    assert at_once == ([b"now"] if step_ms < 0 else [b"now", b"later"])
    assert bodies(backend) == ([b"later"] if step_ms < 0 else [])


def test_external_messages_keep_their_order_delay_and_expiry_beside_others(backend, external, clock):
    sql = (
        f"INSERT INTO message(queue, body, due, expires) VALUES ('work', ?, {schema.WALL_MS} + ?, {schema.WALL_MS} + ?)"
    )
    for body, delay_ms, expires_ms in (("a", 0, 90_000), ("b", 0, 90_000), ("delayed", 50_000, 90_000), ("old", 0, -1)):
        external.execute(sql, (body, delay_ms, expires_ms))
    before = backend.awf_mq_stats("work")
    backend.awf_mq_publish([Outgoing(queue="work", body=b"c")])

    first = backend.awf_mq_consume("work", 10, 0)
    clock.advance(51)

    assert (before.ready, before.delayed) == (2, 1)
    assert 0 <= before.oldest_age_s < 10
    assert [delivery.body for delivery in first] == [b"a", b"b", b"c"]
    assert first[0].expires_in_s == pytest.approx(90, abs=5)
    assert bodies(backend) == [b"delayed"]


def test_more_external_messages_than_one_claim_reads_keep_their_order(backend, external):
    # As if written one after the other, four milliseconds apart.
    since = f"{schema.WALL_MS} - 20000 + 4 * ?1"
    insert = f"INSERT INTO message(queue, body, created, due) VALUES ('work', CAST(?1 AS TEXT), {since}, {since})"
    external.execute("BEGIN")
    external.executemany(insert, [(number,) for number in range(2500)])
    external.execute("COMMIT")

    taken = [int(delivery.body) for _ in range(30) for delivery in backend.awf_mq_consume("work", 100, 0)]

    assert sorted(taken) == list(range(2500))
    assert taken[:900] == list(range(900))


def test_external_messages_are_browsed_moved_purged_and_expire_before_any_claim(backend, external, clock):
    external.execute(f"INSERT INTO message(queue, body, expires) VALUES ('a', 'x', {schema.WALL_MS} + 60000)")
    external.execute("INSERT INTO message(queue, body) VALUES ('b', 'x')")
    external.execute(f"INSERT INTO message(queue, body, expires) VALUES ('c', 'x', {schema.WALL_MS} - 1)")

    (item,) = backend.awf_mq_browse("a", 10, None).items
    moved, purged = backend.awf_mq_move("a", "d", None, None), backend.awf_mq_purge("b")
    backend.awf_mq_publish([Outgoing(queue="other", body=b"x")])

    assert item.state == "ready"
    assert item.enqueued_at == pytest.approx(clock.now(), abs=5)
    assert (moved, purged) == (1, 1)
    assert external.execute("SELECT COUNT(*) FROM message WHERE queue = 'c'").fetchone() == (0,)
    (delivery,) = backend.awf_mq_consume("d", 1, 0)
    assert delivery.expires_in_s == pytest.approx(60, abs=5)


def test_after_a_reboot_the_clock_goes_on_and_the_leases_end(make_backend, backend, clock, take, monkeypatch):
    take()
    backend.awf_mq_close()
    monkeypatch.setattr(queue_clock, "boot_id", lambda: "another boot")
    rebooted = SetClock(clock.now())
    rebooted.advance(-990)

    after = make_backend(context={"clock": rebooted, "instance": "other"})
    at_once = bodies(after)
    rebooted.advance(LEASE_S + 1)

    assert at_once == []
    (delivery,) = after.awf_mq_consume("work", 1, 0)
    assert delivery.crashes == 1
    assert 0 <= delivery.age_s < LEASE_S + 30


def test_a_host_that_names_no_boot_never_sees_the_clock_go_back(make_backend, backend, clock, take, monkeypatch):
    monkeypatch.setattr(queue_clock, "boot_id", lambda: "")
    backend.awf_mq_close()
    backend.awf_mq_open()
    backend.awf_mq_publish([Outgoing(queue="work", body=b"x", delay_s=5)])
    backend.awf_mq_close()
    rebooted = SetClock()
    rebooted.advance(-990)

    after = make_backend(context={"clock": rebooted})
    rebooted.advance(6)

    assert bodies(after) == [b"x"]


def test_all_processes_of_a_host_share_the_clock(make_backend, tmp_path):
    from awf_core.clock import SystemClock

    backend = make_backend(context={"clock": SystemClock()})
    program = (
        "import sys; from awf_core.backends.sqlite.backend import Backend, SqliteSettings as S; "
        "from awf_core.clock import SystemClock; from awf_core.contract import BackendContext; "
        "b = Backend(S(), BackendContext(worker='w', clock=SystemClock(), directory=sys.argv[1])); b.awf_mq_open(); "
        "print(b._connections.now_ms())"
    )

    before_ms = backend._connections.now_ms()
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    after_ms = backend._connections.now_ms()

    assert before_ms <= int(done.stdout) <= after_ms
    assert before_ms == pytest.approx(time.time() * 1000, abs=10_000)


def test_the_boot_has_a_name_here():
    assert queue_clock.boot_id()


def version_1(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in schema._VERSION_1.split(";\n"):
            connection.execute(statement)
        connection.execute("INSERT INTO store(name) VALUES ('abcd')")
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        columns = "queue, due, created, attempt, deliveries, released, owner, first_seen, history, body"
        for queue, delay_ms, owner, body in (
            ("work", 0, None, "ready"), ("work", 50_000, None, "delayed"), ("work", 30_000, "worker-1", "held"),
            ("work", 0, None, "last"),
        ):  # fmt: skip
            connection.execute(
                f"INSERT INTO message({columns}) VALUES (?, {schema.WALL_MS} + ?, {schema.WALL_MS}, 2, 3, 1, ?, "
                f"{schema.WALL_MS} - 5000, '[{{\"attempt\": 1}}]', ?)",
                (queue, delay_ms, owner, body),
            )
        connection.execute("DELETE FROM message WHERE body = 'last'")


def test_a_file_of_version_1_is_migrated_with_its_messages(make_backend, tmp_path, clock):
    version_1(tmp_path / "queue.db")

    backend = make_backend()
    (ready,) = backend.awf_mq_consume("work", 10, 0)
    clock.advance(31)
    (held,) = backend.awf_mq_consume("work", 10, 0)
    clock.advance(20)
    (delayed,) = backend.awf_mq_consume("work", 10, 0)
    backend.awf_mq_publish([Outgoing(queue="new", body=b"x")])
    (new,) = backend.awf_mq_consume("new", 1, 0)

    assert [each.body for each in (ready, held, delayed)] == [b"ready", b"held", b"delayed"]
    assert [(each.attempt, each.deliveries, each.crashes) for each in (ready, held)] == [(2, 4, 0), (2, 4, 1)]
    assert ready.age_s == pytest.approx(5, abs=2)
    assert ready.history == [{"attempt": 1}]
    assert new.id == "sqlite-abcd-5", "an id that was used before must not be used again"
    assert backend.awf_mq_ack([Ack(delivery=ready)]) == [None]
    assert backend.awf_mq_nack([Nack(delivery=held)]) == [None]
