"""Runs of the engine, from the call to the Run."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from awf_core.engine.run.engine import Engine
from awf_core.engine.run.events import NoEvents
from awf_core.engine.steps import builtin_step_types
from awf_core.errors import InputError
from awf_core.extensions.deadline import Cancel
from awf_core.lang.load import parse_workflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from awf_core.extensions.results import Run
    from awf_core.lang.model import Workflow

ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "SHELL": "/bin/sh", "HOME": "/nonexistent", "USER": "tester"}
ENDS = "\n  done: {type: terminal}\n  fail: {type: terminal, status: failure}\n"


def workflow_of(states: str, *, head: str = "", source: Path = Path("/p/.awf/workflows/w.yaml")) -> Workflow:
    text = f"name: w\n{head}\nstates:\n  initial: a\n  {states.strip()}{ENDS}"
    return parse_workflow(text.encode(), source=source, step_types=builtin_step_types())


def engine_of(**options: Any) -> Engine:
    return Engine(step_types=builtin_step_types(), env=ENV, **options)


def until(condition: Callable[[], bool], limit_s: float = 5.0) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        threading.Event().wait(0.005)
    return condition()


def in_thread(work: Callable[[], Run]) -> Callable[[], Run]:
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return lambda: future.result(10)


class Recorder(NoEvents):
    """Keeps everything that happens."""

    watches_output = True

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def step_started(self, run_id: str, workflow: str, state: str, step_type: str) -> None:
        self.seen.append(("started", state, step_type))

    def step_finished(self, run_id: str, workflow: str, state: str, status: str, duration_s: float) -> None:
        self.seen.append(("finished", state, status))

    def step_output(self, run_id: str, state: str, stream: str, data: bytes) -> None:
        self.seen.append(("output", state, stream, data))

    def run_logged(self, run_id: str, workflow: str, level: str, text: str) -> None:
        self.seen.append(("logged", level, text))

    def run_finished(self, run_id: str, workflow: str, status: str, exit_code: int, duration_s: float) -> None:
        self.seen.append(("run", status, exit_code))


def test_steps_see_the_run_id_and_what_the_caller_adds(tmp_path: Path) -> None:
    workflow = workflow_of("""a: {type: step, command: 'echo "$AWF_RUN_ID $AWF_MESSAGE_ID"', on_success: done}""")

    run = engine_of().execute(workflow, {}, run_id="run-1", extra_env={"AWF_MESSAGE_ID": "m-1"}, cwd=tmp_path)

    assert run.states["a"].output == "run-1 m-1\n"
    assert (run.run_id, run.status, run.exit_code, run.output) == ("run-1", "completed", 0, "run-1 m-1\n")


def test_a_run_without_an_id_gets_one_of_its_own(tmp_path: Path) -> None:
    workflow = workflow_of("a: {type: terminal}")

    ids = {engine_of().execute(workflow, {}, cwd=tmp_path).run_id for _ in range(3)}

    assert len(ids) == 3


def test_outputs_come_from_the_states_they_name(tmp_path: Path) -> None:
    head = "outputs: [{name: out, from: states.a.Output}, {name: code, from: states.a.ExitCode}, {name: no, from: states.b.Output}]"
    states = "a: {type: step, command: echo hi, on_success: done}\n  b: {type: step, command: 'true', on_success: done}"

    run = engine_of().execute(workflow_of(states, head=head), {}, cwd=tmp_path)

    assert run.outputs == {"out": "hi\n", "code": 0, "no": None}


def test_an_unhandled_timeout_cancels_the_run_and_says_so(tmp_path: Path) -> None:
    workflow = workflow_of("a: {type: step, command: sleep 30, timeout: 1, on_success: done}")

    run = engine_of().execute(workflow, {}, cwd=tmp_path)

    assert (run.status, run.cancel_reason, run.exit_code, run.final_state) == ("cancelled", "timeout", 3, "a")
    assert run.error is not None
    assert run.error.message == "step a: command execution: context deadline exceeded"


def test_a_cancelled_run_keeps_the_reason_and_skips_every_handler(tmp_path: Path) -> None:
    states = """a:
    type: step
    command: touch begun; sleep 30
    continue_on_error: true
    on_success: done
    on_failure: done
    transitions: [{goto: done}]"""
    cancel = Cancel()
    result = in_thread(lambda: engine_of().execute(workflow_of(states), {}, cancel=cancel, cwd=tmp_path))
    assert until((tmp_path / "begun").exists)

    cancel.request("drain")
    run = result()

    assert (run.status, run.cancel_reason, run.path) == ("cancelled", "drain", ("a",))
    assert run.error is not None
    assert run.error.message == "step a: command execution: context canceled"


def test_a_cancel_interrupts_the_wait_between_attempts(tmp_path: Path) -> None:
    states = """a:
    type: step
    command: touch begun; exit 1
    retry: {max_attempts: 2, initial_delay: 60s}
    on_failure: done"""
    cancel = Cancel()
    result = in_thread(lambda: engine_of().execute(workflow_of(states), {}, cancel=cancel, cwd=tmp_path))
    assert until((tmp_path / "begun").exists)

    cancel.request("stop")
    run = result()

    assert run.status == "cancelled"
    assert run.states["a"].error in {
        "retry wait interrupted: context canceled",
        "command execution: context canceled",  # asked before the first attempt had ended
    }


def test_a_run_cancelled_beforehand_starts_no_step_and_runs_its_cancel_hooks(tmp_path: Path) -> None:
    head = "hooks: {workflow_cancel: [{command: touch cancelled}], workflow_error: [{command: touch error}]}"
    cancel = Cancel()
    cancel.request("drain")

    workflow = workflow_of("a: {type: step, command: touch a, on_success: done}", head=head)
    run = engine_of().execute(workflow, {}, cancel=cancel, cwd=tmp_path)

    assert (run.status, run.path, run.final_state) == ("cancelled", (), "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cancelled"]


def test_a_success_that_leads_nowhere_fails_the_run(tmp_path: Path) -> None:
    workflow = workflow_of("a: {type: step, command: 'true', on_failure: fail}")

    run = engine_of().execute(workflow, {}, cwd=tmp_path)

    assert run.error is not None
    assert (run.status, run.exit_code, run.error.message) == ("failed", 1, "step not found: ")


def test_a_terminal_message_that_can_not_be_filled_in_is_shown_as_written(tmp_path: Path) -> None:
    workflow = workflow_of("a: {type: terminal, status: failure, message: 'no {{.inputs.nope}}'}")

    run = engine_of().execute(workflow, {}, cwd=tmp_path)

    assert run.error is not None
    assert run.error.message == "no {{.inputs.nope}}"


def test_a_background_child_that_holds_the_output_fails_the_step(tmp_path: Path) -> None:
    workflow = workflow_of("a: {type: step, command: 'sleep 1 & echo started', on_success: done, on_failure: fail}")

    run = engine_of().execute(workflow, {}, cwd=tmp_path)

    record = run.states["a"]
    assert record.error == "command execution: exec: WaitDelay expired before I/O complete"
    assert (record.exit_code, record.status, run.final_state) == (0, "failed", "fail")


def test_large_output_on_both_streams_is_kept_whole(tmp_path: Path) -> None:
    states = """a:
    type: step
    on_success: done
    command: |
      head -c 3000000 /dev/zero | tr '\\0' x
      head -c 3000000 /dev/zero | tr '\\0' y >&2"""
    workflow = workflow_of(states)

    record = engine_of().execute(workflow, {}, cwd=tmp_path).states["a"]

    assert record.output == "x" * 3_000_000
    assert record.stderr == "y" * 3_000_000


def test_bytes_that_are_no_text_reach_the_next_step_unchanged(tmp_path: Path) -> None:
    states = r"""a: {type: step, command: 'printf "\377"', on_success: b}
  b: {type: step, command: 'printf "%s" "{{.states.a.Output}}" | od -An -tx1', on_success: done}"""

    run = engine_of().execute(workflow_of(states), {}, cwd=tmp_path)

    assert run.states["b"].output.split() == ["ff"]


def test_secrets_are_masked_in_what_is_captured(tmp_path: Path) -> None:
    workflow = workflow_of("a: {type: step, command: 'echo x$TOKEN; echo $TOKEN >&2; exit 1', on_failure: fail}")

    record = engine_of().execute(workflow, {"TOKEN": "hush"}, cwd=tmp_path).states["a"]

    assert (record.output, record.stderr, record.error) == ("x***\n", "***\n", "***\n")


@pytest.mark.parametrize(
    ("value", "error"),
    [("a\0b", "command execution: fork/exec /bin/sh: invalid argument"), ("\ud800", None)],
)
def test_an_input_no_process_can_take_is_a_failed_step(tmp_path: Path, value: str, error: str | None) -> None:
    workflow = workflow_of("a: {type: step, command: 'true', on_success: done, on_failure: fail}")

    run = engine_of().execute(workflow, {"x": value}, cwd=tmp_path)

    assert run.states["a"].error == (error or "")


def test_a_script_that_is_not_there_ends_the_run_past_its_handlers(tmp_path: Path) -> None:
    workflow = workflow_of("a: {type: step, script_file: nope.sh, on_failure: done}", source=tmp_path / "w.yaml")

    run = engine_of().execute(workflow, {}, cwd=tmp_path)

    assert run.error is not None
    assert run.error.message == f"load script file: file not found: {tmp_path}/nope.sh"
    assert (run.status, run.exit_code, dict(run.states)) == ("failed", 1, {})


def test_a_script_beyond_a_mebibyte_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.sh").write_text("#" * (1024 * 1024 + 1))
    workflow = workflow_of("a: {type: step, script_file: s.sh, on_failure: done}", source=tmp_path / "w.yaml")

    run = engine_of().execute(workflow, {}, cwd=tmp_path)

    assert run.error is not None
    assert "file exceeds 1MB limit" in run.error.message


def test_a_script_for_an_interpreter_leaves_no_file_behind(tmp_path: Path) -> None:
    (tmp_path / "s.sh").write_text("#!/bin/sh\necho $0")
    workflow = workflow_of("a: {type: step, script_file: s.sh, on_success: done}", source=tmp_path / "w.yaml")
    engine = Engine(step_types=builtin_step_types(), env=ENV | {"TMPDIR": str(tmp_path)})

    written = Path(engine.execute(workflow, {}, cwd=tmp_path).states["a"].output.strip())

    assert written.name.startswith("awf-script-")
    assert written.parent == tmp_path
    assert not written.exists()


def test_inputs_prepared_once_are_taken_as_they_are(tmp_path: Path) -> None:
    head = "inputs: [{name: x, default: d}, {name: n, type: integer}]"
    workflow = workflow_of("""a: {type: step, command: 'echo "$x"', on_success: done}""", head=head)
    engine = engine_of()

    prepared = engine.prepare_inputs(workflow, {"n": "5"}, cwd=tmp_path)
    run = engine.execute(workflow, prepared, cwd=tmp_path, is_prepared=True)

    assert prepared == {"x": "d", "n": "5"}
    assert run.output == "d\n"
    with pytest.raises(InputError, match=r'inputs\.n: cannot convert "five" to integer'):
        engine.prepare_inputs(workflow, {"n": "five"}, cwd=tmp_path)


def test_refused_inputs_are_a_failed_run_in_which_nothing_ran(tmp_path: Path) -> None:
    workflow = workflow_of("a: {type: terminal}", head="inputs: [{name: x, required: true}]")

    run = engine_of().execute(workflow, {}, cwd=tmp_path)

    assert run.error is not None
    assert run.error.message == "input validation failed: inputs.x: required but not provided"
    assert (run.status, run.exit_code, run.path, run.final_state) == ("failed", 3, (), "")


def test_events_come_in_the_order_things_happen(tmp_path: Path) -> None:
    events = Recorder()
    states = "a: {type: step, command: echo one, on_success: b, hooks: {pre: [{log: before}]}}\n  b: {type: step, command: exit 3, on_failure: done}"

    engine_of(events=events).execute(workflow_of(states), {}, cwd=tmp_path)

    assert events.seen == [
        ("started", "a", "step"),
        ("logged", "info", "before"),
        ("output", "a", "stdout", b"one\n"),
        ("finished", "a", "completed"),
        ("started", "b", "step"),
        ("finished", "b", "failed"),
        ("run", "completed", 0),
    ]


def test_one_engine_runs_many_workflows_at_once_without_mixing_them(tmp_path: Path) -> None:
    states = """a: {type: step, command: 'echo "$who"', on_success: b}
  b: {type: step, command: 'echo "{{.states.a.Output}}$AWF_RUN_ID"', on_success: done}"""
    workflow, engine = workflow_of(states), engine_of()

    with ThreadPoolExecutor(5) as pool:
        runs = list(
            pool.map(lambda n: engine.execute(workflow, {"who": f"w{n}"}, run_id=f"r{n}", cwd=tmp_path), range(40))
        )

    assert [run.output for run in runs] == [f"w{n}\nr{n}\n" for n in range(40)]


def test_a_later_change_of_the_environment_does_not_reach_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXAMPLE", "before")
    engine = Engine(step_types=builtin_step_types())
    workflow = workflow_of("a: {type: step, command: 'echo $EXAMPLE {{.env.EXAMPLE}}', on_success: done}")

    os.environ["EXAMPLE"] = "after"
    run = engine.execute(workflow, {}, cwd=tmp_path)

    assert run.output == "before before\n"
