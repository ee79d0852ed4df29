"""`awf worker` as a user starts it: the command of the README, its log, its queues, its ends."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import awf_process
import pytest
from eventually import eventually

if TYPE_CHECKING:
    from queue_project import Project

    from .conftest import Awf, StartWorker


def test_the_command_of_the_readme_takes_messages_of_any_sqlite_client_and_answers_them(
    project: Project, start_worker: StartWorker
) -> None:
    project.workflow("hello", "echo Hello, {{.inputs.name}}!", inputs=[{"name": "name"}])
    worker = start_worker("--queue=workflows", "--concurrency=5")
    worker.await_line("worker.ready")

    project.put(
        {"id": "msg-1", "workflow": "hello", "inputs": {"name": "Ada"}, "reply_to": "results-queue"}, queue="workflows"
    )

    eventually(lambda: project.results("results-queue"))
    assert project.results("results-queue")[0]["output"] == "Hello, Ada!\n"
    assert worker.stop() == 0
    started = worker.log[0]
    assert (started["event"], started["queues"], started["concurrency"]) == ("worker.started", ["workflows"], 5)
    assert project.count("workflows") == 0


def test_ready_is_logged_once_after_the_queue_answered_and_stdout_stays_empty(
    project: Project, start_worker: StartWorker
) -> None:
    project.workflow("hello")
    worker = start_worker("--queue=a", "--queue=b", "--name=me")
    worker.await_line("worker.ready")
    for queue in ("a", "b", "a"):
        project.put({"workflow": "hello", "reply_to": "results"}, queue=queue)
    eventually(lambda: len(project.results()) == 3)

    assert worker.stop() == 0

    (ready,) = worker.lines("worker.ready")
    assert (ready["worker"], ready["queues"]) == ("me", ["a", "b"])
    events = [line["event"] for line in worker.log]
    assert events[0] == "worker.started"
    assert events[-1] == "worker.stopped"
    assert events.index("worker.ready") < events.index("message.claimed")
    assert (
        len([line for line in worker.log if line["event"] in ("message.claimed", "run.finished", "message.settled")])
        == 9
    )
    assert {result["worker"] for result in project.results()} == {"me"}
    assert worker.process.stdout is not None
    assert worker.process.stdout.read() == ""


def test_a_workflow_that_appears_while_its_message_is_deferred_runs(
    project: Project, start_worker: StartWorker
) -> None:
    project.mq(retry={"defer_unknown": "1m"})
    worker = start_worker()
    project.put({"workflow": "late", "reply_to": "results"})
    worker.await_line("message.settled", reason="unknown_workflow")

    project.workflow("late", "echo here now")
    # Within a minute of deferring the message is redelivered every five seconds; an external client may hurry it.
    project.sql("UPDATE message SET due = 0")

    eventually(project.results)
    (result,) = project.results()
    assert (result["output"], result["attempt"]) == ("here now\n", 1)
    assert worker.stop() == 0


def test_a_message_whose_workflow_stays_unknown_is_dead_lettered_in_the_end(
    project: Project, start_worker: StartWorker
) -> None:
    project.mq(retry={"defer_unknown": "300ms"})
    worker = start_worker()
    project.put({"workflow": "never", "reply_to": "results"})

    worker.await_line("message.settled", settlement="dead_letter", reason="unknown_workflow")

    assert worker.lines("message.settled", settlement="nack", counted=False)
    assert [dead["reason"] for dead in project.dead_messages()] == ["unknown_workflow"]
    assert project.results()[0]["status"] == "rejected"
    assert worker.stop() == 0


def test_short_messages_are_done_while_a_long_one_runs_elsewhere(project: Project, start_worker: StartWorker) -> None:
    go = project.marks / "go"
    project.workflow("long", f"echo x >> {project.marks}/starts; while [ ! -e {go} ]; do sleep 0.05; done")
    project.workflow("short")
    project.put({"id": "long", "workflow": "long", "reply_to": "results"})
    workers = [start_worker("--concurrency=1", f"--name=w{number}") for number in (1, 2)]
    eventually(lambda: project.starts() == 1, 15)
    for worker in workers:
        worker.await_line("worker.ready")

    project.put(*({"id": f"s{number}", "workflow": "short", "reply_to": "results"} for number in range(10)))

    eventually(lambda: len(project.results()) == 10)
    (held,) = project.sql("SELECT COUNT(*) FROM message WHERE owner IS NOT NULL")[0]
    assert held == project.count() == 1
    go.touch()
    eventually(lambda: len(project.results()) == 11)
    assert [worker.stop() for worker in workers] == [0, 0]
    assert project.results()[-1]["message_id"] == "long"


def test_a_worker_never_has_more_messages_in_hand_than_it_may_run(project: Project, start_worker: StartWorker) -> None:
    go = project.marks / "go"
    project.workflow("wait", f"echo x >> {project.marks}/starts; while [ ! -e {go} ]; do sleep 0.05; done")
    project.put(*({"workflow": "wait"} for _ in range(9)))
    worker = start_worker("-c3")

    eventually(lambda: project.starts() == 3, 15)

    assert project.sql("SELECT COUNT(*) FROM message WHERE owner IS NOT NULL") == [(3,)]
    go.touch()
    eventually(lambda: project.count() == 0)
    assert worker.stop() == 0
    assert project.starts() == 9


@pytest.mark.parametrize("concurrency", [1, 5])
def test_several_queues_are_served_side_by_side_also_with_one_slot(
    project: Project, start_worker: StartWorker, concurrency: int
) -> None:
    project.workflow("hello")
    for queue in ("a", "b"):
        project.put(*({"workflow": "hello", "reply_to": f"done-{queue}"} for _ in range(5)), queue=queue)
    worker = start_worker("--queue=a", "--queue=b", f"--concurrency={concurrency}")

    eventually(lambda: (project.count("done-a"), project.count("done-b")) == (5, 5), 15)
    project.put({"workflow": "hello", "reply_to": "late"}, queue="b")

    eventually(lambda: project.count("late") == 1, 5)
    assert worker.stop() == 0


def test_a_busy_queue_does_not_starve_a_quiet_one(project: Project, start_worker: StartWorker) -> None:
    project.workflow("hello")
    project.put(*({"workflow": "hello"} for _ in range(400)), queue="busy")
    worker = start_worker("--queue=busy", "--queue=quiet", "--concurrency=1")
    worker.await_line("message.settled")

    project.put({"id": "quiet", "workflow": "hello", "reply_to": "results"}, queue="quiet")
    eventually(project.results)

    assert project.count("busy") > 0
    worker.kill()


def test_queues_drained_in_burst_end_the_worker(project: Project, start_worker: StartWorker) -> None:
    project.workflow("hello")
    for queue in ("a", "b", "c"):
        project.put(*({"workflow": "hello"} for _ in range(4)), queue=queue)

    worker = start_worker("--queue=a", "--queue=b", "--queue=c", "--burst")

    assert worker.end() == 0
    assert project.sql("SELECT COUNT(*) FROM message") == [(0,)]
    assert worker.lines("worker.draining")[0]["reason"] == "dry"


def test_an_idle_worker_hardly_uses_the_processor_and_sees_a_message_soon(
    project: Project, start_worker: StartWorker
) -> None:
    project.workflow("hello")
    worker = start_worker()
    worker.await_line("worker.ready")
    began, used = time.monotonic(), _cpu_s(worker.pid)
    eventually(lambda: time.monotonic() - began > 0.8)
    idle = (_cpu_s(worker.pid) - used) / (time.monotonic() - began)

    project.put({"workflow": "hello", "reply_to": "results"})
    began = time.monotonic()
    eventually(project.results)

    # The aim is 1 %; a busy loop would be near 100 %.
    assert idle < 0.05
    assert time.monotonic() - began < 2
    assert worker.stop() == 0


def test_a_password_in_the_environment_never_reaches_the_log(project: Project, awf: Awf) -> None:
    secret = {"AWF_MQ_NOSUCH_URL": "nosuch://user:hunter2@broker/x"}

    ended = awf("worker", "--burst", env=secret)

    assert ended.returncode == 2
    assert "AWF_MQ_NOSUCH_URL" in ended.stderr
    assert "hunter2" not in ended.stdout + ended.stderr


def test_a_reader_that_goes_away_does_not_make_a_command_complain(project: Project) -> None:
    project.put(*({"workflow": "hello", "inputs": {"a": "x" * 2000}} for _ in range(200)))
    process = subprocess.Popen(
        [awf_process.AWF, "queue", "browse", "awf-workflows", "--limit", "200", "--format", "json"],
        cwd=project.directory,
        env=awf_process.environment(project.directory),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()

        said = process.stderr.read()

    assert said == ""


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_max_messages_waits_for_messages_that_are_still_to_be_published(
    project: Project, start_worker: StartWorker
) -> None:
    project.workflow("hello")
    worker = start_worker("--max-messages=2", "--concurrency=1")
    project.put({"workflow": "hello"})
    worker.await_line("message.settled")

    project.put({"workflow": "hello"})

    assert worker.end() == 0
    assert len(worker.lines("message.settled")) == 2
