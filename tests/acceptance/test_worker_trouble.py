"""Configuration and queue files that are wrong, missing, full or locked: what is said, and that nothing is lost."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
from eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from queue_project import Project

    from .conftest import Awf, StartWorker


def test_a_bad_configuration_ends_with_two_before_anything_connects(project: Project, awf: Awf) -> None:
    project.queue_file.unlink()
    project.config("mq:\n  concurency: 3\n  grace: soon\n")

    ended = awf("worker", "--burst")

    assert ended.returncode == 2
    assert ".awf/config.yaml:2: mq.concurency: unknown key 'concurency'. Did you mean 'concurrency'?" in ended.stderr
    assert ".awf/config.yaml:3: mq.grace: 'soon' is not a duration" in ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert list(project.awf.glob("queue.db*")) == []


def test_a_backend_that_is_not_installed_ends_with_two_and_says_what_is(project: Project, awf: Awf) -> None:
    project.queue_file.unlink()
    project.mq(type="nats")

    ended = awf("worker", "--burst")

    assert ended.returncode == 2
    assert "mq.type 'nats': no such backend is installed" in ended.stderr
    assert "(installed: rabbitmq, redis, sqlite, sqs)" in ended.stderr
    assert not project.queue_file.exists()


def test_a_file_that_is_no_database_is_named_and_left_alone(project: Project, awf: Awf) -> None:
    project.queue_file.write_text("not a database, but a page of notes" * 50)

    ended = awf("worker", "--burst")

    assert ended.returncode == 2
    assert str(project.queue_file) in ended.stderr
    assert "Hint:" in ended.stderr
    assert project.queue_file.read_text().startswith("not a database")


def test_a_directory_in_the_place_of_the_queue_file_is_named(project: Project, awf: Awf) -> None:
    project.queue_file.unlink()
    project.queue_file.mkdir()

    ended = awf("worker", "--burst")

    assert ended.returncode in (2, 4)
    assert str(project.queue_file) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_queue_file_that_may_not_be_written_is_named(project: Project, awf: Awf, tmp_path: Path) -> None:
    # A path no user may create a file at, root included.
    project.mq(sqlite={"path": "/proc/awf/queue.db"})

    ended = awf("worker", "--burst", "--connect-timeout=200ms")

    assert ended.returncode in (2, 4)
    assert "/proc/awf" in ended.stderr
    assert "Hint:" in ended.stderr


def test_a_queue_locked_beyond_the_connect_timeout_ends_with_four(project: Project, awf: Awf) -> None:
    project.mq(sqlite={"busy_timeout": "100ms"})
    with closing(sqlite3.connect(project.queue_file, isolation_level=None)) as stubborn:
        stubborn.execute("BEGIN EXCLUSIVE")

        ended = awf("worker", "--connect-timeout=300ms")

    assert ended.returncode == 4
    assert f"{project.queue_file}: can't open the queue: another process keeps it locked" in ended.stderr
    assert "broker.unavailable" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_queue_locked_at_the_start_for_a_while_is_waited_for(project: Project, start_worker: StartWorker) -> None:
    project.mq(sqlite={"busy_timeout": "50ms"})
    with closing(sqlite3.connect(project.queue_file, isolation_level=None)) as stubborn:
        stubborn.execute("BEGIN EXCLUSIVE")
        worker = start_worker("--burst")
        worker.await_line("broker.unavailable")
        stubborn.execute("ROLLBACK")

    assert worker.end() == 0
    assert worker.lines("worker.ready")


def test_a_worker_that_waits_for_its_queue_still_hears_a_signal(project: Project, start_worker: StartWorker) -> None:
    project.mq(sqlite={"busy_timeout": "50ms"})
    with closing(sqlite3.connect(project.queue_file, isolation_level=None)) as stubborn:
        stubborn.execute("BEGIN EXCLUSIVE")
        worker = start_worker("--connect-timeout=1h")
        worker.await_line("broker.unavailable")

        assert worker.stop(3) == 0


def test_a_queue_locked_during_a_run_delays_the_result_and_repeats_nothing(
    project: Project, start_worker: StartWorker
) -> None:
    project.mq(sqlite={"busy_timeout": "50ms"})
    go = project.marks / "go"
    project.workflow(
        "slow", f"echo x >> {project.marks}/starts; while [ ! -e {go} ]; do sleep 0.02; done; echo finished"
    )
    project.put({"id": "m", "workflow": "slow", "reply_to": "results"})
    worker = start_worker()
    eventually(lambda: project.starts() == 1, 15)

    with closing(sqlite3.connect(project.queue_file, isolation_level=None)) as stubborn:
        stubborn.execute("BEGIN EXCLUSIVE")
        go.touch()
        retried = worker.await_line("settle.retried")
        stubborn.execute("ROLLBACK")

    eventually(project.results)
    assert "another process keeps it locked" in retried["error"]
    assert [result["output"] for result in project.results()] == ["finished\n"]
    assert worker.stop() == 0
    assert project.starts() == 1
    assert project.count() == 0
    assert worker.lines("message.settled", settlement="ack")


def test_a_worker_that_is_stopped_while_its_queue_hangs_does_not_hang_with_it(
    project: Project, start_worker: StartWorker
) -> None:
    project.mq(sqlite={"busy_timeout": "60s"}, grace="200ms")
    go = project.marks / "go"
    project.workflow("slow", f"echo x >> {project.marks}/starts; while [ ! -e {go} ]; do sleep 0.02; done")
    project.put({"id": "m", "workflow": "slow"})
    worker = start_worker()
    eventually(lambda: project.starts() == 1, 15)

    with closing(sqlite3.connect(project.queue_file, isolation_level=None)) as stubborn:
        stubborn.execute("BEGIN IMMEDIATE")
        go.touch()
        worker.await_line("run.finished")
        code = worker.stop(within_s=20)
        stubborn.execute("ROLLBACK")

    assert code == 5
    assert worker.lines("worker.stopped")[0]["unsettled"] == 1
    assert project.count() == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with one megabyte on it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_loses_nothing_and_a_finished_run_is_not_repeated(
    small_disk: Path, project: Project, start_worker: StartWorker
) -> None:
    project.queue_file = small_disk / "queue.db"
    project.make_queue().mq(sqlite={"path": str(project.queue_file)})
    go = project.marks / "go"
    project.workflow(
        "big",
        f"echo x >> {project.marks}/starts; while [ ! -e {go} ]; do sleep 0.02; done; head -c 60000 /dev/zero | tr '\\0' x",
    )
    project.put({"id": "m", "workflow": "big", "reply_to": "results"})
    worker = start_worker()
    eventually(lambda: project.starts() == 1, 15)
    filler = small_disk / "filler"
    _fill(filler)

    go.touch()
    retried = worker.await_line("settle.retried")
    filler.unlink()

    eventually(project.results)
    assert f"{project.queue_file}: no room to acknowledge messages" in retried["error"]
    assert [len(result["output"]) for result in project.results()] == [60000]
    assert worker.stop() == 0
    assert project.starts() == 1
    assert project.count() == 0


def test_a_message_that_finds_no_room_is_refused_and_the_queue_named(
    small_disk: Path, project: Project, awf: Awf
) -> None:
    project.queue_file = small_disk / "queue.db"
    project.make_queue().mq(sqlite={"path": str(project.queue_file)})
    with closing(sqlite3.connect(project.queue_file)) as reader:
        reader.execute("SELECT COUNT(*) FROM message").fetchall()
        _fill(small_disk / "filler")

        ended = awf("submit", "hello", "--input", "text=" + "x" * 50_000)

    assert ended.returncode == 4
    assert f"Error: {project.queue_file}: no room to" in ended.stderr
    assert ended.stdout == ""
    assert project.count() == 0


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
