"""The whole way: any client pushes, `awf worker` runs, any client pops the results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKFLOW = """
name: greeting
inputs:
  - {name: who, type: string, default: world}
states:
  initial: greet
  greet: {type: step, command: "echo hi {{.inputs.who}}", on_success: done, on_failure: failed}
  done: {type: terminal}
  failed: {type: terminal, status: failure}
"""


@pytest.fixture
def awf(server, tmp_path):
    """Run an awf command in a project of its own that sets only AWF_MQ_REDIS_URL."""
    (tmp_path / ".awf/workflows").mkdir(parents=True)
    (tmp_path / ".awf/workflows/greeting.yaml").write_text(WORKFLOW)
    environment = {**os.environ, "AWF_MQ_REDIS_URL": server.url}

    def run(*arguments):
        command = [str(Path(sys.executable).with_name("awf")), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)

    return run


def message(number, workflow="greeting"):
    return json.dumps(
        {
            "id": f"m{number}",
            "workflow": workflow,
            "inputs": {"who": f"w{number}"},
            "reply_to": "results-queue",
            "metadata": {"correlation_id": f"c{number}"},
        }
    )


def test_plain_pushes_are_run_and_their_results_popped_as_plain_json(awf, external):
    external.lpush("workflows", *[message(number) for number in range(5)])

    done = awf("worker", "--queue=workflows", "--concurrency=5", "--burst")

    results = [json.loads(body) for body in external.rpop("results-queue", 10)]
    assert done.returncode == 0, done.stderr
    assert sorted((r["message_id"], r["status"], r["output"]) for r in results) == [
        (f"m{number}", "completed", f"hi w{number}\n") for number in range(5)
    ]
    assert {r["metadata"]["correlation_id"] for r in results} == {f"c{number}" for number in range(5)}
    assert [key for key in external.keys() if not key.endswith(b":role")] == []  # noqa: SIM118


def test_a_message_that_cannot_be_run_is_dead_lettered_answered_and_can_be_replayed(awf, external):
    external.lpush("workflows", "not json", message(1, workflow="not-there"))

    done = awf("worker", "--queue=workflows", "--burst")
    dead = json.loads(awf("dlq", "list", "--format", "json").stdout)
    replayed = awf("dlq", "replay", dead[0]["id"])
    (stats,) = json.loads(awf("queue", "stats", "workflows", "--format", "json").stdout)

    assert done.returncode == 3, done.stderr
    assert [each["queue"] for each in dead] == ["workflows"] * 2
    assert {each["reason"] for each in dead} == {"malformed", "unknown_workflow"}
    assert json.loads(external.rpop("results-queue"))["status"] == "rejected"
    assert replayed.stdout.strip() == "1"
    assert (stats["ready"], stats["dead"]) == (1, 1)


def test_the_servers_warnings_reach_the_workers_log(awf):
    done = awf("worker", "--burst")

    assert "stores nothing on disk" in done.stderr
