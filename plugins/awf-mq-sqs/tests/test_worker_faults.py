"""Real workers on SQS while the server, the queue or the worker itself fails in the middle of a run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_project import SETTLED, UNAVAILABLE
from sqs_answers import SqsAnswers
from sqs_faults import LEASE_S, SqsFaults

from awf_core.testing.brokers import PrivateMoto


@pytest.fixture
def faults(tmp_path: Path, server: PrivateMoto) -> Iterator[SqsFaults]:
    project = SqsFaults(tmp_path, server.url)
    project.create()
    yield project
    project.close()


def test_a_worker_frozen_longer_than_its_lease_publishes_no_second_result(faults: SqsFaults, server: PrivateMoto):
    config = faults.sqs(server.url)
    frozen = faults.worker(config)
    faults.put("m1")
    faults.await_starts(1)

    frozen.signal(signal.SIGSTOP)
    other = faults.worker(config)
    faults.await_starts(2)
    faults.open_gate()
    other.await_line(SETTLED, settlement="ack")
    frozen.signal(signal.SIGCONT)
    frozen.await_line(SETTLED, settlement="lost")

    assert faults.await_results(1) == ["m1"]


def test_a_killed_worker_has_its_message_run_by_another(faults: SqsFaults, server: PrivateMoto):
    config = faults.sqs(server.url)
    killed = faults.worker(config)
    faults.put("m1")
    faults.await_starts(1)

    killed.kill()
    faults.worker(config)
    faults.await_starts(2, within_s=LEASE_S + 15.0)
    faults.open_gate()

    assert faults.await_results(1) == ["m1"]
    assert faults.results()[0]["attempt"] == 1, "a crash is no failed attempt"


def test_a_queue_deleted_under_the_poll_is_created_again_and_served(faults: SqsFaults, server: PrivateMoto):
    worker = faults.worker(faults.sqs(server.url))
    faults.client.delete_queue(QueueUrl=faults.url(faults.queue))

    worker.await_line(UNAVAILABLE)
    faults.put("m1", workflow="short")

    assert faults.await_results(1) == ["m1"]


def test_a_server_that_is_killed_and_started_is_served_again(tmp_path: Path):
    with PrivateMoto(tmp_path / "own") as own:
        faults = SqsFaults(tmp_path / "project", own.url)
        try:
            faults.create()
            worker = faults.worker(faults.sqs(own.url))
            own.kill()
            worker.await_line(UNAVAILABLE)

            # It forgets its queues; the worker creates its own again.
            own.start()
            faults.create()
            worker.await_line("broker.recovered", within_s=30.0)
            faults.put("m1", workflow="short")

            assert faults.await_results(1) == ["m1"]
        finally:
            faults.close()


def test_throttled_workers_answer_every_message_once(faults: SqsFaults, server: PrivateMoto):
    with SqsAnswers(server.url) as front:
        worker = faults.worker(faults.sqs(front.url), "--concurrency", "10")
        for action in ("ReceiveMessage", "SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"):
            front.answer(action, 400, "ThrottlingException", "Rate exceeded", times=4)
        ids = [f"m{number}" for number in range(20)]
        faults.put(*ids, workflow="short")

        assert faults.await_results(20, within_s=40.0) == sorted(ids)
        worker.await_line(SETTLED, settlement="ack", count=20, within_s=20.0)
