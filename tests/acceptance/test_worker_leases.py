"""A message belongs to one worker at a time: leases, workers that stop answering, messages that kill their workers."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from eventually import eventually

if TYPE_CHECKING:
    from queue_project import Project

    from .conftest import StartWorker


def test_a_run_that_lasts_longer_than_its_lease_is_executed_once(project: Project, start_worker: StartWorker) -> None:
    project.mq(sqlite={"lease": "400ms"})
    go = project.marks / "go"
    project.workflow("slow", f"echo x >> {project.marks}/starts; while [ ! -e {go} ]; do sleep 0.05; done")
    workers = [start_worker(f"--name=w{number}") for number in (1, 2)]
    for worker in workers:
        worker.await_line("worker.ready")
    project.put({"workflow": "slow", "reply_to": "results"})
    eventually(lambda: project.starts() == 1)
    (first_due,) = project.sql("SELECT due FROM message")[0]

    # Three leases later, by the leases' own clock.
    eventually(lambda: project.sql("SELECT due FROM message")[0][0] > first_due + 1200)
    go.touch()

    eventually(lambda: len(project.results()) == 1)
    assert [worker.stop() for worker in workers] == [0, 0]
    assert project.starts() == 1
    assert sum(len(worker.lines("message.claimed")) for worker in workers) == 1


def test_a_worker_that_was_stopped_past_its_lease_can_not_ack_and_exactly_one_result_is_published(
    project: Project, start_worker: StartWorker
) -> None:
    project.mq(sqlite={"lease": "500ms"})
    marks = project.marks
    project.workflow(
        "slow",
        f"echo x >> {marks}/starts; n=$(wc -l < {marks}/starts); while [ ! -e {marks}/go-$n ]; do sleep 0.05; done",
    )
    project.put({"id": "m", "workflow": "slow", "reply_to": "results"})
    frozen = start_worker("--name=frozen")
    eventually(lambda: project.starts() == 1, 15)
    other = start_worker("--name=other")
    other.await_line("worker.ready")

    frozen.signal(signal.SIGSTOP)
    claimed = other.await_line("message.claimed")
    eventually(lambda: project.starts() == 2)
    (marks / "go-1").touch()
    frozen.signal(signal.SIGCONT)
    frozen.await_line("message.settled", settlement="lost")

    # The late ack had no effect: the message still is the other worker's, and nothing was answered.
    row = project.row()
    assert row is not None
    assert (row["deliveries"], claimed["deliveries"]) == (2, 2)
    assert project.results() == []
    (marks / "go-2").touch()
    eventually(project.results)
    assert [frozen.stop(), other.stop()] == [0, 0]
    assert [result["worker"] for result in project.results()] == ["other"]
    assert project.starts() == 2
    assert project.count() == 0


def test_a_message_that_kills_its_workers_is_dead_after_five_starts_and_a_good_one_beside_it_is_done(
    project: Project, start_worker: StartWorker
) -> None:
    project.mq(sqlite={"lease": "200ms"}, concurrency=1)
    project.workflow("killer", f"echo x >> {project.marks}/starts; kill -9 $(cat {project.marks}/pid); sleep 60")
    project.workflow("hello", "echo fine")
    project.put({"id": "killer", "workflow": "killer", "reply_to": "results"})
    project.put({"id": "good", "workflow": "hello", "reply_to": "results"})

    codes = []
    while not project.dead_messages():
        assert len(codes) < 12, f"still alive after {codes}"
        worker = start_worker("--burst")
        (project.marks / "pid").write_text(str(worker.pid))
        codes.append(worker.end())

    (dead,) = project.dead_messages()
    assert project.starts() == 5
    assert codes.count(-signal.SIGKILL) == 5
    assert (dead["reason"], dead["deliveries"], dead["attempt"]) == ("crash_loop", 6, 1)
    assert dead["error"] == "delivered 6 times; 5 workers ended without settling it"
    by_id = {result["message_id"]: result for result in project.results()}
    assert by_id["good"]["output"] == "fine\n"
    assert (by_id["killer"]["status"], by_id["killer"]["dead_lettered"]) == ("rejected", True)
    assert by_id["killer"]["exit_code"] == 4
