"""Nothing is executed that can't be settled: a log that no process reads, and results that can be stored nowhere."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from fault_project import is_signal_pending

from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from embedded_faults import EmbeddedFaults

MESSAGES = 300
MANY_MESSAGES = 3600
"""Three lines of 250 bytes each: more than a bounded log keeps."""
CONCURRENCY = 5
PIPE_BYTES = 4096
"""The smallest a pipe can be: a dozen log lines fill it."""
F_SETPIPE_SZ = 1031


@pytest.fixture
def start_unread(project: EmbeddedFaults) -> Iterator[Any]:
    """Start a worker whose stderr is a full pipe before long; returns the process and the end to read."""
    started: list[tuple[subprocess.Popen[bytes], int]] = []

    def start(config: str) -> tuple[subprocess.Popen[bytes], int]:
        reading, writing = os.pipe()
        fcntl.fcntl(writing, F_SETPIPE_SZ, PIPE_BYTES)
        process = subprocess.Popen(
            project.command("--concurrency", str(CONCURRENCY)),
            cwd=project.directory,
            env=project.environment(config),
            stdin=subprocess.DEVNULL,
            stderr=writing,
        )
        os.close(writing)
        started.append((process, reading))
        return started[-1]

    yield start
    for process, reading in started:
        process.kill()
        process.wait(10)
        os.close(reading)


def test_a_log_that_is_not_read_holds_up_no_settlement(project: EmbeddedFaults, start_unread: Any) -> None:
    config = project.embedded()
    project.worker(config, "--burst").end()  # makes the queue
    ids = [f"m-{number}" for number in range(MESSAGES)]
    project.put(*ids, workflow="short")

    worker, _ = start_unread(config)
    project.await_starts(MESSAGES, within_s=30)

    # Everything was executed; at most what is on its way may still be unsettled.
    eventually(lambda: project.count("work") <= 2 * CONCURRENCY, 5, what="what was executed is settled")
    eventually(lambda: project.count("work") == 0, 5, what="all is settled")
    worker.kill()
    assert project.worker(config, "--burst").end() == 0
    project.assert_ran_once(*ids)
    assert project.await_results(MESSAGES) == sorted(ids)


def test_what_the_log_dropped_is_counted_in_it(project: EmbeddedFaults, start_unread: Any) -> None:
    config = project.embedded()
    project.worker(config, "--burst").end()
    project.nothing("nothing")
    project.put(*[f"m-{number}" for number in range(MANY_MESSAGES)], workflow="nothing")
    worker, reading = start_unread(config)
    eventually(lambda: project.count("work") == 0, 20, what="all is settled")

    read: list[dict[str, Any]] = []
    reader = threading.Thread(target=_read_into, args=(read, reading))
    reader.start()
    worker.terminate()
    code = worker.wait(20)
    reader.join(10)

    dropped = [line for line in read if line["event"] == "log.dropped"]
    settled = [line for line in read if line["event"] == "message.settled"]
    assert code == 0
    assert dropped, "a bounded log that was full says so once it is read again"
    assert len(settled) < MANY_MESSAGES
    assert dropped[0]["level"] == "warning"
    assert read[-1]["event"] == "worker.stopped"


def test_a_third_stop_signal_ends_the_process_after_its_log_is_written(
    project: EmbeddedFaults, start_unread: Any
) -> None:
    config = project.embedded(grace="1h")
    project.worker(config, "--burst").end()
    project.nothing("nothing")
    project.put(*[f"m-{number}" for number in range(MESSAGES)], workflow="nothing")
    worker, reading = start_unread(config)
    eventually(lambda: project.count("work") == 0, 20, what="all is settled")
    project.put("long")
    project.await_starts(1)

    for _ in range(3):
        eventually(lambda: not is_signal_pending(worker.pid, signal.SIGTERM), 5)
        worker.send_signal(signal.SIGTERM)
    read: list[dict[str, Any]] = []
    reader = threading.Thread(target=_read_into, args=(read, reading))
    reader.start()
    code = worker.wait(10)
    reader.join(10)

    assert code == 128 + signal.SIGTERM
    assert sum(line["event"] == "message.settled" for line in read) == MESSAGES
    assert [line["message_id"] for line in read if line["event"] == "message.claimed"][-1] == "long"


def test_work_whose_results_can_be_stored_nowhere_is_bounded_and_not_repeated(project: EmbeddedFaults) -> None:
    config = project.embedded(concurrency=CONCURRENCY)
    project.worker(config, "--burst").end()
    project.sql(
        "CREATE TRIGGER no_room BEFORE INSERT ON message WHEN NEW.queue IN ('results', 'undeliverable') "
        "BEGIN SELECT RAISE(ABORT, 'not allowed'); END"
    )
    ids = [f"m-{number}" for number in range(40)]
    worker = project.worker(config)
    project.put(*ids, workflow="short")
    worker.await_line("settle.retried", count=2)  # a line a second at most: a second to overrun the bound in

    executed = project.starts()
    project.sql("DROP TRIGGER no_room")

    assert executed <= 2 * CONCURRENCY, f"{executed} executed, and none could be settled"
    assert project.await_results(len(ids), within_s=40) == sorted(ids)
    project.assert_ran_once(*ids)
    assert worker.stop() == 0


def _read_into(lines: list[dict[str, Any]], descriptor: int) -> None:
    with os.fdopen(os.dup(descriptor), "rb") as stream:
        lines += [json.loads(line) for line in stream if line.startswith(b"{")]
