"""What is published to `reply_to`: its shape, what comes back with it, and what is cut."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema

from awf_core.cli.schema import MESSAGE, RESULT

if TYPE_CHECKING:
    from queue_project import Project

    from .conftest import Work

KEYS = [
    "type", "id", "message_id", "workflow", "status", "exit_code", "output", "outputs", "error", "attempt", "dead_lettered",
    "run_id", "started_at", "finished_at", "duration_ms", "worker", "metadata",
]  # fmt: skip


def test_a_result_has_exactly_the_documented_keys_in_their_order(project: Project, work: Work) -> None:
    project.workflow("hello", "echo Hello")
    project.workflow("fails", "echo no >&2; exit 3")
    project.mq(retry={"max_attempts": 1})
    project.put(
        {"id": "m-1", "workflow": "hello", "reply_to": "results"},
        {"id": "m-2", "workflow": "fails", "reply_to": "results"},
        {"id": "m-3", "workflow": "absent", "reply_to": "results"},
    )

    work()

    results = {result["message_id"]: result for result in project.results()}
    assert [list(result) for result in results.values()] == [KEYS] * 3
    good, failed, rejected = results["m-1"], results["m-2"], results["m-3"]
    assert good["workflow"] == "hello"
    assert (good["status"], good["exit_code"], good["output"], good["outputs"]) == ("completed", 0, "Hello\n", {})
    assert (good["error"], good["attempt"], good["dead_lettered"], good["worker"]) == (None, 1, False, "tester")
    assert good["metadata"] == {}
    assert good["duration_ms"] >= 0
    assert good["started_at"] <= good["finished_at"]
    assert good["started_at"].endswith("Z")
    assert len({result["id"] for result in results.values()} | {good["run_id"]}) == 4
    assert (failed["status"], failed["exit_code"], failed["dead_lettered"]) == ("failed", 3, True)
    assert failed["error"]["message"].strip() == "no"
    assert failed["run_id"] is not None
    assert (rejected["status"], rejected["run_id"], rejected["duration_ms"]) == ("rejected", None, 0)


def test_the_published_schemas_describe_real_messages_and_results(project: Project, work: Work) -> None:
    project.workflow("hello", "echo Hello")
    messages = [
        {"workflow": "hello", "reply_to": "results"},
        {"id": "m", "workflow": "absent", "inputs": {"a": 1}, "metadata": {"b": [1]}, "reply_to": "results", "x": 1},
        {"id": None, "workflow": "hello", "inputs": None, "metadata": None, "schema": 1, "reply_to": "results"},
    ]
    project.put(*messages, {"reply_to": "results"})

    work()

    for message in messages:
        jsonschema.validate(message, MESSAGE)
    assert not jsonschema.Draft202012Validator(MESSAGE).is_valid({"reply_to": "results"})
    assert len(project.results()) == 4
    for result in project.results():
        jsonschema.validate(result, RESULT, format_checker=jsonschema.FormatChecker())


def test_metadata_comes_back_as_it_was_sent(project: Project, work: Work) -> None:
    metadata = {"tenant": 7, "deep": {"list": [1, None, "é"]}, "": False}
    project.workflow("hello")
    project.put({"workflow": "hello", "reply_to": "results", "metadata": metadata})

    work()

    assert project.results()[0]["metadata"] == metadata


def test_the_correlation_id_is_the_property_else_the_metadatas_else_the_message_id(
    project: Project, work: Work
) -> None:
    project.workflow("hello")
    body = {"id": "m", "workflow": "hello", "reply_to": "results", "metadata": {"correlation_id": "from-metadata"}}
    insert = "INSERT INTO message(queue, body, correlation_id) VALUES ('awf-workflows', ?, ?)"
    project.sql(insert, json.dumps(body), "from-property")
    project.sql(insert, json.dumps(body), None)
    project.sql(insert, json.dumps({**body, "metadata": {}}), None)

    work()

    rows = project.sql("SELECT correlation_id FROM message WHERE queue = 'results' ORDER BY id")
    assert sorted(rows) == [("from-metadata",), ("from-property",), ("m",)]


def test_a_message_without_an_id_takes_the_brokers_and_an_id_in_the_body_beats_it(project: Project, work: Work) -> None:
    project.workflow("hello")
    insert = "INSERT INTO message(queue, body, message_id, reply_to) VALUES ('awf-workflows', ?, 'broker', ?)"
    project.sql(insert, json.dumps({"workflow": "hello"}), "a")
    project.sql(insert, json.dumps({"workflow": "hello", "id": "body", "reply_to": "b"}), "a")
    project.put({"workflow": "hello", "reply_to": "c"})

    work()

    assert [result["message_id"] for result in project.results("a")] == ["broker"]
    assert [result["message_id"] for result in project.results("b")] == ["body"]
    assert len(project.results("c")[0]["message_id"]) > 5


def test_output_is_the_last_states_and_outputs_are_what_the_workflow_names(project: Project, work: Work) -> None:
    project.workflow_text(
        "two",
        """
name: two
states:
  initial: first
  first: {type: step, command: "echo one", on_success: second}
  second: {type: step, command: "echo two", on_success: done}
  done: {type: terminal}
outputs:
  - {name: a, from: states.first.Output}
  - {name: b, from: states.second.Output}
""",
    )
    project.put({"workflow": "two", "reply_to": "results"})

    work()

    (result,) = project.results()
    assert result["output"] == "two\n"
    assert {name: value.strip() for name, value in result["outputs"].items()} == {"a": "one", "b": "two"}


def test_outputs_over_the_configured_size_are_cut_and_say_so(project: Project, work: Work) -> None:
    project.mq(result={"max_output_bytes": 10})
    project.workflow("long", "printf 'é%.0s' 1 2 3 4 5 6 7 8", outputs=[{"name": "o", "from": "states.work.Output"}])
    project.put({"workflow": "long", "reply_to": "results"})

    work()

    (result,) = project.results()
    assert result["output"] == "éé\n[cut by awf: 8 of 16 bytes left out]\néé"
    assert result["outputs"]["o"] == "éé\n[cut by awf: 8 of 16 bytes left out]\néé"


def test_steps_see_the_message_the_run_and_the_attempt(project: Project, work: Work) -> None:
    project.workflow("show", "echo $AWF_MESSAGE_ID $AWF_RUN_ID $AWF_ATTEMPT")
    project.put({"id": "m-1", "workflow": "show", "reply_to": "results"})

    work()

    (result,) = project.results()
    assert result["output"] == f"m-1 {result['run_id']} 1\n"


def test_output_that_is_no_utf8_still_makes_a_result_of_valid_utf8(project: Project, work: Work) -> None:
    project.workflow("bytes", r"printf '\377\000ok'")
    project.put({"workflow": "bytes", "reply_to": "results"})

    work()

    assert project.results()[0]["output"].endswith("ok")


def test_a_message_that_asks_for_no_reply_gets_none(project: Project, work: Work) -> None:
    project.workflow("hello")
    project.put({"workflow": "hello"}, {"workflow": "hello", "reply_to": None}, {"workflow": "hello", "reply_to": ""})

    served = work()

    assert project.sql("SELECT COUNT(*) FROM message") == [(0,)]
    assert len(served.lines("message.settled", settlement="ack")) == 3


def test_a_message_makes_three_lines_at_info_and_its_steps_show_at_debug_only(project: Project, work: Work) -> None:
    project.workflow("hello", "echo Hello")
    project.put({"id": "m-1", "workflow": "hello", "reply_to": "results"})

    served = work()

    story = [line for line in served.log if line.get("message_id") == "m-1"]
    assert [line["event"] for line in story] == ["message.claimed", "run.finished", "message.settled"]
    claimed, finished, settled = story
    assert (claimed["workflow"], claimed["queue"], claimed["attempt"]) == ("hello", "awf-workflows", 1)
    assert claimed["deliveries"] == 1
    assert (finished["status"], finished["exit_code"], finished["workflow"]) == ("completed", 0, "hello")
    assert finished["run_id"] == project.results()[0]["run_id"]
    assert settled["settlement"] == "ack"
    assert len(served.lines("worker.ready")) == 1
    assert served.lines("step.started") == []
    project.put({"workflow": "hello"})
    assert len(work(level="debug").lines("step.started", state="work")) == 1


def test_the_first_line_names_the_worker_its_queue_and_its_rules(project: Project, work: Work) -> None:
    config = project.mq(concurrency=2, grace="7s")

    served = work(queues=("one", "two"))

    started = served.log[0]
    assert started["event"] == "worker.started"
    assert started["address"] == str(project.queue_file)
    assert started["backend"] == "sqlite"
    assert started["queues"] == ["one", "two"]
    assert (started["concurrency"], started["grace"], started["config"]) == (2, "7s", str(config))
    assert served.log[-1]["event"] == "worker.stopped"
    assert served.log[-1]["exit_code"] == served.exit_code == 0
