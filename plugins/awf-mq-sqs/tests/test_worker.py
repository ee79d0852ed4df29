"""The whole way: any SQS client sends, `awf worker` runs, any SQS client receives the results."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqs_answers import SqsAnswers

from awf_core.testing.brokers import PrivateMoto

Run = Callable[..., list[dict[str, Any]]]
WORKFLOW = """
name: {name}
states:
  initial: run
  run: {{type: step, command: "{command}", on_success: done, on_failure: failed}}
  done: {{type: terminal}}
  failed: {{type: terminal, status: failure}}
"""
AWF = str(Path(sys.executable).with_name("awf"))
MESSAGES = 60
MOST_A_MESSAGE = 0.45
"""Claims are not always full, and a worker polls once more before it says that a queue is empty."""


@pytest.fixture
def front(server: PrivateMoto) -> Iterator[SqsAnswers]:
    with SqsAnswers(server.url) as made:
        yield made


@pytest.fixture
def project(tmp_path: Path, front: SqsAnswers, external: Any, queue: str) -> Any:
    """Run `awf` with nothing but AWF_MQ_SQS_QUEUE_URL; its stdout and its log lines."""
    folder = tmp_path / ".awf/workflows"
    folder.mkdir(parents=True)
    (folder / "greet.yaml").write_text(WORKFLOW.format(name="greet", command="echo greet"))
    (folder / "down.yaml").write_text(WORKFLOW.format(name="down", command="exit 1"))
    (folder / "nothing.yaml").write_text("name: nothing\nstates: {initial: done, done: {type: terminal}}\n")
    for name in (queue, f"{queue}-r"):
        external.create_queue(QueueName=name)
    environment = {**os.environ, "AWF_MQ_SQS_QUEUE_URL": f"{front.url}/123456789012/{queue}"}
    environment |= {"AWF_MQ_DEAD_LETTER_QUEUE": f"{queue}-dead", "AWF_MQ_UNDELIVERABLE_QUEUE": f"{queue}-lost"}
    environment |= {"AWF_MQ_RETRY_INITIAL_DELAY": "0s", "AWF_MQ_RETRY_MAX_ATTEMPTS": "2", "AWF_MQ_SQS_WAIT": "1s"}

    def run(*arguments: str, exit_code: int = 0) -> tuple[str, list[dict[str, Any]]]:
        done = subprocess.run(
            [AWF, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=90
        )
        assert done.returncode == exit_code, done.stderr
        return done.stdout, [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]

    return run


def received(external: Any, queue: str) -> list[dict[str, Any]]:
    url = external.get_queue_url(QueueName=queue)["QueueUrl"]
    found: list[dict[str, Any]] = []
    while batch := external.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], WaitTimeSeconds=0
    ).get("Messages", []):
        found += batch
    return found


def send(external: Any, queue: str, *bodies: str, **more: Any) -> None:
    url = external.get_queue_url(QueueName=queue)["QueueUrl"]
    for body in bodies:
        external.send_message(QueueUrl=url, MessageBody=body, **more)


def test_a_message_with_attributes_is_run_and_answered(project: Any, external: Any, queue: str):
    attributes = {"reply_to": f"{queue}-r", "message_id": "m-1", "correlation_id": "c-1", "tenant": "t"}
    send(
        external,
        queue,
        '{"workflow": "greet"}',
        MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    )

    project("worker", "--burst")

    (message,) = received(external, f"{queue}-r")
    result = json.loads(message["Body"])
    assert (result["message_id"], result["status"], result["output"].strip()) == ("m-1", "completed", "greet")
    assert result["metadata"]["tenant"] == "t"
    assert message["MessageAttributes"]["correlation_id"]["StringValue"] == "c-1"


def test_a_failing_message_is_retried_dead_lettered_shown_and_replayed(project: Any, external: Any, queue: str):
    body = json.dumps({"id": "bad", "workflow": "down", "reply_to": f"{queue}-r"})
    send(external, queue, body)

    project("worker", "--burst", exit_code=3)
    listed, _ = project("dlq", "list", "--format", "json")
    project("dlq", "replay", "--all")

    (message,) = received(external, f"{queue}-r")
    result = json.loads(message["Body"])
    assert (result["status"], result["attempt"], result["dead_lettered"]) == ("failed", 2, True)
    assert "max_attempts" in listed
    (again,) = received(external, queue)
    assert again["Body"] == body, "byte for byte"


def test_submit_waits_for_its_result_in_a_queue_of_its_own(project: Any, external: Any, front: SqsAnswers, queue: str):
    worker = Thread(target=lambda: project("worker", "--max-messages", "1"))
    worker.start()
    output, _ = project("submit", "greet", "--wait")
    worker.join(60)

    assert "greet" in output
    assert front.counts["DeleteQueue"] == 1
    assert not [url for url in external.list_queues().get("QueueUrls", []) if re.search("awf-reply-[0-9a-f]{9}-", url)]


def test_a_worker_with_full_batches_costs_little(project: Any, external: Any, front: SqsAnswers, queue: str):
    body = json.dumps({"workflow": "nothing", "reply_to": f"{queue}-r"})
    send(external, queue, *(body for _ in range(MESSAGES)))
    front.counts.clear()

    _, log = project("worker", "--burst", "--concurrency", "20")

    data = {name: front.counts[name] for name in front.counts if "Message" in name}
    assert len(received(external, f"{queue}-r")) == MESSAGES
    assert sum(data.values()) / MESSAGES <= MOST_A_MESSAGE, data
    (logged,) = [line for line in log if line["event"] == "sqs.requests"]
    assert logged["total"] == sum(front.counts.values()), "the worker logs what it has cost"
