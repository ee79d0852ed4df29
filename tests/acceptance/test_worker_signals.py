"""What TERM, INT and KILL do to a worker, idle and in a step: exit code, how long it takes, where the message is then."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from awf_process import processes_of
from eventually import eventually

if TYPE_CHECKING:
    from awf_process import WorkerProcess
    from queue_project import Project

    from .conftest import StartWorker

DRAINED, FORCED = 0, 5


def into_a_step(
    project: Project, start_worker: StartWorker, *arguments: str, command: str = "sleep 60"
) -> WorkerProcess:
    """A worker whose only message is in the middle of a step."""
    project.workflow("slow", f"echo $$ >> {project.marks}/starts; {command}")
    project.put({"id": "m", "workflow": "slow", "reply_to": "results"})
    worker = start_worker(*arguments)
    eventually(lambda: project.starts() == 1, 15)
    return worker


def steps_are_gone(project: Project, worker: WorkerProcess) -> bool:
    return not [pid for pid in processes_of(project.directory) if pid != worker.pid]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_worker_exits_at_once_with_zero(
    project: Project, start_worker: StartWorker, number: signal.Signals
) -> None:
    worker = start_worker()
    worker.await_line("worker.ready")

    worker.signal(number)
    began = time.monotonic()

    assert worker.end() == DRAINED
    assert time.monotonic() - began < 3
    assert worker.lines("worker.draining")[0]["reason"] == "signal"
    assert worker.lines("worker.stopped")[0]["exit_code"] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_in_a_step_finishes_it_acks_it_and_takes_no_other(
    project: Project, start_worker: StartWorker, number: signal.Signals
) -> None:
    go = project.marks / "go"
    worker = into_a_step(project, start_worker, "-c1", command=f"while [ ! -e {go} ]; do sleep 0.02; done; echo done")
    project.put({"id": "next", "workflow": "slow"})

    worker.signal(number)
    worker.await_line("worker.draining", running=1)
    go.touch()

    assert worker.end() == DRAINED
    assert [result["output"] for result in project.results()] == ["done\n"]
    assert project.starts() == 1
    row = project.row()
    assert row is not None
    assert (row["attempt"], row["owner"]) == (1, None)


def test_a_second_signal_stops_the_step_and_gives_the_message_back_uncounted(
    project: Project, start_worker: StartWorker
) -> None:
    worker = into_a_step(project, start_worker, command="setsid sleep 61 & sleep 60")
    worker.signal(signal.SIGTERM)
    worker.await_line("worker.draining")
    began = time.monotonic()

    worker.signal(signal.SIGTERM)

    assert worker.end() == FORCED
    assert time.monotonic() - began < 5
    row = project.row()
    assert row is not None
    assert (row["attempt"], row["deliveries"], row["crashes"], row["owner"]) == (1, 1, None, None)
    assert project.results() == project.dead_messages() == []
    assert worker.lines("worker.forced", running=1)
    assert worker.lines("message.settled", settlement="nack", reason="stop", counted=False)
    eventually(lambda: steps_are_gone(project, worker), 5)


def test_two_interrupts_within_a_moment_are_one_request(project: Project, start_worker: StartWorker) -> None:
    go = project.marks / "go"
    worker = into_a_step(project, start_worker, command=f"while [ ! -e {go} ]; do sleep 0.02; done")

    worker.signal(signal.SIGINT)
    worker.signal(signal.SIGINT)
    worker.await_line("worker.draining")
    go.touch()

    assert worker.end() == DRAINED
    assert len(project.results()) == 1


def test_when_the_grace_is_over_the_step_is_stopped_and_the_message_released(
    project: Project, start_worker: StartWorker
) -> None:
    worker = into_a_step(project, start_worker, "--grace=300ms")
    began = time.monotonic()

    worker.signal(signal.SIGTERM)

    assert worker.end() == FORCED
    assert 0.3 <= time.monotonic() - began < 5
    row = project.row()
    assert row is not None
    assert (row["attempt"], row["owner"]) == (1, None)
    eventually(lambda: steps_are_gone(project, worker), 5)


def test_what_was_released_is_run_by_the_next_worker_as_the_same_attempt(
    project: Project, start_worker: StartWorker
) -> None:
    worker = into_a_step(project, start_worker, "--grace=0s")
    assert worker.stop() == FORCED
    project.workflow("slow", "echo $AWF_ATTEMPT")

    assert start_worker("--burst").end() == DRAINED

    (result,) = project.results()
    assert (result["attempt"], result["output"]) == (1, "1\n")


def test_a_third_signal_ends_a_worker_that_can_not_even_release(project: Project, start_worker: StartWorker) -> None:
    worker = into_a_step(project, start_worker)
    with closing(sqlite3.connect(project.queue_file, isolation_level=None)) as stubborn:
        stubborn.execute("BEGIN EXCLUSIVE")
        worker.signal(signal.SIGTERM)
        worker.await_line("worker.draining")
        worker.signal(signal.SIGTERM)
        worker.await_line("worker.forced")

        worker.signal(signal.SIGINT)

        assert worker.end(3) == 128 + signal.SIGINT
    row = project.row()
    assert row is not None
    assert row["owner"] is not None
    eventually(lambda: steps_are_gone(project, worker), 5)


def test_a_killed_worker_loses_nothing_the_message_comes_back_after_its_lease(
    project: Project, start_worker: StartWorker
) -> None:
    project.mq(sqlite={"lease": "700ms"})
    worker = into_a_step(project, start_worker, command="setsid sleep 61 & sleep 60")

    worker.signal(signal.SIGKILL)

    assert worker.end() == -signal.SIGKILL
    eventually(lambda: steps_are_gone(project, worker), 5)
    project.workflow("slow", "echo survived")
    other = start_worker("--max-messages=1")
    claimed = other.await_line("message.claimed")
    assert (claimed["deliveries"], claimed["attempt"]) == (2, 1)
    assert other.end() == DRAINED
    assert [result["output"] for result in project.results()] == ["survived\n"]


def test_an_idle_worker_that_is_killed_leaves_the_queue_usable(project: Project, start_worker: StartWorker) -> None:
    worker = start_worker()
    worker.await_line("worker.ready")

    worker.signal(signal.SIGKILL)

    assert worker.end() == -signal.SIGKILL
    project.workflow("hello")
    project.put({"workflow": "hello", "reply_to": "results"})
    assert start_worker("--burst").end() == DRAINED
    assert len(project.results()) == 1
