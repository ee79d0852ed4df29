"""`awf run --dry-run`: the plan says what a run would do, and nothing is done."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from awf_core.cli.dry_run import plan_lines
from awf_core.cli.run import error_of
from awf_core.cli.run_flow import Refused, RunRequest, plan_here, run_here
from awf_core.cli.run_report import RunReport
from awf_core.extensions.deadline import Cancel

AWF = Path(sys.executable).with_name("awf")
DEPLOY = """
name: deploy
inputs:
  - {name: stage, required: true, validation: {enum: [test, prod]}}
  - {name: count, type: integer, default: 2}
  - {name: TOKEN, default: s3cr3t}
hooks:
  workflow_start: [{command: "touch ran-hook; echo {{.inputs.stage}} {{.inputs.TOKEN}}"}]
  workflow_error: [{log: "{{.error.Message}}"}]
states:
  initial: build
  build:
    type: step
    command: "touch ran-command; make STAGE={{.inputs.stage}} KEY={{.inputs.TOKEN}} N={{.inputs.count}}"
    dir: "{{.context.WorkingDir}}/src"
    timeout: 90
    retry: {max_attempts: 3}
    hooks: {pre: [{command: "touch ran-hook {{.workflow.Name}}"}]}
    on_success: check
    on_failure: {message: "build of {{.inputs.stage}} failed", status: 4}
  check:
    type: step
    command: "test '{{.states.build.Output}}' = {{.inputs.stage}}"
    transitions:
      - {when: "inputs.stage == 'prod'", goto: approve}
      - {when: "states.build.ExitCode == 0", goto: each}
      - {goto: done}
  approve: {type: agent, provider: claude, prompt: "{{.inputs.stage}}?", on_success: after}
  after: {type: step, command: "true", on_success: done}
  each: {type: for_each, items: "a,b", max_iterations: "{{.inputs.count}}", body: [push], on_complete: both}
  push: {type: step, command: "push {{.loop.Item}} to {{.inputs.stage}}", on_success: each}
  both: {type: parallel, parallel: [left, right], on_success: done}
  left: {type: step, command: "{{if .states.build.Output}}echo {{.inputs.stage}}{{end}}", on_success: nowhere}
  right: {type: while, while: "inputs.count > 5", body: [never], on_complete: done}
  never: {type: step, command: x, on_success: right}
  nowhere: {type: step, command: x, on_success: done}
  orphan: {type: step, command: x, on_success: done}
  done: {type: terminal, message: "{{.inputs.stage}} is done"}
"""


class Place:
    """A project's directory and a home of its own."""

    def __init__(self, root: Path) -> None:
        self.work, self.home = root / "work", root / "home"
        self.home.mkdir()
        self.env = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "USER": "tester", "LANG": "C.UTF-8"}
        self.write("deploy", DEPLOY)

    def write(self, name: str, text: str, folder: str = "workflows") -> None:
        path = self.work / ".awf" / folder / (f"{name}.yaml" if "." not in name else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def states(self, name: str, states: str, *inputs: str) -> dict[str, Any]:
        """The plan of a workflow of these states."""
        self.write(name, f"name: {name}\nstates:\n  initial: a\n  {states.strip()}\n  done: {{type: terminal}}\n")
        return self.plan(name, *inputs)

    def plan(self, name: str, *inputs: str) -> dict[str, Any]:
        plan = plan_here(RunRequest(name=name, pairs=inputs), cwd=self.work, env=self.env, warn=lambda _: None)
        assert list(plan_lines(plan))
        shown: dict[str, Any] = json.loads(json.dumps(plan.as_json()))
        return shown

    def awf(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [AWF, "run", "--dry-run", *arguments],
            cwd=self.work, env=self.env, capture_output=True, text=True, timeout=60, input="",
        )  # fmt: skip

    def run(self, name: str, *inputs: str) -> tuple[int, str]:
        """The exit code and the error of a real run."""
        request, cancel = RunRequest(name=name, pairs=inputs), Cancel()
        events = RunReport("silent", cancel)
        try:
            run = run_here(request, cwd=self.work, env=self.env, cancel=cancel, events=events, warn=lambda _: None)
        except Refused as refused:
            return refused.exit_code, refused.error.message
        assert run.error is not None
        return run.exit_code, run.error.message

    def files(self) -> set[str]:
        return {str(path.relative_to(self.work.parent)) for path in self.work.parent.rglob("*")}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def by_name(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {state["name"]: state for state in plan["states"]}


def test_the_command_prints_the_plan_as_text_and_runs_and_writes_nothing(place: Place) -> None:
    before = place.files()

    process = place.awf("deploy", "--input", "stage=test")

    assert (process.returncode, process.stderr) == (0, "")
    for line in (
        "Dry run: nothing is executed, nothing is written.",
        "  stage = test",
        "  TOKEN = ***",
        "  command: touch ran-hook; echo test ***",
        "  1. build (step)",
        "     command: touch ran-command; make STAGE=test KEY=*** N=2",
        f"     dir: {place.work}/src",
        "     hook pre: command: touch ran-hook deploy",
        "     time limit 1m30s, up to 3 attempts",
        "     on failure -> __inline_error_build",
        "     message: build of test failed",
        "     command: test '{{.states.build.Output}}' = test   (the rest is known when the run gets there)",
        "     when states.build.ExitCode == 0 -> each",
        "     otherwise -> done",
        "     max_iterations: 2",
        "  orphan: no state leads to it",
    ):
        assert line in process.stdout.splitlines(), process.stdout
    assert place.files() == before
    assert "s3cr3t" not in process.stdout


def test_the_command_prints_the_plan_as_one_object(place: Place) -> None:
    process = place.awf("deploy", "--input", "stage=test", "--format", "json")

    shown = json.loads(process.stdout)
    assert process.returncode == 0
    assert shown == place.plan("deploy", "stage=test")
    assert list(shown) == ["dry_run", "workflow", "file", "inputs", "hooks", "states", "skipped", "problems"]
    assert (shown["dry_run"], shown["workflow"]) == (True, "deploy")
    assert shown["inputs"] == {"stage": "test", "count": 2, "TOKEN": "***"}
    assert by_name(shown)["build"] == {
        "name": "build",
        "type": "step",
        "inside": None,
        "does": {"command": "touch ran-command; make STAGE=test KEY=*** N=2", "dir": f"{place.work}/src"},
        "resolves_later": [],
        "timeout_s": 90,
        "retry": by_name(shown)["build"]["retry"],
        "continue_on_error": False,
        "hooks": {"pre": ["command: touch ran-hook deploy"], "post": []},
        "routes": [
            {"on": "success", "goto": "check", "possible": True},
            {"on": "failure", "goto": "__inline_error_build", "possible": True},
        ],
    }
    assert by_name(shown)["build"]["retry"]["max_attempts"] == 3
    assert "s3cr3t" not in process.stdout


@pytest.mark.parametrize(
    ("name", "inputs", "code", "said"),
    [
        ("deploy", [], 1, "missing required inputs"),
        ("deploy", ["stage=moon"], 3, "inputs.stage"),
        ("deplyo", [], 1, "workflow not found"),
        ("broken", [], 2, "unknown step type"),
        ("templated", [], 1, "nope"),
    ],
)
def test_what_stops_the_run_stops_the_plan_with_the_same_exit_code(
    place: Place, name: str, inputs: list[str], code: int, said: str
) -> None:
    place.write("broken", "name: broken\nstates:\n  initial: a\n  a: {type: x}\n  b: {type: terminal}\n")
    place.write(
        "templated",
        "name: templated\nstates:\n  initial: a\n  a: {type: step, command: x, use_template: nope, on_success: b}\n"
        "  b: {type: terminal}\n",
    )

    with pytest.raises(Refused) as planned:
        place.plan(name, *inputs)

    assert (planned.value.exit_code, error_of(planned.value).exit_code) == (code, code)
    assert said in planned.value.error.message
    assert place.run(name, *inputs) == (code, planned.value.error.message)


def test_the_command_prints_an_error_and_exits_as_the_run_would(place: Place) -> None:
    ended = place.awf("deploy", "--input", "stage=moon")

    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith("Error: input validation failed: inputs.stage: ")


def test_states_that_the_inputs_rule_out_are_skipped_with_the_reason(place: Place) -> None:
    test, prod = place.plan("deploy", "stage=test"), place.plan("deploy", "stage=prod")

    ruled_out = "not with these inputs: `when: inputs.stage == 'prod'` is false in 'check'"
    assert {one["name"]: one["reason"] for one in test["skipped"]} == {
        "approve": ruled_out,
        "after": "only skipped states lead to it",
        "never": "not with these inputs: `while: inputs.count > 5` of 'right' is false",
        "nowhere": "only skipped states lead to it",
        "orphan": "no state leads to it",
    }
    skipped = {one["name"]: one["reason"] for one in prod["skipped"]}
    assert set(skipped) == {"each", "push", "both", "left", "right", "never", "nowhere", "orphan"}
    assert skipped["each"] == "not with these inputs: an earlier transition holds in 'check'"
    assert [route["possible"] for route in by_name(prod)["check"]["routes"]] == [True, False, False]


def test_states_come_in_the_order_of_the_walk_with_what_they_run_inside_of(place: Place) -> None:
    states = place.plan("deploy", "stage=test")["states"]

    assert [(state["name"], state["inside"]) for state in states] == [
        ("build", None),
        ("check", None),
        ("__inline_error_build", None),
        ("each", None),
        ("push", "each"),
        ("done", None),
        ("both", None),
        ("left", "both"),
        ("right", "both"),
    ]


def test_what_only_the_run_knows_stays_as_it_is_written(place: Place) -> None:
    states = by_name(place.plan("deploy", "stage=test"))

    assert states["check"]["does"]["command"] == "test '{{.states.build.Output}}' = test"
    assert states["push"]["does"]["command"] == "push {{.loop.Item}} to test"
    # A template that decides by it stays as a whole.
    assert states["left"]["does"]["command"] == "{{if .states.build.Output}}echo {{.inputs.stage}}{{end}}"
    assert [states[name]["resolves_later"] for name in ("check", "push", "left")] == [["command"]] * 3
    plan = place.states(
        "words", "a: {type: step, command: 'echo {{\"states\"}} {{.inputs.states}}', on_success: done}", "states=x"
    )
    assert by_name(plan)["a"]["does"]["command"] == "echo states x"


def test_continue_on_error_and_a_certain_transition_close_the_other_routes(place: Place) -> None:
    plan = place.states(
        "closed",
        """a: {type: step, command: x, continue_on_error: true, on_success: b, on_failure: rescue}
  b: {type: step, command: x, transitions: [{when: 'inputs.missing == nil', goto: done}, {goto: rescue}], on_failure: rescue}
  rescue: {type: step, command: x, on_success: done}""",
    )

    assert [state["name"] for state in plan["states"]] == ["a", "b", "done"]
    assert {one["name"]: one["reason"] for one in plan["skipped"]} == {
        "rescue": "not with these inputs: `continue_on_error` goes on after a failure in 'a'"
    }


def test_what_fails_every_run_is_named_with_its_place(place: Place) -> None:
    plan = place.states(
        "faulty",
        """a: {type: step, script_file: nope.sh, on_success: b}
  b: {type: step, command: 'echo {{.inputs.nope}}', on_success: c}
  c: {type: for_each, items: 'x', body: [o], on_complete: d}
  o: {type: operation, operation: notify.send, inputs: {message: m}, on_success: c}
  d: {type: call_workflow, workflow: missing, on_success: e}
  e: {type: step, command: 'echo {{.states.a.output}} {{.states.late.Output}}', on_success: f}
  f: {type: step, command: 'echo {{', on_success: done}
  late: {type: step, command: 'echo {{.inputs.unseen}}', on_success: done}""",
    )

    assert plan["problems"][0] == f"states.a.script_file: no such file: {place.work}/.awf/workflows/nope.sh"
    assert plan["problems"][1].startswith("states.b.command: undefined variable: ")
    assert plan["problems"][2:4] == [
        "states.o: a state of type operation can't run in the body of a loop",
        "states.d: workflow not found: missing",
    ]
    assert plan["problems"][4].startswith("states.f.command: failed to parse template: ")
    text = " ".join(plan["problems"])
    assert 'invalid state property "output"' in text
    assert 'forward reference to step "late"' in text
    assert "unseen" not in text


def test_an_operation_or_a_provider_that_is_not_installed_is_named(place: Place) -> None:
    plan = place.states(
        "lacking",
        """a: {type: operation, operation: http.requst, on_success: b}
  b: {type: agent, provider: claud, prompt: p, on_success: c}
  c: {type: agent, provider: '{{.inputs.p}}', prompt: p, on_success: d}
  d: {type: operation, operation: http.request, inputs: {url: 'http://x'}, on_success: done}""",
        "p=x",
    )

    assert plan["problems"] == [
        "states.a: operation \"http.requst\" not found. Did you mean 'http.request'?",
        "states.b: provider \"claud\" not found. Did you mean 'claude'?",
    ]


def test_scripts_of_the_project_and_step_templates_are_found(place: Place) -> None:
    place.write("check.sh", "echo checked\n", "scripts")
    place.write(
        "greeting",
        "name: greeting\nparameters: [{name: who, required: true}]\nstates:\n"
        "  greeting: {type: step, command: 'echo {{parameters.who}} {{.inputs.x}}', timeout: 5}\n",
        "templates",
    )
    plan = place.states(
        "filled",
        """a: {type: step, command: placeholder, use_template: greeting, parameters: {who: Ada}, on_success: b}
  b: {type: step, script_file: '{{.awf.scripts_dir}}/check.sh', on_success: done}""",
        "x=1",
    )

    assert plan["problems"] == []
    assert by_name(plan)["a"]["does"]["command"] == "echo Ada 1"
    assert by_name(plan)["a"]["timeout_s"] == 5
    assert by_name(plan)["b"]["does"]["script_file"] == f"{place.work}/.awf/scripts/check.sh"


def test_another_executor_has_no_plan(place: Place) -> None:
    place.write("config.yaml", "executor: awf-cli\nexecutor_path: /bin/true\n", ".")

    with pytest.raises(Refused) as caught:
        place.plan("deploy", "stage=test")

    assert "--dry-run plans the runs of the built-in engine" in str(caught.value)


def test_text_for_a_terminal_has_no_control_characters(place: Place) -> None:
    place.states("odd", "a: {type: step, command: 'echo {{.inputs.x}}', on_success: done}")
    plan = plan_here(
        RunRequest(name="odd", pairs=["x=\x1b[31mred"]), cwd=place.work, env=place.env, warn=lambda _: None
    )

    assert "     command: echo \\x1b[31mred" in list(plan_lines(plan))
    assert "  x = \\x1b[31mred" in list(plan_lines(plan))
    assert "\x1b" not in "".join(plan_lines(plan))
