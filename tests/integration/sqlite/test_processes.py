"""Several threads, processes and forks on one file; files that are deleted; processes that are killed."""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import subprocess
import sys
import threading
import traceback
from contextlib import closing
from pathlib import Path

from awf_core.contract import Ack, Outgoing
from awf_core.errors import LeaseLost

CHAOS = Path(__file__).parents[3] / "bench" / "chaos_sqlite.py"
CLAIMER = """
import sys
from awf_core.backends.sqlite.backend import Backend
from awf_core.backends.sqlite.backend import SqliteSettings
from awf_core.clock import SystemClock
from awf_core.contract import Ack, BackendContext
backend = Backend(SqliteSettings(), BackendContext(worker="w", clock=SystemClock(), directory=sys.argv[1]))
backend.awf_mq_open()
print("ready", flush=True)
sys.stdin.readline()
while deliveries := backend.awf_mq_consume("work", 7, 0):
    print(*(int(delivery.body) for delivery in deliveries))
    assert not any(backend.awf_mq_ack([Ack(delivery=delivery) for delivery in deliveries]))
"""


def test_two_processes_share_a_queue_and_no_message_is_delivered_twice(backend, tmp_path):
    backend.awf_mq_publish([Outgoing(queue="work", body=b"%d" % number) for number in range(2000)])
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"

    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    shares = [[int(number) for number in worker.communicate(timeout=60)[0].split()] for worker in workers]

    assert [worker.returncode for worker in workers] == [0, 0]
    assert sorted(shares[0] + shares[1]) == list(range(2000))
    assert min(map(len, shares)) > 100
    assert backend.awf_mq_stats("work").in_flight == 0


def test_two_processes_can_create_the_same_file_at_once(tmp_path):
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]

    for worker in workers:
        worker.communicate("go\n", timeout=60)

    assert [worker.returncode for worker in workers] == [0, 0]


def test_many_threads_consume_and_settle_at_once(backend):
    backend.awf_mq_publish([Outgoing(queue="work", body=b"%d" % number) for number in range(400)])
    taken, lock = [], threading.Lock()

    def work():
        while deliveries := backend.awf_mq_consume("work", 3, 0):
            replies = [Outgoing(queue="answers", body=b"x")]
            assert backend.awf_mq_ack([Ack(delivery=d, replies=replies) for d in deliveries]) == [None] * len(
                deliveries
            )
            with lock:
                taken.extend(int(delivery.body) for delivery in deliveries)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(taken) == list(range(400))
    assert backend.awf_mq_stats("answers").ready == 400


def in_a_child(act) -> str:
    """The repr of what `act` returned in a forked child, or its traceback."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            said = repr(act())
        except BaseException:  # noqa: BLE001 - it has to reach the parent, whatever it is
            said = traceback.format_exc()
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def test_parent_and_child_both_use_the_queue_after_a_fork(backend, take):
    delivery = take()

    def act():
        backend.awf_mq_publish([Outgoing(queue="work", body=b"from the child")])
        return len(backend.awf_mq_consume("work", 1, 5)), backend.awf_mq_stats("work").in_flight

    said = in_a_child(act)

    assert said == "(1, 2)"
    assert backend.awf_mq_ack([Ack(delivery=delivery)]) == [None]
    assert backend.awf_mq_stats("work").in_flight == 1


def test_a_fork_while_other_threads_use_the_queue_harms_neither_process(backend):
    end = threading.Event()

    def churn():
        while not end.is_set():
            backend.awf_mq_publish([Outgoing(queue="busy", body=b"x")])
            deliveries = backend.awf_mq_consume("busy", 10, 0.01)
            assert not any(backend.awf_mq_ack([Ack(delivery=delivery) for delivery in deliveries]))

    threads = [threading.Thread(target=churn) for _ in range(2)]
    for thread in threads:
        thread.start()

    said = [in_a_child(lambda: backend.awf_mq_publish([Outgoing(queue="work", body=b"child")])) for _ in range(5)]
    end.set()
    for thread in threads:
        thread.join(30)

    assert said == ["[None]"] * 5
    assert backend.awf_mq_stats("work").ready == 5
    assert backend.awf_mq_stats("busy").ready == 0


def test_a_child_that_ends_does_not_remove_the_log_of_its_parent(backend, external):
    in_a_child(backend.awf_mq_close)

    backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])

    assert external.execute("SELECT COUNT(*) FROM message").fetchone() == (1,)
    assert external.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_deleted_file_is_created_again_and_old_receipts_are_invalid_for_it(backend, take):
    stale = take()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{backend.path}{suffix}").unlink(missing_ok=True)

    fresh = take()
    (error,) = backend.awf_mq_ack([Ack(delivery=stale)])

    assert fresh.id != stale.id
    assert isinstance(error, LeaseLost)
    with closing(sqlite3.connect(backend.path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM message").fetchone() == (1,)


def test_closing_a_deleted_file_does_not_damage_the_one_that_replaced_it(make_backend, backend):
    for suffix in ("", "-wal", "-shm"):
        Path(f"{backend.path}{suffix}").unlink(missing_ok=True)
    other = make_backend()
    other.awf_mq_publish([Outgoing(queue="work", body=b"only in the log")])

    deliveries = backend.awf_mq_consume("work", 1, 0)

    assert [delivery.body for delivery in deliveries] == [b"only in the log"]
    assert other.awf_mq_stats("work").in_flight == 1


def test_a_waiting_consume_notices_that_the_file_was_replaced(make_backend, backend, tmp_path):
    got = []
    thread = threading.Thread(target=lambda: got.extend(backend.awf_mq_consume("work", 1, 10)))
    thread.start()
    other = make_backend(path="other.db")
    other.awf_mq_publish([Outgoing(queue="work", body=b"x")])
    other.awf_mq_close()

    for suffix in ("-wal", "-shm"):
        Path(f"{backend.path}{suffix}").unlink()
    (tmp_path / "other.db").replace(backend.path)
    thread.join(15)

    assert [delivery.body for delivery in got] == [b"x"]


def test_closing_and_opening_again_leaks_no_file(make_backend):
    backend = make_backend()
    before = len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(50):
        backend.awf_mq_close()
        backend.awf_mq_open()
        backend.awf_mq_stats("work")

    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 3


def test_free_space_in_the_file_is_used_again(backend):
    def round_trip():
        backend.awf_mq_publish([Outgoing(queue="work", body=b"x" * 500)] * 500)
        while deliveries := backend.awf_mq_consume("work", 100, 0):
            backend.awf_mq_ack([Ack(delivery=delivery) for delivery in deliveries])

    round_trip()
    backend.awf_mq_close()
    size_bytes = backend.path.stat().st_size
    backend.awf_mq_open()
    for _ in range(5):
        round_trip()
    backend.awf_mq_close()

    assert backend.path.stat().st_size <= size_bytes * 1.2


def test_killed_processes_lose_nothing_and_no_message_has_two_holders(tmp_path):
    spec = importlib.util.spec_from_file_location("chaos_sqlite", CHAOS)
    chaos = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = chaos
    spec.loader.exec_module(chaos)

    report = chaos.run(tmp_path, processes=4, messages=300, kills=6, lease_s=1.0, seed=7, limit_s=60)

    assert report.kills == 6
    assert report.claims >= 300
    assert report.is_good, report
