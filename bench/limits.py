"""What the machine itself can do, without awf: the ceiling the other figures stand under. Called by `__main__`.

One thread, no task, no worker: these loops bound a worker from above, they don't predict one.
"""

from __future__ import annotations

import json
import os
import queue
import sqlite3
import statistics
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

from bench.figure import Figure
from bench.project import RESULTS, WORK, Project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.plan import Plan

BATCHES = (5, 50)
BLOCK = b"x" * 4096
END = "end"
RESULT = {
    "id": "0b4f2f4a-2a63-4b5e-9a0c-0d4f1f6d2b11",
    "message_id": "message-000001",
    "workflow": "noop",
    "status": "completed",
    "exit_code": 0,
    "output": "",
    "outputs": {},
    "error": None,
    "attempt": 1,
    "dead_lettered": False,
    "run_id": "1c4f2f4a-2a63-4b5e-9a0c-0d4f1f6d2b12",
    "started_at": "2026-01-02T03:04:05.678Z",
    "finished_at": "2026-01-02T03:04:05.679Z",
    "duration_ms": 1,
    "worker": "host-1234",
    "metadata": {"correlation_id": "bench-000001", "seq": 1, "path": "/data/in/file.csv"},
}
_READY = "SELECT id, body FROM message WHERE queue = ? AND due <= ? ORDER BY due, id LIMIT ?"
_CLAIM = "UPDATE message SET deliveries = deliveries + 1, owner = 'bare', due = ? WHERE id = ?"
_ACK = "DELETE FROM message WHERE id = ? AND owner = 'bare'"
_REPLY = "INSERT INTO message(queue, due, created, message_id, correlation_id, body) VALUES (?, ?, ?, ?, ?, ?)"


def measure(plan: Plan) -> list[Figure]:
    """Interleaved rounds of every loop."""
    loops: dict[str, Callable[[], float]] = {
        f"bare SQLite, {size} a transaction: claim, then ack + result": _bare_sqlite(plan, size) for size in BATCHES
    }
    loops["fdatasync of a 4 KiB append"] = lambda: _fsyncs_per_s(plan.directory, plan.limit_s)
    body = json.dumps(RESULT)
    loops["json.dumps of a result"] = lambda: _calls_per_s(lambda: json.dumps(RESULT), plan.limit_s)
    loops["json.loads of a result"] = lambda: _calls_per_s(lambda: json.loads(body), plan.limit_s)
    loops["thread there and back (SimpleQueue)"] = lambda: _handovers_per_s(plan.limit_s)
    rounds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in plan.each_round():
        for name, loop in loops.items():
            rounds[name].append(loop())
    return [
        Figure(
            name=name,
            unit="/s",
            rounds=tuple(values),
            is_awf=False,
            note=f"{1e6 / statistics.median(values):.3g} µs each",
        )
        for name, values in rounds.items()
    ]


def _bare_sqlite(plan: Plan, size: int) -> Callable[[], float]:
    return lambda: bare_sqlite_per_s(plan, size)


def bare_sqlite_per_s(plan: Plan, size: int) -> float:
    """Messages a second of a loop that claims `size`, then acks them with their results, synchronous FULL, JSON apart.

    The same file, indexes and body sizes as a worker's, and its two transactions a batch.
    """
    with Project(plan.directory) as project:
        project.fill("noop", plan.messages)
        with closing(sqlite3.connect(project.queue_file, isolation_level=None)) as connection:
            started_s = time.perf_counter()
            done = 0
            while taken := _claim(connection, size):
                _ack(connection, taken)
                done += len(taken)
            return done / (time.perf_counter() - started_s)


def _claim(connection: sqlite3.Connection, size: int) -> list[tuple[int, str]]:
    now_ms = int(time.time() * 1000)
    # As the worker does: after a power cut that undoes a claim, the message is only redelivered.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")
    rows = connection.execute(_READY, (WORK, now_ms, size)).fetchall()
    connection.executemany(_CLAIM, [(now_ms + 60_000, row_id) for row_id, _ in rows])
    connection.execute("COMMIT")
    return rows


def _ack(connection: sqlite3.Connection, taken: list[tuple[int, str]]) -> None:
    now_ms = int(time.time() * 1000)
    reply = json.dumps(RESULT)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(_ACK, [(row_id,) for row_id, _ in taken])
    connection.executemany(_REPLY, [(RESULTS, now_ms, now_ms, RESULT["id"], str(n), reply) for n, _ in taken])
    connection.execute("COMMIT")


def _fsyncs_per_s(directory: Path, seconds: float) -> float:
    path = directory / f"awf-bench-fsync-{os.getpid()}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def append() -> None:
        os.write(descriptor, BLOCK)
        os.fdatasync(descriptor)

    try:
        return _calls_per_s(append, seconds)
    finally:
        os.close(descriptor)
        path.unlink()


def _handovers_per_s(seconds: float) -> float:
    there: queue.SimpleQueue[str] = queue.SimpleQueue()
    back: queue.SimpleQueue[str] = queue.SimpleQueue()

    def echo() -> None:
        while (word := there.get()) != END:
            back.put(word)

    def ping() -> None:
        there.put("ping")
        back.get()

    thread = threading.Thread(target=echo)
    thread.start()
    try:
        return _calls_per_s(ping, seconds)
    finally:
        there.put(END)
        thread.join()


def _calls_per_s(call: Callable[[], object], seconds: float) -> float:
    count, started_s = 0, time.perf_counter()
    while (passed_s := time.perf_counter() - started_s) < seconds:
        for _ in range(20):
            call()
        count += 20
    return count / passed_s
