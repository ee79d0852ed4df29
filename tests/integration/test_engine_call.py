"""Workflows that call workflows: what goes in, what comes out, and what no caller can handle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import ENV, Kit, Recorder, failing

from awf_core.cli.run_flow import RunRequest, run_here
from awf_core.engine.cancel import Cancel
from awf_core.engine.runner import Engine
from awf_core.engine.steps import builtin_step_types
from awf_core.errors import WorkflowNotFound
from awf_core.lang.catalogue import Catalogue
from awf_core.lang.discovery import Discovery
from awf_core.lang.load import parse_workflow

if TYPE_CHECKING:
    from awf_core.engine.record import Run
    from awf_core.engine.steps import StepContext, StepResult

ENDS = "\n  done: {type: terminal}\n  fail: {type: terminal, status: failure, message: 'no good'}\n"
AWF = Path(sys.executable).with_name("awf")


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path, fail=lambda _: failing())


def caller(target: str, more: str = "") -> str:
    return f"a: {{type: call_workflow, workflow: {target}, on_success: done{more}}}"


class Project:
    """Workflow files on disk, and runs that find each other by name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events = Recorder()

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def workflow(self, name: str, states: str, *, named: str | None = None, head: str = "") -> None:
        text = f"name: {named or name}\n{head}\nstates:\n  initial: a\n  {states.strip()}{ENDS}"
        self.write(f".awf/workflows/{name}.yaml", text)

    def run(self, name: str) -> Run:
        return run_here(
            RunRequest(name=name), cwd=self.root, env=ENV, cancel=Cancel(), events=self.events, warn=lambda _: None
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def message(run: Run) -> str:
    assert run.error is not None
    return run.error.message


def test_a_called_workflow_is_a_run_of_its_own_with_inputs_as_text(tmp_path: Path) -> None:
    seen: list[Any] = []

    def note(context: StepContext) -> None:
        execution = context.execution
        assert execution.caller is not None
        seen.append((dict(execution.inputs), execution.caller.run_id, execution.run_id, dict(execution.env)))

    kit = Kit(tmp_path, note=note)
    kit.workflows["child"] = kit.workflow(
        "a: {type: do, do: note, on_success: done}",
        name="child",
        head="inputs: [{name: n, type: integer, default: 4}, {name: m, required: true}]",
    )

    run = kit.run(
        caller("child", ", inputs: {m: '{{.inputs.x}}!', l: [1, {k: 2.5}], f: 3.0, t: true, e: null}"),
        inputs={"x": 7},
        run_id="parent",
        extra_env={"AWF_MESSAGE_ID": "m-1"},
    )

    ((inputs, parent, own, env),) = seen
    assert run.status == "completed"
    assert inputs == {"n": 4, "m": "7!", "l": "[1 map[k:2.5]]", "f": "3", "t": "true", "e": "<nil>"}
    assert parent == run.run_id == "parent"
    assert own != parent
    assert (env["AWF_RUN_ID"], env["AWF_MESSAGE_ID"]) == (own, "m-1")
    assert kit.events.runs == [("child", "completed"), ("w", "completed")]
    assert run.path == ("a", "done")


@pytest.mark.parametrize(
    ("outputs", "output"), [("{a: x}", "sub-workflow child completed successfully"), ("{x: a}", "")]
)
def test_outputs_only_decide_what_the_step_says_of_itself(kit: Kit, outputs: str, output: str) -> None:
    kit.workflows["child"] = kit.workflow("a: {type: do, say: hidden, on_success: done}", name="child")

    run = kit.run(caller("child", f", outputs: {outputs}"))

    assert run.states["a"].output == output


@pytest.mark.parametrize(
    ("state", "path"),
    [
        ("on_failure: after", ("a", "after", "done")),
        ("continue_on_error: true", ("a", "done")),
        ("transitions: [{goto: after}]", ("a",)),
    ],
)
def test_a_child_that_fails_is_handled_like_any_failed_step(kit: Kit, state: str, path: tuple[str, ...]) -> None:
    kit.workflows["child"] = kit.workflow("a: {type: do, do: fail}", name="child")

    run = kit.run(caller("child", f", {state}") + "\n  after: {type: do, on_success: done}")

    assert run.path == path
    assert run.states["a"].error == "step a: no"
    if run.error is not None:
        assert run.error.message == "step a: sub-workflow child failed: step a: no"


def test_an_input_that_can_not_be_filled_in_ends_the_run(kit: Kit) -> None:
    kit.workflows["child"] = kit.workflow("a: {type: do, on_success: done}", name="child")

    run = kit.run(caller("child", ", inputs: {m: '{{.inputs.nope}}'}, on_failure: done"))

    assert message(run).startswith('step a: resolve input "m": undefined variable: ')
    assert run.status == "failed"


def test_a_child_has_five_minutes_unless_its_step_says_otherwise(tmp_path: Path) -> None:
    left: list[float | None] = []

    def work(context: StepContext) -> StepResult:
        left.append(context.allowance.left_s())
        kit.clock.seconds += 301
        return failing(f"work: {context.allowance.stop_text()}", cause="timeout")

    kit = Kit(tmp_path, work=work)
    hooks = "hooks: {workflow_cancel: [{log: 'child cancelled'}]}"
    kit.workflows["child"] = kit.workflow("a: {type: do, do: work, on_failure: done}", name="child", head=hooks)

    default = kit.run(caller("child", ", on_failure: fail"))
    longer = kit.run(caller("child", ", timeout: 600, on_failure: fail"))
    unhandled = kit.run(caller("child"))

    assert left == [300, 600, 300]
    assert default.states["a"].error == "step a: work: context deadline exceeded"
    assert (default.final_state, longer.final_state) == ("fail", "done")
    assert (unhandled.status, unhandled.cancel_reason) == ("cancelled", "timeout")
    assert message(unhandled) == "step a: sub-workflow child failed: step a: work: context deadline exceeded"
    assert kit.events.logs == ["info: child cancelled"] * 2


def test_cancelling_a_run_cancels_what_it_calls_and_runs_the_hooks_of_both(tmp_path: Path) -> None:
    def work(_: StepContext) -> StepResult:
        cancel.request("SIGTERM")
        return failing("command execution: context canceled", cause="cancelled")

    kit, cancel = Kit(tmp_path, work=work), Cancel()
    hooks = "hooks: {workflow_cancel: [{log: '{{.workflow.Name}}'}]}"
    kit.workflows["child"] = kit.workflow("a: {type: do, do: work, on_failure: done}", name="child", head=hooks)

    run = kit.run(caller("child", ", on_failure: done"), head=hooks, cancel=cancel)

    assert (run.status, run.cancel_reason) == ("cancelled", "SIGTERM")
    assert message(run) == "step a: step a: command execution: context canceled"
    assert kit.events.logs == ["info: child", "info: w"]


def test_a_circle_is_found_by_the_names_inside_the_files_and_no_caller_handles_it(project: Project) -> None:
    project.workflow("w", caller("one", ", on_failure: done"))
    project.workflow("one", caller("two", ", on_failure: done"), named="first")
    project.workflow("two", caller("first", ", on_failure: done"), named="second")
    project.workflow("first", caller("done", ", on_failure: done"))

    run = project.run("w")

    assert (run.status, run.exit_code, run.path) == ("failed", 3, ("a",))
    assert message(run) == (
        'step a: circular workflow call detected: workflow "first" is already in call stack [w first]'
    )
    assert run.states["a"].error == message(run)
    assert "first.a" in project.events.started
    assert project.events.runs == [("second", "failed"), ("first", "failed"), ("w", "failed")]


def test_a_circle_met_in_a_loop_or_a_branch_is_a_failure_of_those(kit: Kit) -> None:
    kit.workflows["w"] = kit.workflow("a: {type: do, on_success: done}")
    handled = """
  a: {type: for_each, items: x, body: [c], on_complete: done, on_failure: fail}
  c: {type: call_workflow, workflow: loop}"""
    kit.workflows["loop"] = kit.workflow(
        """
  a: {type: parallel, parallel: [c], on_success: done}
  c: {type: call_workflow, workflow: loop}""",
        name="loop",
    )

    run = kit.run(handled)
    unhandled = kit.run(caller("loop", ", on_failure: done"))

    assert run.final_state == "fail"
    assert 'workflow "loop" is already in call stack [w loop]' in run.states["a"].error
    # Inside `loop` nothing handles it, so who called `loop` can't either.
    assert unhandled.status == "failed"
    assert message(unhandled).startswith("parallel step a: parallel execution: step c: circular") or message(
        unhandled
    ).startswith("parallel step a: parallel execution: parallel step a: ")


def test_a_workflow_that_is_not_there_ends_the_run_before_the_step_has_begun(project: Project) -> None:
    project.workflow("w", caller("ghost", ", on_failure: done"))
    project.workflow("outer", caller("w", ", on_failure: fail"))

    run, outer = project.run("w"), project.run("outer")

    assert (run.exit_code, run.path, run.final_state, dict(run.states)) == (1, (), "a", {})
    assert message(run) == 'step a: load sub-workflow "ghost": load workflow ghost: workflow not found: ghost'
    assert run.error is not None
    assert run.error.code == "USER.INPUT.MISSING_FILE"
    # For who called that workflow it is a failure like any other.
    assert outer.final_state == "fail"


def test_the_code_of_an_unhandled_error_passes_through_the_callers(project: Project) -> None:
    project.workflow("w", caller("ghost"))
    project.workflow("outer", caller("w"))

    run = project.run("outer")

    assert run.error is not None
    assert (run.error.code, run.exit_code) == ("USER.INPUT.MISSING_FILE", 1)


@pytest.mark.parametrize(
    ("name", "code", "why"),
    [
        ("broken", "WORKFLOW.PARSE.YAML_SYNTAX", "step 'a': either command or script_file is required"),
        ("../w", "USER.FACADE.IDENTIFIER_MALFORMED", "invalid name"),
        ("no/such", "USER.INPUT.MISSING_FILE", 'workflow "such" not found in pack "no"'),
    ],
)
def test_a_workflow_that_can_not_be_loaded_ends_the_run(project: Project, name: str, code: str, why: str) -> None:
    project.workflow("w", caller(f"'{name}'", ", on_failure: done"))
    project.workflow("broken", "a: {type: step, on_success: done}")

    run = project.run("w")

    assert run.error is not None
    assert run.error.code == code
    assert run.error.message.startswith(f'step a: load sub-workflow "{name}": load workflow {name}: ')
    assert why in run.error.message


def test_an_engine_without_workflows_to_call_says_so(tmp_path: Path) -> None:
    types = builtin_step_types()
    workflow = parse_workflow(
        f"name: w\nstates:\n  initial: a\n  {caller('x')}{ENDS}".encode(), source=tmp_path / "w.yaml", step_types=types
    )

    run = Engine(step_types=types, env=ENV).execute(workflow, {}, cwd=tmp_path)

    assert message(run) == 'step a: load sub-workflow "x": load workflow x: workflow not found: x'


PACK = ".awf/workflow-packs/demo"


@pytest.fixture
def pack(project: Project) -> Project:
    helper = "name: helper\nstates:\n  initial: a\n  a: {type: step, command: 'echo helped >> log', on_success: done}"
    project.write(f"{PACK}/manifest.yaml", "name: demo\nversion: 1.0.0\nworkflows: [main, helper, near]\n")
    project.write(f"{PACK}/workflows/helper.yaml", helper + ENDS)
    project.write(f"{PACK}/scripts/p.sh", "echo of the pack")
    return project


def in_pack(project: Project, name: str, states: str) -> None:
    project.write(f"{PACK}/workflows/{name}.yaml", f"name: {name}\nstates:\n  initial: a\n  {states.strip()}{ENDS}")


@pytest.mark.parametrize("name", ["demo/helper", "awf-workflow-demo/helper", "helper"])
def test_a_workflow_of_a_pack_calls_others_by_full_name_or_within_its_pack(pack: Project, name: str) -> None:
    in_pack(pack, "main", caller(name))

    run = pack.run("demo/main")

    assert run.status == "completed", run.error
    assert (pack.root / "log").read_text() == "helped\n"


def test_a_workflow_of_the_project_comes_before_one_of_the_callers_pack(pack: Project) -> None:
    in_pack(pack, "main", caller("helper"))
    pack.workflow("helper", "a: {type: step, command: 'echo project >> log', on_success: done}")

    pack.run("demo/main")

    assert (pack.root / "log").read_text() == "project\n"


def test_a_workflow_outside_of_packs_needs_the_full_name(pack: Project) -> None:
    pack.workflow("short", caller("helper"))
    pack.workflow("full", caller("demo/helper"))

    assert pack.run("short").exit_code == 1
    assert pack.run("full").status == "completed"


def test_scripts_of_a_pack_are_the_projects_for_it_then_its_own(pack: Project) -> None:
    in_pack(
        pack,
        "main",
        """
  a: {type: step, script_file: '{{.awf.scripts_dir}}/p.sh', on_success: b}
  b: {type: step, command: 'echo {{.awf.pack_name}}', on_success: done}""",
    )

    own = pack.run("demo/main")
    pack.write(".awf/scripts/demo/p.sh", "echo of the project")
    overridden = pack.run("demo/main")

    assert (own.states["a"].output, own.states["b"].output) == ("of the pack\n", "demo\n")
    assert overridden.states["a"].output == "of the project\n"


def test_the_run_command_finds_the_workflows_that_are_called(project: Project) -> None:
    project.workflow("child", "a: {type: step, command: 'echo from the child > out', on_success: done}")
    project.workflow("w", caller("child"))

    done = subprocess.run(
        [AWF, "run", "w", "--format", "json"], cwd=project.root, env=ENV, capture_output=True, timeout=30
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["path"] == ["a", "done"]
    assert (project.root / "out").read_text() == "from the child\n"


def test_names_are_looked_up_as_those_of_messages_are(project: Project) -> None:
    find = Catalogue(Discovery(project.root, ENV), builtin_step_types()).get
    project.write("flow.yaml", f"name: flow\nstates:\n  initial: done{ENDS}")

    with pytest.raises(WorkflowNotFound):
        find("flow.yaml")


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("{type: call_workflow, on_success: done}", "call_workflow config is required for call_workflow steps"),
        ("{type: call_workflow, workflow: x, on_success: zz}", "on_success references unknown state 'zz'"),
    ],
)
def test_a_call_that_can_not_work_is_refused_when_it_is_loaded(kit: Kit, state: str, why: str) -> None:
    from awf_core.lang.problems import LoadError

    with pytest.raises(LoadError) as refused:
        kit.workflow(f"a: {state}")

    assert f"step 'a': {why}" in refused.value.text
