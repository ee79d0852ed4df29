"""Which executor runs a workflow: what the configuration says, for `awf run` and for a worker."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from original_awf import OriginalAwf
from queue_project import QUEUE, Project

from awf_core.cli.run_flow import Refused, RunRequest, run_here
from awf_core.config.load import load_config
from awf_core.engine.run.events import NoEvents
from awf_core.errors import ConfigError
from awf_core.extensions.deadline import Cancel
from awf_core.worker.build import WorkerOptions, build_worker

if TYPE_CHECKING:
    from pathlib import Path

    from awf_core.extensions.results import Run

ANSWER = {"a": {"Status": "completed", "Output": "from the original\n", "ExitCode": 0}}
UNLOADABLE = "name: plug\nstates: {initial: a, a: {type: database.query, config: {}}}\n"


@pytest.fixture
def original(tmp_path: Path) -> OriginalAwf:
    original = OriginalAwf(tmp_path / "original")
    original.plans("plug", states=ANSWER)
    original.plans("greet", states=ANSWER)
    return original


@pytest.fixture
def project(tmp_path: Path) -> Project:
    directory = tmp_path / "project"
    directory.mkdir()
    project = Project(directory).make_queue()
    project.workflow("greet", "echo from here")
    project.workflow_text("plug", UNLOADABLE)
    return project


def env_of(project: Project, **more: str) -> dict[str, str]:
    return {**os.environ, "XDG_DATA_HOME": str(project.directory / "data"), **more}


def run(project: Project, name: str, *pairs: str, **env: str) -> Run:
    asked = RunRequest(name=name, pairs=pairs)
    how: dict[str, Any] = {"cwd": project.directory, "env": env_of(project, **env), "cancel": Cancel()}
    return run_here(asked, events=NoEvents(), warn=lambda _: None, **how)


def serve(project: Project, *messages: dict[str, Any], **env: str) -> int:
    project.put(*messages)
    environment = env_of(project, **env)
    config = load_config(cwd=project.directory, env=environment)
    options = WorkerOptions(queues=[QUEUE], name="tester", burst=True)
    worker, _ = build_worker(config, options, cwd=project.directory, env=environment)
    return worker.serve()


def config(project: Project, original: OriginalAwf, **more: object) -> None:
    project.config(json.dumps({"executor_path": str(original.path), **more}))


def output_of(result: Run) -> str:
    return result.output


@pytest.mark.parametrize(
    ("more", "output"),
    [
        ({}, "from here\n"),
        ({"executor": "builtin"}, "from here\n"),
        ({"executor": "awf-cli"}, "from the original\n"),
        ({"mq": {"workflows": {"greet": {"executor": "awf-cli"}}}}, "from the original\n"),
        ({"mq": {"workflows": {"gr*": {"executor": "awf-cli"}}}}, "from the original\n"),
        ({"mq": {"workflows": {"gr*": {"executor": "awf-cli"}, "greet": {"executor": "builtin"}}}}, "from here\n"),
        ({"executor": "awf-cli", "mq": {"workflows": {"greet": {"executor": "builtin"}}}}, "from here\n"),
        ({"mq": {"workflows": {"other": {"executor": "awf-cli"}}}}, "from here\n"),
        ({"executor": "awf-cli", "mq": {"workflows": {"greet": {"max_run": "1m"}}}}, "from the original\n"),
    ],
)
def test_the_rule_of_the_workflow_beats_that_of_all_for_the_command_and_for_the_worker(
    project: Project, original: OriginalAwf, more: dict[str, object], output: str
) -> None:
    config(project, original, **more)

    by_command = run(project, "greet")
    code = serve(project, {"workflow": "greet", "reply_to": "results"})

    (result,) = project.results()
    assert (by_command.output, by_command.status) == (output, "completed")
    assert (code, result["output"], result["status"]) == (0, output, "completed")


def test_a_workflow_that_does_not_load_here_runs_there(project: Project, original: OriginalAwf) -> None:
    config(project, original, mq={"workflows": {"plug": {"executor": "awf-cli"}}})

    code = serve(project, {"workflow": "plug", "inputs": {"n": 5}, "id": "m-1", "reply_to": "results"})

    (call,) = original.calls
    assert code == 0
    assert (call["inputs"], call["env"]["AWF_MESSAGE_ID"], call["env"]["AWF_ATTEMPT"]) == ({"n": "5"}, "m-1", "1")
    assert project.results()[0]["run_id"] is not None


def test_the_projects_inputs_are_passed_on_below_those_of_the_message(project: Project, original: OriginalAwf) -> None:
    config(project, original, executor="awf-cli", inputs={"region": "eu", "size": "s"})

    serve(project, {"workflow": "plug", "inputs": {"size": "xl"}})
    run(project, "plug", "size=m")

    assert [call["inputs"] for call in original.calls] == [
        {"region": "eu", "size": "xl"},
        {"region": "eu", "size": "m"},
    ]


@pytest.mark.parametrize(
    ("command", "value", "is_refused"),
    [
        ("echo {{.inputs.x}}", "a; touch y", True),
        ("echo {{.inputs.x}}", "word", False),
        ("echo '{{.inputs.x}}'", "a; touch y", False),
        ("echo '{{.inputs.x}}'", ["it's"], True),
        ("echo {{escape .inputs.x}}", "a; touch y", False),
        # The original's escape leaves these bare.
        ("echo {{escape .inputs.x}}", "#a", True),
        ("echo {{printf (print .states.a.Output) .inputs.x}}", "a; touch y", True),
        ("echo {{printf (print .states.a.Output) .inputs.x}}", "word", False),
    ],
)
def test_an_executor_gets_no_input_that_a_command_would_insert_as_syntax(
    project: Project, original: OriginalAwf, command: str, value: object, *, is_refused: bool
) -> None:
    config(project, original, executor="awf-cli")
    project.workflow("greet", command, inputs=[{"name": "x"}])

    code = serve(project, {"workflow": "greet", "inputs": {"x": value}})

    assert (code, len(original.calls)) == ((3, 0) if is_refused else (0, 1))
    assert [dead["reason"] for dead in project.dead_messages()] == ["unsafe_input"] * is_refused


@pytest.mark.parametrize(("command", "is_refused"), [("echo {{.env.AWF_MESSAGE_ID}}", True), ("echo fixed", False)])
def test_an_executor_gets_no_id_of_a_message_that_a_command_would_insert_as_syntax(
    project: Project, original: OriginalAwf, command: str, *, is_refused: bool
) -> None:
    config(project, original, executor="awf-cli")
    project.workflow("greet", command)

    serve(project, {"workflow": "greet", "id": "a; touch y"})

    assert len(original.calls) == (not is_refused)
    assert [dead["reason"] for dead in project.dead_messages()] == ["unsafe_input"] * is_refused


@pytest.mark.parametrize("mq", [{"unsafe_inputs": "allow"}, {}])
def test_an_executor_gets_any_input_where_that_is_allowed(
    project: Project, original: OriginalAwf, mq: dict[str, object]
) -> None:
    config(project, original, executor="awf-cli", mq=mq)
    more = {} if mq else {"unsafe_inputs": "allow"}
    project.workflow("greet", "echo {{.inputs.x}}", inputs=[{"name": "x"}], **more)

    assert serve(project, {"workflow": "greet", "inputs": {"x": "a; b"}}) == 0
    assert original.calls[0]["inputs"] == {"x": "a; b"}


def test_an_executor_gets_the_environment_of_steps_and_a_posix_shell(project: Project, original: OriginalAwf) -> None:
    config(project, original, executor="awf-cli", mq={"env": {"pass": ["GREETING"]}})

    serve(project, {"workflow": "greet"}, GREETING="yes", OTHER="no", AWF_MQ_CONCURRENCY="2", SHELL="/usr/bin/fish")

    env = original.calls[0]["env"]
    assert (env["GREETING"], env["SHELL"]) == ("yes", "/bin/sh")
    assert "XDG_DATA_HOME" in env
    assert not {"OTHER", "AWF_MQ_CONCURRENCY"} & set(env)


def test_a_failure_there_is_retried_and_dead_lettered_as_any_other(project: Project, original: OriginalAwf) -> None:
    original.plans("plug", error="step a: boom", exit_code=3)
    config(project, original, executor="awf-cli", mq={"retry": {"max_attempts": 2, "initial_delay": "10ms"}})

    code = serve(project, {"workflow": "plug", "reply_to": "results"})

    (result,) = project.results()
    assert (code, len(original.calls)) == (3, 2)
    assert (result["status"], result["error"]["message"], result["attempt"]) == ("failed", "step a: boom", 2)


def test_inputs_that_the_tool_refuses_are_not_tried_again(project: Project, original: OriginalAwf) -> None:
    original.plans("plug", error="invalid", code="USER.INPUT.VALIDATION_FAILED", exit_code=1)
    config(project, original, executor="awf-cli")

    serve(project, {"workflow": "plug", "reply_to": "results"})

    (result,) = project.results()
    assert len(original.calls) == 1
    assert (result["error"]["code"], result["dead_lettered"]) == ("USER.INPUT.VALIDATION_FAILED", True)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"workflow": "plug", "inputs": {"LD_PRELOAD": "/x"}}, "inputs.LD_PRELOAD: would change an environment"),
        ({"workflow": "plug", "inputs": {"x": "@prompts/x"}}, "inputs.x: the original tool would put the file"),
        ({"workflow": "../plug"}, 'invalid name ".."'),
        ({"workflow": "unknown"}, "not found"),
    ],
)
def test_what_an_untrusted_producer_may_not_ask_for_never_reaches_the_tool(
    project: Project, original: OriginalAwf, message: dict[str, Any], said: str
) -> None:
    config(project, original, executor="awf-cli")

    serve(project, {**message, "reply_to": "results"})

    (result,) = project.results()
    assert said in result["error"]["message"]
    assert original.calls == []


@pytest.mark.parametrize("more", [{"executor": "nope"}, {"mq": {"workflows": {"x": {"executor": "nope"}}}}])
def test_an_unknown_executor_keeps_a_worker_from_starting(
    project: Project, original: OriginalAwf, more: dict[str, object]
) -> None:
    config(project, original, **more)

    with pytest.raises(ConfigError) as caught:
        serve(project)

    key = "executor" if "executor" in more else "mq.workflows.x.executor"
    assert caught.value.message == f"{key}: unknown executor 'nope'. (allowed: awf-cli, builtin)"


def test_an_executor_that_can_not_run_keeps_a_worker_from_starting(project: Project) -> None:
    project.config(json.dumps({"executor": "awf-cli"}))

    with pytest.raises(ConfigError, match="no `awf` of the original tool on PATH"):
        serve(project, PATH="/usr/bin:/bin")


def test_the_command_says_where_an_unknown_executor_was_named(project: Project, original: OriginalAwf) -> None:
    config(project, original, executor="nope")

    with pytest.raises(Refused) as caught:
        run(project, "greet")

    assert caught.value.phase == "config"
    assert caught.value.error.message.startswith(".awf/config.yaml:1: executor: unknown executor 'nope'.")


def test_an_executor_that_is_no_text_is_refused_with_its_line(project: Project) -> None:
    project.config("executor: [awf-cli]\n")

    with pytest.raises(Refused) as caught:
        run(project, "greet")

    assert (
        caught.value.error.message == ".awf/config.yaml:1: executor: ['awf-cli'] is not a text (put quotes around it)"
    )


def test_the_tool_does_not_start_itself_through_us(project: Project, original: OriginalAwf) -> None:
    config(project, original, executor="awf-cli")

    with pytest.raises(Refused) as caught:
        run(project, "greet", AWF_INSIDE_AWF_CLI="1")

    assert "call each other without end" in caught.value.error.message


def test_a_run_of_the_tool_is_kept_with_the_other_records(project: Project, original: OriginalAwf) -> None:
    config(project, original, executor="awf-cli")

    ran = run(project, "greet")

    assert (project.directory / f"data/awf/states/{ran.run_id}.json").exists()
