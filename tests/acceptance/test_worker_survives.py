"""A worker whose parts raise unexpected errors goes on: no thread dies, no message is stuck, no run is repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from eventually import eventually
from plugin_package import install_plugin

if TYPE_CHECKING:
    from pathlib import Path

    from awf_process import WorkerProcess
    from queue_project import Project

    from .conftest import StartWorker

Plugged = "Callable[..., WorkerProcess]"

RAISES_AT_FIRST = """
calls = 0

@hookimpl(wrapper=True)
def {hook}():
    global calls
    calls += 1
    if calls <= {times}:
        raise {error}
    return (yield)
"""


RAISING_WORKFLOW = """
name: raises
states:
  initial: work
  work: {type: operation, operation: test.raise, on_success: done}
  done: {type: terminal}
"""

RAISING_OPERATION = """
class Raise:
    def run(self, inputs, context):
        raise {error}

@hookimpl
def awf_register_operations(register):
    register("test.raise", Raise())
"""


@pytest.fixture
def start_with(start_worker: StartWorker, tmp_path: Path) -> Plugged:
    """Start a worker that has a plugin of this source."""

    def start(source: str, *arguments: str) -> WorkerProcess:
        site = tmp_path / "site"
        site.mkdir()
        install_plugin(site, "hostile", source)
        return start_worker(*arguments, env={"PYTHONPATH": str(site)})

    return start


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("ValueError('amqp://user:geheim@host broke')", "ValueError: amqp://user:***@host broke"),
        ("SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_consume_that_raises_anything_is_tried_again_and_the_log_names_hook_and_backend(
    project: Project, start_with: Plugged, error: str, said: str
) -> None:
    project.workflow("hello")
    project.put({"id": "m", "workflow": "hello", "reply_to": "results"})

    worker = start_with(RAISES_AT_FIRST.format(hook="awf_mq_consume", times=3, error=error))

    eventually(project.results)
    line = worker.lines("broker.unavailable", queue="awf-workflows")[0]
    assert line["error"] == f"mq.type 'sqlite': awf_mq_consume raised {said}"
    assert line["hint"] == "it breaks the contract; report it to its authors"
    assert "geheim" not in str(worker.log)
    assert worker.lines("internal.error") == []
    assert worker.stop() == 0


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("ValueError('amqp://user:geheim@host broke')", "ValueError: amqp://user:***@host broke"),
        ("SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_settlement_that_raises_anything_is_tried_again_and_the_run_is_not_repeated(
    project: Project, start_with: Plugged, error: str, said: str
) -> None:
    project.workflow("hello", f"echo x >> {project.marks}/starts")
    project.put({"id": "m", "workflow": "hello", "reply_to": "results"})

    worker = start_with(RAISES_AT_FIRST.format(hook="awf_mq_ack", times=3, error=error))

    worker.await_line("message.settled", settlement="ack")
    assert (project.starts(), len(project.results()), project.count()) == (1, 1, 0)
    line = worker.lines("settle.retried", message_id="m")[0]
    assert line["error"] == f"mq.type 'sqlite': awf_mq_ack raised {said}"
    assert "geheim" not in str(worker.log)
    assert worker.lines("internal.error") == worker.lines("settle.refused") == []
    assert worker.stop() == 0


def test_an_answer_of_the_wrong_length_names_the_hook_and_the_settlement_is_tried_again(
    project: Project, start_with: Plugged
) -> None:
    project.workflow("hello", f"echo x >> {project.marks}/starts")
    project.put({"id": "m", "workflow": "hello", "reply_to": "results"})

    worker = start_with(
        """
answers = [None, []]

@hookimpl(wrapper=True)
def awf_mq_ack():
    if answers:
        # The backend is not asked, and the list is too short, or none at all.
        yield
        return answers.pop()
    return (yield)
"""
    )

    worker.await_line("message.settled")
    assert (project.starts(), len(project.results()), project.count()) == (1, 1, 0)
    line = worker.lines("settle.retried", message_id="m")[0]
    assert line["error"] == "mq.type 'sqlite': awf_mq_ack returned a list of 0, not a sequence of 1 answers"
    assert worker.lines("internal.error") == worker.lines("settle.refused") == []
    assert worker.stop() == 0


@pytest.mark.parametrize(
    ("error", "said"), [("ValueError('no')", "ValueError: no"), ("SystemExit(3)", "SystemExit: 3")]
)
def test_a_lease_is_still_extended_after_an_extension_that_raised_anything(
    project: Project, start_with: Plugged, start_worker: StartWorker, error: str, said: str
) -> None:
    project.mq(sqlite={"lease": "1s"})
    project.workflow("long", f"echo x >> {project.marks}/starts; sleep 2.5")
    project.put({"workflow": "long", "reply_to": "results"})

    worker = start_with(RAISES_AT_FIRST.format(hook="awf_mq_extend", times=1, error=error))
    eventually(lambda: project.starts() == 1)
    start_worker("--name", "idle").await_line("worker.ready")

    worker.await_line("message.settled", settlement="ack")
    assert project.starts() == 1
    line = worker.lines("broker.unavailable", extending=1)[0]
    assert line["error"] == f"mq.type 'sqlite': awf_mq_extend raised {said}"
    assert worker.lines("internal.error") == []


@pytest.mark.parametrize("error", ["SystemExit(3)", "RuntimeError('redis://u:geheim@host broke')"])
def test_a_step_that_raises_anything_is_a_failed_attempt_and_its_slot_is_free_again(
    project: Project, start_with: Plugged, error: str
) -> None:
    project.mq(retry={"max_attempts": 1})
    project.workflow("hello")
    project.workflow_text("raises", RAISING_WORKFLOW)
    project.put({"id": "bad", "workflow": "raises", "reply_to": "results"})
    project.put({"id": "good", "workflow": "hello", "reply_to": "results"})

    worker = start_with(RAISING_OPERATION.format(error=error), "--concurrency", "1")

    eventually(lambda: len(project.results()) == 2)
    # Sorted: where both are settled in one batch, the ack goes out before the dead-lettering.
    ended = sorted((result["message_id"], result["status"]) for result in project.results())
    assert ended == [("bad", "failed"), ("good", "completed")]
    assert [dead["reason"] for dead in project.dead_messages()] == ["max_attempts"]
    assert "geheim" not in str([*worker.log, *project.results(), *project.dead_messages()])
    assert worker.stop() == 0


def test_a_result_plugin_that_exits_python_changes_nothing_for_the_message(
    project: Project, start_with: Plugged
) -> None:
    project.workflow("hello", f"echo x >> {project.marks}/starts")
    project.put({"id": "m", "workflow": "hello", "reply_to": "results"})

    worker = start_with("@hookimpl\ndef awf_format_result(): raise SystemExit(3)")

    eventually(project.results)
    assert project.results()[0]["message_id"] == "m"
    assert worker.stop() == 0
    assert (project.starts(), project.count()) == (1, 0)


def test_a_worker_that_may_not_consume_says_so_and_ends_with_two(project: Project, start_with: Plugged) -> None:
    error = "BrokerMisconfigured('broker: may not read the queue', hint='grant it')"
    source = "from awf_core.errors import BrokerMisconfigured\n" + RAISES_AT_FIRST
    worker = start_with(source.format(hook="awf_mq_consume", times=10**9, error=error))

    assert worker.end() == 2
    said = "".join(line["text"] for line in worker.lines(""))
    assert "Error: broker: may not read the queue\nHint: grant it\n" in said


def test_a_worker_whose_rights_are_taken_away_later_waits_for_them(project: Project, start_with: Plugged) -> None:
    project.workflow("hello")
    worker = start_with(
        """
from awf_core.errors import BrokerMisconfigured
calls = 0

@hookimpl(wrapper=True)
def awf_mq_consume():
    global calls
    calls += 1
    if calls in (2, 3):
        raise BrokerMisconfigured("broker: may not read the queue")
    return (yield)
"""
    )
    worker.await_line("broker.unavailable", error="broker: may not read the queue")

    project.put({"workflow": "hello", "reply_to": "results"})

    eventually(project.results)
    assert worker.stop() == 0
