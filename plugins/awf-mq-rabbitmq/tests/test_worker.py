"""The whole way: any AMQP client publishes, `awf worker` runs, any AMQP client gets the results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pika
import pytest

if TYPE_CHECKING:
    from awf_core.testing.brokers import PrivateRabbitMq

Run = Callable[..., list[dict[str, Any]]]
WORKFLOW = """
name: {name}
states:
  initial: run
  run: {{type: step, command: "{command}", on_success: done, on_failure: failed}}
  done: {{type: terminal}}
  failed: {{type: terminal, status: failure}}
"""


@pytest.fixture
def work(server: PrivateRabbitMq, queue: str, tmp_path: Path) -> Run:
    """Run a worker until `queue` is empty, with the broker in AWF_MQ_AMQP_URL only; its log lines."""
    folder = tmp_path / ".awf/workflows"
    folder.mkdir(parents=True)
    (folder / "greet.yaml").write_text(WORKFLOW.format(name="greet", command="echo greet"))
    (folder / "down.yaml").write_text(WORKFLOW.format(name="down", command="exit 1"))
    environment = {**os.environ, "AWF_MQ_AMQP_URL": f"amqp://guest:guest@127.0.0.1:{server.port}"}
    environment |= {"AWF_MQ_DEAD_LETTER_QUEUE": f"{queue}-dead", "AWF_MQ_UNDELIVERABLE_QUEUE": f"{queue}-lost"}
    environment |= {"AWF_MQ_RETRY_INITIAL_DELAY": "5m", "AWF_MQ_RETRY_JITTER": "0"}

    def run(exit_code: int = 0) -> list[dict[str, Any]]:
        command = [str(Path(sys.executable).with_name("awf")), "worker", "--queue", queue, "--burst"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == exit_code, done.stderr
        return [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]

    run()
    return run


def _dead_message(external: Any, queue: str) -> tuple[dict[str, Any], bytes]:
    method, properties, body = external.basic_get(f"{queue}-dead", auto_ack=True)
    assert method is not None, "no dead-lettered message"
    return properties.headers, body


def test_properties_count_where_the_body_has_no_such_field(work: Run, external: Any, queue: str) -> None:
    answers = external.queue_declare("", exclusive=True).method.queue
    properties = pika.BasicProperties(
        message_id="m-1", reply_to=answers, correlation_id="c-1", priority=7, expiration="60000", headers={"trace": "t"}
    )
    external.basic_publish("", queue, b'{"workflow": "greet"}', properties)

    log = work()

    _, got, body = external.basic_get(answers, auto_ack=True)
    result = json.loads(body)
    assert (result["message_id"], result["status"], result["output"].strip()) == ("m-1", "completed", "greet")
    assert result["metadata"] == {"trace": "t"}
    assert got.correlation_id == "c-1"
    (claimed,) = [line for line in log if line["event"] == "message.claimed"]
    assert (claimed["message_id"], claimed["priority"]) == ("m-1", 7)


def test_a_field_of_the_body_counts_before_the_property(work: Run, external: Any, queue: str) -> None:
    answers = external.queue_declare("", exclusive=True).method.queue
    body = {"workflow": "greet", "id": "b-1", "reply_to": answers, "metadata": {"correlation_id": "b-2"}}
    properties = pika.BasicProperties(message_id="m-1", reply_to="nowhere")
    external.basic_publish("", queue, json.dumps(body).encode(), properties)

    work()

    _, got, answer = external.basic_get(answers, auto_ack=True)
    assert (json.loads(answer)["message_id"], got.correlation_id) == ("b-1", "b-2")


def test_a_message_is_not_tried_again_after_its_expiration(work: Run, external: Any, queue: str) -> None:
    external.basic_publish("", queue, b'{"workflow": "down"}', pika.BasicProperties(expiration="60000"))

    work(exit_code=3)

    headers, body = _dead_message(external, queue)
    assert (headers["x-awf-reason"], headers["x-awf-attempt"], body) == ("expired", 1, b'{"workflow": "down"}')
    assert "x-awf-expires-in-ms" not in headers


def test_a_copy_that_comes_after_its_expiration_is_not_run(work: Run, external: Any, queue: str) -> None:
    answers = external.queue_declare("", exclusive=True).method.queue
    properties = pika.BasicProperties(reply_to=answers, headers={"x-awf-expires-in-ms": 0})
    external.basic_publish("", queue, b'{"workflow": "greet"}', properties)

    log = work(exit_code=3)

    assert not [line for line in log if line["event"] == "run.finished"]
    result = json.loads(external.basic_get(answers, auto_ack=True)[2])
    assert (result["status"], result["dead_lettered"]) == ("rejected", True)
    assert "before a worker could run it" in result["error"]["message"]
    assert _dead_message(external, queue)[0]["x-awf-reason"] == "expired"
