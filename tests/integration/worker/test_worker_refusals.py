"""Well-formed messages that can't be run: names, unknown workflows, inputs. What becomes of each, and of its reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from queue_project import Project

    from .conftest import Work


AGELESS = """
from dataclasses import replace
from awf_core import hookimpl

@hookimpl(wrapper=True)
def awf_mq_consume():
    return [replace(delivery, age_s=None) for delivery in (yield)]
"""
NAMES = (
    "../secret",
    "/etc/passwd",
    "a/../../b",
    "..",
    ".hidden",
    "hello\\x",
    "hello\nworld",
    "x" * 300,
    "a/b/c",
    "hello.yaml",
    "hello.yaml.yaml",
    "demo/hello.yaml",
)


def test_a_name_that_could_leave_the_workflow_directories_is_never_resolved(project: Project, work: Work) -> None:
    for place in (project.awf, project.directory):
        (place / "secret.yaml").write_text("states: {initial: a, a: {type: step, command: touch ran}}")
    project.mq(concurrency=1)
    project.put(*({"workflow": name, "reply_to": "results"} for name in NAMES))

    served = work()

    for name, dead, result in zip(NAMES, project.dead_messages(), project.results(), strict=True):
        assert dead["reason"] == "invalid_workflow_name", name
        assert dead["error"].startswith(("invalid workflow name", "workflow name", "pack name")), name
        assert (result["status"], result["exit_code"]) == ("rejected", 2), name
        assert result["error"]["code"] == "USER.FACADE.IDENTIFIER_MALFORMED", name
    assert served.lines("run.finished") == []
    assert not (project.directory / "ran").exists()


def test_an_unknown_workflow_is_deferred_uncounted_and_not_answered_yet(project: Project, work: Work) -> None:
    project.mq(retry={"defer_unknown": "10m"})
    project.put({"id": "m", "workflow": "helo", "reply_to": "results"})

    served = work(burst=False, max_messages=1)

    row = project.row()
    assert row is not None
    assert (row["attempt"], row["deliveries"], row["crashes"]) == (1, 1, None)
    (settled,) = served.lines("message.settled")
    assert settled["settlement"] == "nack"
    assert settled["reason"] == "unknown_workflow"
    assert settled["counted"] is False
    assert 0 < settled["delay_s"] <= 10
    assert project.results() == project.dead_messages() == []
    assert served.exit_code == 0


def test_an_unknown_workflow_is_deferred_no_longer_where_the_broker_does_not_know_the_age_of_a_message(
    project: Project, work: Work, plugin: Callable[[str], None]
) -> None:
    plugin(AGELESS)
    project.mq(retry={"defer_unknown": "1s"})
    project.put({"id": "m", "workflow": "helo", "reply_to": "results"})

    served = work(burst=False, max_messages=2)

    (dead,), (result,) = project.dead_messages(), project.results()
    assert [line["settlement"] for line in served.lines("message.settled")] == ["nack", "dead_letter"]
    assert (dead["reason"], result["status"]) == ("unknown_workflow", "rejected")
    deferral, rejection = dead["history"]
    assert deferral == {"attempt": 1, "reason": "unknown_workflow", "deferred_s": 1.0}
    assert rejection["reason"] == "unknown_workflow"


def test_burst_does_not_defer_an_unknown_workflow(project: Project, work: Work) -> None:
    project.workflow("hello")
    project.put({"id": "m", "workflow": "helo", "reply_to": "results"})

    served = work()

    (dead,), (result,) = project.dead_messages(), project.results()
    assert dead["reason"] == "unknown_workflow"
    assert dead["error"] == "workflow not found: helo"
    assert (result["status"], result["exit_code"]) == ("rejected", 1)
    assert result["error"]["code"] == "USER.FACADE.WORKFLOW_NOT_FOUND"
    assert served.exit_code == 3


def test_a_workflow_that_does_not_load_is_a_permanent_failure(project: Project, work: Work) -> None:
    project.workflow_text("broken", "name: broken\nstates: {initial: nowhere}\n")
    project.put({"workflow": "broken", "reply_to": "results"})

    work()

    (dead,), (result,) = project.dead_messages(), project.results()
    assert dead["reason"] == "invalid_workflow"
    assert dead["attempt"] == 1
    assert result["status"] == "rejected"
    assert result["exit_code"] == 2
    assert "nowhere" in result["error"]["message"]


INPUTS = [{"name": "age", "type": "integer", "required": True, "validation": {"min": 1}}, {"name": "PATH"}]

REFUSED = {
    "missing": ({}, "age"),
    "of a wrong type": ({"age": "old"}, "age"),
    "out of range": ({"age": 0}, "age"),
    "undeclared": ({"age": 3, "colour": "red"}, 'inputs.colour: not declared by workflow "person"'),
    "PATH, though declared": (
        {"age": 3, "PATH": "/tmp"},
        "inputs.PATH: would change an environment variable that programs take orders from",
    ),
    "LD_PRELOAD": (
        {"age": 3, "LD_PRELOAD": "/tmp/x.so"},
        "inputs.LD_PRELOAD: would change an environment variable that programs take orders from",
    ),
    "BASH_ENV": (
        {"age": 3, "BASH_ENV": "/tmp/x"},
        "inputs.BASH_ENV: would change an environment variable that programs take orders from",
    ),
    "AWF_X": ({"age": 3, "AWF_X": "1"}, "inputs.AWF_X: would change an environment variable"),
    "a name no environment holds": ({"age": 3, "a=b": "1"}, 'inputs."a=b": not a name that steps can have'),
}


def test_inputs_that_are_refused_make_a_dead_letter_and_a_result_and_nothing_runs(project: Project, work: Work) -> None:
    project.mq(concurrency=1)
    project.workflow("person", f"echo x >> {project.marks}/starts", inputs=INPUTS)
    project.put(*({"workflow": "person", "inputs": inputs, "reply_to": "results"} for inputs, _ in REFUSED.values()))

    work()

    for (case, (_, text)), dead, result in zip(
        REFUSED.items(), project.dead_messages(), project.results(), strict=True
    ):
        assert dead["reason"] == "invalid_inputs", case
        assert text in dead["error"], case
        assert (result["status"], result["exit_code"]) == ("rejected", 1), case
        assert result["error"]["code"].startswith("USER.INPUT."), case
        assert text in result["error"]["message"], case
        assert result["dead_lettered"] is True, case
    assert project.starts() == 0


def test_an_input_that_names_a_prompt_file_stays_the_text_it_is(project: Project, work: Work) -> None:
    (project.awf / "prompts").mkdir()
    (project.awf / "prompts" / "x.md").write_text("secret of the worker")
    project.workflow("say", "echo {{escape .inputs.text}}", inputs=[{"name": "text"}])
    project.put({"workflow": "say", "inputs": {"text": "@prompts/x.md"}, "reply_to": "results"})

    work()

    assert project.results()[0]["output"] == "@prompts/x.md\n"


def test_an_input_with_a_zero_byte_ends_in_one_settlement_and_takes_nothing_down(project: Project, work: Work) -> None:
    project.mq(retry={"max_attempts": 1})
    project.workflow("say", "echo said", inputs=[{"name": "text"}])
    project.put(
        {"id": "nul", "workflow": "say", "inputs": {"text": "a\0b"}, "reply_to": "results"},
        {"id": "n\0ul", "workflow": "say", "inputs": {"text": "a"}, "reply_to": "results"},
        {"id": "good", "workflow": "say", "inputs": {"text": "a"}, "reply_to": "results"},
    )

    served = work()

    by_id = {result["message_id"]: result for result in project.results()}
    assert by_id["good"]["status"] == by_id["n\0ul"]["status"] == "completed"
    assert set(by_id) == {"good", "nul", "n\0ul"}
    assert len(served.lines("message.settled")) == 3
    assert project.count() == 0


def test_inputs_of_a_message_keep_their_json_types_and_go_over_those_of_the_project(
    project: Project, work: Work
) -> None:
    project.config("inputs: {env: staging, size: 1}\n")
    names = [{"name": "env"}, {"name": "size", "type": "integer"}, {"name": "deep", "type": "boolean"}]
    project.workflow("show", "echo {{.inputs.env}} {{.inputs.size}} {{.inputs.deep}}", inputs=names)
    project.put({"workflow": "show", "inputs": {"size": 3, "deep": True}, "reply_to": "results"})

    work()

    assert project.results()[0]["output"] == "staging 3 true\n"


def test_a_result_is_never_run_and_never_answered(project: Project, work: Work) -> None:
    project.workflow("wipe", "touch ran")
    project.mq(concurrency=1)
    result = {"message_id": "m", "workflow": "wipe", "status": "rejected", "reply_to": "results"}
    project.put(result, {"type": "awf.result", "workflow": "wipe", "reply_to": "results"}, {"workflow": "absent"})

    work()

    reasons = [(dead["reason"], dead["error"][:17]) for dead in project.dead_messages()]
    assert reasons == [
        ("malformed", "body is a result "),
        ("malformed", "body is a result "),
        (
            "unknown_workflow",
            "workflow not foun",
        ),
    ]
    assert not (project.directory / "ran").exists()
    assert project.results() == []


def test_a_second_spelling_of_a_name_does_not_avoid_the_policy_of_the_first(project: Project, work: Work) -> None:
    project.workflow("slow", "sleep 30")
    project.mq(workflows={"slow": {"max_run": "200ms", "retry": {"max_attempts": 1}}})
    project.put(*({"workflow": name} for name in ("slow", "slow.yaml", "slow.yaml.yaml", "./slow", "slow/")))

    work()

    reasons = sorted(dead["reason"] for dead in project.dead_messages())
    assert reasons == ["invalid_workflow_name"] * 4 + ["max_attempts"]
