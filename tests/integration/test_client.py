"""The Python client: submitting, waiting, and what it says where it can't."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from eventually import eventually
from queue_project import Project

from awf_core import Client
from awf_core.client import Request, Submission
from awf_core.config.load import load_config
from awf_core.errors import BrokerError, ConfigError, InputError, UsageError, WaitTimeout
from awf_core.worker.build import WorkerOptions, build_worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    directory = tmp_path / "project"
    directory.mkdir()
    return Project(directory).make_queue()


@pytest.fixture
def client(project: Project) -> Iterator[Client]:
    with Client(cwd=project.directory, env=os.environ) as client:
        yield client


def answer(project: Project, submission: Submission, **fields: object) -> None:
    """A result, put into the reply queue by any client of SQLite."""
    result = {"message_id": submission.id, "status": "completed", "exit_code": 0, **fields}
    assert submission.reply_to is not None
    project.put(result, queue=submission.reply_to)


def message(project: Project, queue: str = "awf-workflows") -> dict[str, Any]:
    (body,) = project.bodies(queue)
    return json.loads(body)


def test_a_message_holds_what_was_submitted_and_inputs_keep_their_types(project: Project, client: Client) -> None:
    submission = client.submit(
        "hello", {"n": 3, "on": True}, queue="jobs", id="m-1", reply_to="results", metadata={"tenant": [7]}
    )

    assert submission == Submission(id="m-1", queue="jobs", workflow="hello", reply_to="results")
    assert message(project, "jobs") == {
        "id": "m-1",
        "workflow": "hello",
        "inputs": {"n": 3, "on": True},
        "reply_to": "results",
        "metadata": {"tenant": [7]},
    }


def test_the_default_queue_is_the_configured_one_and_ids_are_generated(project: Project, client: Client) -> None:
    first, second = client.submit("hello"), client.submit("hello")

    assert first.queue == second.queue == client.default_queue == "awf-workflows"
    assert first.id != second.id
    assert project.count() == 2


def test_a_batch_is_accepted_as_one_in_its_order(project: Project, client: Client) -> None:
    submissions = client.submit_many([Request(workflow="hello", id=str(number)) for number in range(50)])

    assert [submission.id for submission in submissions] == [str(number) for number in range(50)]
    assert [json.loads(body)["id"] for body in project.bodies("awf-workflows")] == [s.id for s in submissions]


def test_a_delayed_message_is_not_due_yet(project: Project, client: Client) -> None:
    client.submit("hello", delay_s=3600)

    (row,) = project.sql("SELECT due - created FROM message")
    assert 3_599_000 < row[0] < 3_601_000


def test_a_submitted_workflow_runs_and_its_result_is_waited_for(project: Project, client: Client) -> None:
    project.workflow("hello", "echo Hello, {{.inputs.name}}!", inputs=[{"name": "name"}])
    submission = client.submit("hello", {"name": "Ada"}, expect_reply=True)
    config = load_config(cwd=project.directory, env=os.environ)
    worker, _ = build_worker(config, WorkerOptions(burst=True), cwd=project.directory, env=os.environ)
    assert worker.serve() == 0

    result = client.wait(submission, timeout_s=10)

    assert (result["status"], result["output"], result["message_id"]) == ("completed", "Hello, Ada!\n", submission.id)
    assert project.sql("SELECT COUNT(*) FROM message") == [(0,)]


def test_waiting_wakes_up_for_a_result_that_comes_later(project: Project, client: Client) -> None:
    submission = client.submit("hello", expect_reply=True)
    got: list[dict[str, Any]] = []
    waiter = threading.Thread(target=lambda: got.append(client.wait(submission, timeout_s=20)))
    waiter.start()

    answer(project, submission, output="late")
    waiter.join(10)

    assert [result["output"] for result in got] == ["late"]


def test_two_submissions_have_reply_queues_of_their_own(project: Project, client: Client) -> None:
    first, second = (client.submit("hello", expect_reply=True) for _ in range(2))
    answer(project, second, output="second")
    answer(project, first, output="first")

    assert client.wait(first, timeout_s=5)["output"] == "first"
    assert client.wait(second, timeout_s=5)["output"] == "second"


def test_waiting_in_a_shared_reply_queue_leaves_the_results_of_other_submissions_there(
    project: Project, client: Client
) -> None:
    mine = client.submit("hello", reply_to="shared")
    project.put({"message_id": "of-another"}, "no JSON", queue="shared")
    answer(project, mine, output="mine")

    assert client.wait(mine, timeout_s=10)["output"] == "mine"

    assert project.bodies("shared") == ['{"message_id": "of-another"}', "no JSON"]
    assert project.sql("SELECT attempt, owner FROM message WHERE queue = 'shared'") == [(1, None), (1, None)]


def test_a_result_that_does_not_come_in_time_is_a_wait_timeout_and_can_be_waited_for_again(
    project: Project, client: Client
) -> None:
    submission = client.submit("hello", id="m-1", expect_reply=True)

    with pytest.raises(WaitTimeout, match="no result of message 'm-1' within 50ms") as caught:
        client.wait(submission, timeout_s=0.05)

    assert caught.value.hint == f"it will still be processed; its result will be in queue '{submission.reply_to}'"
    assert caught.value.exit_code == 124
    answer(project, submission, output="after all")
    assert client.wait(submission, timeout_s=5)["output"] == "after all"


def test_waiting_for_a_submission_that_asked_for_no_reply_is_refused(client: Client) -> None:
    submission = client.submit("hello")

    with pytest.raises(UsageError, match="the submission asks for no reply") as caught:
        client.wait(submission, timeout_s=1)

    assert caught.value.hint == "submit with expect_reply=True or reply_to=…"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"workflow": ""}, "message rejected: 'workflow' must be a non-empty text"),
        ({"workflow": "hello", "id": "x" * 256}, "'id' must be a text of 1 to 255 characters"),
        ({"workflow": "hello", "inputs": {"a": "x" * 2_000_000}}, "is over max_body_bytes (1048576)"),
        ({"workflow": "hello", "inputs": {"a": float("nan")}}, "inputs or metadata that JSON can't represent: "),
        ({"workflow": "hello", "metadata": {"a": [1e999]}}, "inputs or metadata that JSON can't represent: "),
        ({"workflow": "hello", "inputs": {"a": 10**400}}, "body is not JSON: a number is too large"),
    ],
)
def test_a_message_that_every_worker_would_reject_is_refused_before_it_is_published(
    project: Project, client: Client, arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(InputError) as caught:
        client.submit(**arguments)

    assert text in caught.value.message
    assert caught.value.code == "USER.INPUT.INVALID_FORMAT"
    assert project.count() == 0


def test_one_bad_request_of_a_batch_refuses_the_whole(project: Project, client: Client) -> None:
    with pytest.raises(InputError):
        client.submit_many([Request(workflow="hello"), Request(workflow=" ")])

    assert project.count() == 0


@pytest.mark.parametrize("inputs", [{"a": object()}, {"a": {1, 2}}, {"a": b"bytes"}, {"a": "\ud800"}])
def test_inputs_that_json_can_not_represent_are_refused(
    project: Project, client: Client, inputs: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="inputs or metadata that JSON can't represent"):
        client.submit("hello", inputs)

    assert project.count() == 0


def test_a_broken_configuration_is_known_before_anything_connects(project: Project) -> None:
    project.queue_file.unlink()
    project.config("mq: {grace: soon}\n")

    with pytest.raises(ConfigError, match=r"config.yaml:1: mq.grace: 'soon' is not a duration"):
        Client(cwd=project.directory, env=os.environ)

    assert not project.queue_file.exists()


def test_a_queue_out_of_reach_is_a_broker_error_that_names_it(project: Project) -> None:
    project.mq(sqlite={"path": "/proc/awf/queue.db"})

    with Client(cwd=project.directory, env=os.environ) as client, pytest.raises(BrokerError, match="/proc/awf"):
        client.submit("hello")


def test_many_threads_may_share_a_client(project: Project, client: Client) -> None:
    threads = [threading.Thread(target=lambda: [client.submit("hello") for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    eventually(lambda: project.count() == 40, 1)


def test_closing_twice_is_fine(project: Project) -> None:
    client = Client(cwd=project.directory, env=os.environ)
    client.submit("hello")

    client.close()
    client.close()

    assert project.count() == 1
