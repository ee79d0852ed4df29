"""What is too long, too deep or too late: bounded where it enters, and never a reason to lose or repeat a message."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from awf_core.backends.sqlite.messages import reply_queue_name
from awf_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from queue_project import Project

    from .conftest import Work


def test_a_correlation_id_in_the_metadata_that_is_too_long_for_brokers_is_replaced_by_the_message_id(
    project: Project, work: Work
) -> None:
    long = "c" * 256
    project.workflow("hello")
    project.put({"id": "m", "workflow": "hello", "reply_to": "results", "metadata": {"correlation_id": long}})

    work()

    assert project.sql("SELECT correlation_id FROM message WHERE queue = 'results'") == [("m",)]
    assert project.results()[0]["metadata"] == {"correlation_id": long}


def test_an_id_of_an_external_producer_that_is_too_long_is_replaced(project: Project, work: Work) -> None:
    project.workflow("hello", "echo ${#AWF_MESSAGE_ID}")
    body = '{"workflow": "hello", "reply_to": "results"}'
    project.sql("INSERT INTO message(queue, message_id, body) VALUES ('awf-workflows', ?, ?)", "i" * 200_000, body)

    work()

    (result,) = project.results()
    assert result["status"] == "completed"
    assert len(result["message_id"]) <= 255
    assert int(result["output"]) <= 255


def test_no_log_line_grows_with_what_an_untrusted_producer_sends(project: Project, work: Work) -> None:
    long = "w" * 300_000
    hooks = {"workflow_end": [{"log": "said {{.states.work.Output}}"}]}
    project.workflow("loud", "head -c 300000 /dev/zero | tr '\\0' x", hooks=hooks)
    project.put(
        {"id": "a", "workflow": long},
        {"id": "b", "workflow": 7, "reply_to": long},
        {"id": "c", "workflow": "loud", "reply_to": long},
    )

    served = work()

    assert len(served.lines("message.settled")) == 3
    assert served.lines("workflow.log")[0]["text"].startswith("said xxx")
    assert max(len(json.dumps(line)) for line in served.log) < 20_000


DEEP_WORKFLOW = """
name: deep
states:
  initial: work
  work: {type: test.deep, on_success: mark}
  mark: {type: step, command: "echo x >> MARKS/starts", on_success: done}
  done: {type: terminal}
outputs:
  - {name: deep, from: states.work.JSON}
  - {name: flat, from: states.mark.ExitCode}
"""

DEEP_STEP = """
from awf_core.extensions.steps import Routing, StepResult

class Deep:
    name = "test.deep"
    aliases = ()
    routing = Routing()

    def parse(self, fields):
        return None

    def successor(self, state):
        return state.on_success

    def run(self, state, context):
        deep = []
        for _ in range(5000):
            deep = [deep]
        return StepResult(status="completed", json=deep)

@hookimpl
def awf_register_step_types(register):
    register(Deep())
"""


def test_an_output_nested_too_deep_to_be_shown_does_not_make_a_finished_workflow_run_again(
    project: Project, work: Work, plugin: Callable[[str], None]
) -> None:
    plugin(DEEP_STEP)
    project.mq(retry={"initial_delay": "10ms"})
    project.workflow_text("deep", DEEP_WORKFLOW.replace("MARKS", str(project.marks)))
    project.put({"id": "m", "workflow": "deep", "reply_to": "results"})

    served = work()

    (result,) = project.results()
    assert (project.starts(), result["status"], result["attempt"]) == (1, "completed", 1)
    assert result["outputs"] == {"deep": "[cut by awf: nested too deep]", "flat": 0}
    assert served.exit_code == 0


SMALL_BROKER = """
from awf_core.errors import BodyTooLarge

def refused(replies):
    return any(len(reply.body) > 2000 for reply in replies)

def small(items, replies_of):
    answers = [BodyTooLarge("broker: body over 2000 bytes") if refused(replies_of(item)) else None for item in items]
    # The backend below is asked only for what this broker would take.
    items[:] = [item for item, answer in zip(items, answers) if answer is None]
    below = iter((yield))
    return [next(below) if answer is None else answer for answer in answers]

@hookimpl(wrapper=True)
def awf_mq_ack(acks):
    return (yield from small(acks, lambda ack: ack.replies))

@hookimpl(wrapper=True)
def awf_mq_publish(messages):
    return (yield from small(messages, lambda message: [message]))
"""


def test_a_result_that_is_too_large_for_every_queue_is_stored_shortened_and_the_run_is_not_repeated(
    project: Project, work: Work, plugin: Callable[[str], None]
) -> None:
    plugin(SMALL_BROKER)
    project.mq(concurrency=1)
    project.workflow("loud", f"echo x >> {project.marks}/starts; head -c 5000 /dev/zero | tr '\\0' x")
    project.put({"id": "m", "workflow": "loud", "reply_to": "results", "metadata": {"tenant": "t" * 3000}})

    served = work()

    (kept,) = project.results("awf-undeliverable")
    assert (kept["message_id"], kept["status"], kept["exit_code"]) == ("m", "completed", 0)
    assert "cut by awf" in kept["output"]
    assert (project.starts(), project.count(), project.count("results")) == (1, 0, 0)
    assert served.lines("message.settled", settlement="ack")


def test_a_retry_delay_over_the_brokers_limit_is_cut_to_that_limit(project: Project, work: Work) -> None:
    project.mq(retry={"initial_delay": "8000d", "max_delay": "8000d", "jitter": 0, "max_age": None})
    project.workflow("fails", "exit 1")
    project.put({"id": "m", "workflow": "fails"})

    served = work(burst=False, max_messages=1)

    (settled,) = served.lines("message.settled", settlement="nack")
    assert settled["delay_s"] == 10 * 365 * 86_400.0
    assert served.exit_code == 0


@pytest.mark.parametrize("key", ["dead_letter", "undeliverable"])
def test_a_worker_does_not_consume_its_own_dead_letter_queue(project: Project, work: Work, key: str) -> None:
    project.mq(**{key: {"queue": "morgue"}})

    with pytest.raises(ConfigError) as refused:
        work(queues=("awf-workflows", "morgue"))

    assert f"mq.{key}.queue is 'morgue', a queue this worker consumes" in refused.value.message
    assert refused.value.hint is not None
    assert f"mq.{key}.queue" in refused.value.hint


def test_a_worker_of_another_queue_writes_no_result_into_the_configured_one(project: Project, work: Work) -> None:
    project.workflow("hello")
    project.put({"id": "m", "workflow": "hello", "reply_to": "awf-workflows"}, queue="jobs")

    work(queues=("jobs",))

    assert project.count("awf-workflows") == 0
    assert [kept["message_id"] for kept in project.results("awf-undeliverable")] == ["m"]


def test_a_result_for_a_private_reply_queue_that_expired_is_stored(project: Project, work: Work) -> None:
    project.workflow("hello", f"echo x >> {project.marks}/starts")
    project.put({"id": "m", "workflow": "hello", "reply_to": reply_queue_name(1_700_000_000_000, 1)})

    served = work()

    assert [kept["message_id"] for kept in project.results("awf-undeliverable")] == ["m"]
    assert project.starts() == 1
    (line,) = served.lines("reply.undeliverable")
    assert re.search(r"the private reply queue '[^']+' expired \d+h\S* ago", line["error"])
