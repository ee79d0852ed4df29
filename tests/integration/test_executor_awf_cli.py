"""The `awf-cli` executor: what the original tool is called with, what its run comes to here, and what is refused."""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from engine_kit import until
from original_awf import OriginalAwf

from awf_core.engine.records.history import Selection, connect, read_history
from awf_core.errors import ConfigError, InputError
from awf_core.extensions.deadline import Cancel
from awf_core.extensions.executors import ExecutionRequest, Executor, Executors
from awf_core.integrations.awf_cli import MARKER, AwfCli, find_awf, is_ours
from awf_core.integrations.awf_cli_result import reported_error
from awf_core.lang.untrusted import UNPASSABLE_INPUT

OURS = Path(sys.executable).with_name("awf")
DONE = {"Status": "completed", "Output": "out\n", "ExitCode": 0, "Attempt": 1}


@pytest.fixture
def original(tmp_path: Path) -> OriginalAwf:
    return OriginalAwf(tmp_path / "original")


def executor(original: OriginalAwf, tmp_path: Path, **env: str) -> AwfCli:
    return AwfCli(str(original.path), cwd=tmp_path, env={**os.environ, **env})


def request(tmp_path: Path, **more: Any) -> ExecutionRequest:
    cancel = more.pop("cancel", None) or Cancel()
    env = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "data"), **more.pop("env", {})}
    named = {"workflow": "w", "path": tmp_path / "w.yaml", "inputs": {}, "cwd": tmp_path}
    return ExecutionRequest(**{**named, **more}, env=env, cancel=cancel)


def test_a_completed_run_comes_back_with_its_states(original: OriginalAwf, tmp_path: Path) -> None:
    original.plans("w", states={"b": DONE, "a": {**DONE, "Output": "last\n"}})

    run = executor(original, tmp_path).execute(request(tmp_path, inputs={"x": "1"}))

    assert (run.status, run.exit_code, run.error, run.workflow) == ("completed", 0, None, "w")
    assert (run.path, run.final_state, run.output) == (("b", "a", "done"), "done", "last\n")
    assert run.states["b"].output == "out\n"
    assert dict(run.inputs) == {"x": "1"}
    assert run.duration_ms > 0


def test_the_tool_is_called_with_everything_as_an_argument_of_its_own(original: OriginalAwf, tmp_path: Path) -> None:
    inputs = {"text": "a b; $(rm -rf /) 'q'", "number": 5, "flag": True, "list": [1, "é"]}

    executor(original, tmp_path).execute(request(tmp_path, inputs=inputs, env={"GREETING": "hi"}))

    (call,) = original.calls
    assert call["inputs"] == {"text": inputs["text"], "number": "5", "flag": "true", "list": '[1, "é"]'}
    assert (call["name"], call["options"]["--format"], call["cwd"]) == ("w", "json", str(tmp_path))
    assert call["env"]["GREETING"] == "hi"
    assert call["env"][MARKER] == "1"


def test_a_name_that_begins_like_an_option_is_passed_as_a_name(original: OriginalAwf, tmp_path: Path) -> None:
    executor(original, tmp_path).execute(request(tmp_path, workflow="--help"))

    assert original.calls[0]["name"] == "--help"


def test_a_failed_run_has_the_tools_error_and_exit_code(original: OriginalAwf, tmp_path: Path) -> None:
    failed = {"Status": "failed", "ExitCode": 3, "Error": "exit code 3"}
    original.plans(
        "w",
        states={"a": DONE, "b": failed},
        status="failed",
        current="b",
        context_exit_code=5,
        error="step b: exit code 3",
        exit_code=3,
    )

    run = executor(original, tmp_path).execute(request(tmp_path))

    assert run.error is not None
    assert (run.status, run.exit_code, run.context_exit_code, run.final_state) == ("failed", 3, 5, "b")
    assert (run.error.message, run.error.code, run.error.state) == ("step b: exit code 3", None, "b")
    assert run.path == ("a", "b")


def test_what_stops_the_tool_before_a_run_is_a_failed_run_with_its_code(original: OriginalAwf, tmp_path: Path) -> None:
    original.plans("w", error="missing required inputs", code="USER.INPUT.VALIDATION_FAILED", exit_code=1)

    run = executor(original, tmp_path).execute(request(tmp_path, inputs={"x": "1"}))

    assert run.error is not None
    assert (run.status, run.exit_code, run.states, run.path) == ("failed", 1, {}, ())
    assert (run.error.message, run.error.code) == ("missing required inputs", "USER.INPUT.VALIDATION_FAILED")
    assert len(run.run_id) == 36


def test_an_exit_code_of_no_class_counts_as_a_failed_execution(original: OriginalAwf, tmp_path: Path) -> None:
    original.plans("w", exit_code=139)

    run = executor(original, tmp_path).execute(request(tmp_path))

    assert run.error is not None
    assert run.exit_code == 3
    assert run.error.message == "the original tool ended with exit code 139 and no error"


@pytest.mark.parametrize(
    ("stderr", "message", "code"),
    [
        ('warning: {x}\n{"error": "e", "code": 1, "error_code": "USER.X.Y"}\n', "e", "USER.X.Y"),
        ('{\n  "error": "over\\nlines",\n  "error_code": ""\n}\n', "over\nlines", None),
        ('{"error": "first"}\n{"error": "second"}\n', "second", None),
        ("Error: unknown flag: --nope\n", "unknown flag: --nope", None),
        ('{"not": "it"}', '{"not": "it"}', None),
    ],
)
def test_the_error_is_the_tools_object_or_else_what_it_wrote(stderr: str, message: str, code: str | None) -> None:
    reported = reported_error(stderr)

    assert reported is not None
    assert (reported.message, reported.code) == (message, code)
    assert reported_error(" \n") is None


def test_a_run_that_is_cancelled_is_killed_with_all_it_started(original: OriginalAwf, tmp_path: Path) -> None:
    original.plans("w", states={"a": DONE}, status="running", current="b", hangs=True, child=True)
    cancel, mark = Cancel(), f"MARK={tmp_path}"
    runs: list[Any] = []
    ordered = request(tmp_path, cancel=cancel, env={"MARK": str(tmp_path)})
    thread = threading.Thread(target=lambda: runs.append(executor(original, tmp_path).execute(ordered)))

    thread.start()
    assert until(lambda: original.hangs)
    cancel.request("SIGTERM")
    thread.join(20)

    (run,) = runs
    assert (run.status, run.cancel_reason, run.exit_code) == ("cancelled", "SIGTERM", 3)
    assert run.error.message == "command execution: context canceled"
    assert run.states["a"].output == "out\n"
    assert until(lambda: not processes_with(mark))


def processes_with(mark: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found


def test_a_run_the_tool_calls_cancelled_is_cancelled(original: OriginalAwf, tmp_path: Path) -> None:
    original.plans("w", states={"a": DONE}, status="cancelled", error="context deadline exceeded", exit_code=3)

    run = executor(original, tmp_path).execute(request(tmp_path))

    assert (run.status, run.cancel_reason) == ("cancelled", None)


@pytest.mark.parametrize("value", ["@prompts/secret.md", "  @prompts/x"])
def test_an_input_the_tool_would_replace_by_a_file_is_refused(
    original: OriginalAwf, tmp_path: Path, value: str
) -> None:
    with pytest.raises(InputError) as caught:
        executor(original, tmp_path).execute(request(tmp_path, inputs={"x": value}))

    assert caught.value.message == (f"inputs.x: the original tool would put the file {value.strip()!r} in its place")
    assert caught.value.hint == "Values that begin with '@prompts/' can't be passed on."
    assert original.calls == []


@pytest.mark.parametrize("inputs", [{"a=b": "x"}, {"a": "x\0y"}])
def test_an_input_no_argument_can_hold_is_refused(original: OriginalAwf, tmp_path: Path, inputs: Any) -> None:
    with pytest.raises(InputError, match="holds what no argument of a program can"):
        executor(original, tmp_path).execute(request(tmp_path, inputs=inputs))


def test_an_input_that_is_too_large_for_an_argument_is_a_fault_of_the_inputs(
    original: OriginalAwf, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        executor(original, tmp_path).execute(request(tmp_path, inputs={"x": "y" * 300_000}))

    assert caught.value.message.startswith(f"executor 'awf-cli': fork/exec {original.path}: argument list too long")
    assert caught.value.code == UNPASSABLE_INPUT


def test_which_plugins_are_enabled_holds_for_the_run_and_its_storage_is_gone_afterwards(
    original: OriginalAwf, tmp_path: Path
) -> None:
    plugins = tmp_path / "data/awf/plugins"
    plugins.mkdir(parents=True)
    (plugins / "plugins.json").write_text("{}")

    executor(original, tmp_path).execute(request(tmp_path))

    (call,) = original.calls
    assert call["plugins"] == ["plugins.json"]
    assert not Path(call["options"]["--storage"]).exists()
    assert (plugins / "plugins.json").exists()


def test_what_the_tool_recorded_is_taken_over_where_records_are_wanted(original: OriginalAwf, tmp_path: Path) -> None:
    original.plans("w", states={"a": DONE})

    run = executor(original, tmp_path).execute(request(tmp_path, storage=tmp_path / "kept"))

    names = {file.name for file in (tmp_path / "kept/states").iterdir()}
    assert names == {f"{run.run_id}.json", "00000000-child.json"}


def test_rows_of_the_tools_history_are_taken_over(tmp_path: Path) -> None:
    from awf_core.integrations.awf_cli_result import import_records

    source, target = tmp_path / "source", tmp_path / "target"
    with connect(source / "history.db") as writing:
        writing.execute("INSERT INTO execution_records VALUES ('i', 'r', 'w', 'failed', 3, 1, 2, 0, 'e')")
    writing.close()

    import_records(source, target)

    (row,) = read_history(target / "history.db", Selection(), limit=5)
    assert (row.run_id, row.status, row.exit_code, row.error) == ("r", "failed", 3, "e")


def test_inside_a_run_of_its_own_it_refuses(original: OriginalAwf, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        executor(original, tmp_path, **{MARKER: "1"}).check()

    assert caught.value.message == (
        "executor 'awf-cli' is not started from inside a run of its own: the two tools would call each other without end"
    )
    assert caught.value.hint == "Let the inner workflow run here: set `executor: builtin` for it."


def test_on_path_the_first_awf_is_taken_that_is_not_ours(original: OriginalAwf, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "awf").write_text(f"#!{sys.executable}\nfrom awf_core.cli.main import main\nmain()\n")
    (mine / "awf").chmod(0o755)
    path = os.pathsep.join([str(OURS.parent), str(mine), "", str(original.directory), "/usr/bin"])

    assert find_awf(None, cwd=tmp_path, env={"PATH": path}) == original.path
    assert is_ours(OURS)


def test_without_one_on_path_that_is_said_with_the_ways_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find_awf(None, cwd=tmp_path, env={"PATH": str(OURS.parent)})

    assert caught.value.message == "executor 'awf-cli': no `awf` of the original tool on PATH"
    assert "executor_path: /path/to/awf" in str(caught.value.hint)


def test_a_named_program_has_to_be_one_and_not_this_command(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    (tmp_path / "plain").chmod(stat.S_IRUSR)

    for name, said in (("missing", "is no program"), ("plain", "is no program"), (str(OURS), "is this very command")):
        with pytest.raises(ConfigError) as caught:
            find_awf(name, cwd=tmp_path, env={})
        assert caught.value.message.startswith(f"executor_path: {tmp_path / name} {said}")
        assert "original tool's `awf`" in str(caught.value.hint)


class Own:
    def check(self) -> None:
        """Nothing to check."""

    def execute(self, request: ExecutionRequest) -> Any:
        raise NotImplementedError


def test_an_executor_of_a_plugin_is_found_by_its_name_and_checked_for_its_shape(tmp_path: Path) -> None:
    own = Own()
    executors = Executors({"own": own, "awf-cli": AwfCli()}, program=None, cwd=tmp_path, env={})

    assert executors.get("own", where="executor") is own
    assert executors.get("builtin", where="executor") is None
    assert executors.get(None, where="executor") is None
    assert isinstance(executors.get("awf-cli", where="executor"), Executor)
    with pytest.raises(ConfigError, match=r"executor 'broken': <object object at .*> has no `check` and `execute`"):
        Executors({"broken": object()}, program=None, cwd=tmp_path, env={})
    with pytest.raises(ConfigError, match="executor 'builtin': a plugin may not take this name, it is built in"):
        Executors({"builtin": own}, program=None, cwd=tmp_path, env={})


def test_a_registered_executor_gets_the_projects_program_directory_and_environment(
    original: OriginalAwf, tmp_path: Path
) -> None:
    env = {**os.environ, "AWF_INSIDE_AWF_CLI": "1"}
    executors = Executors({"awf-cli": AwfCli()}, program="original/awf", cwd=tmp_path, env={"PATH": ""})
    inside = Executors({"awf-cli": AwfCli()}, program="original/awf", cwd=tmp_path, env=env)

    found, nested = executors.get("awf-cli", where="executor"), inside.get("awf-cli", where="executor")

    assert found is not None
    assert nested is not None
    found.check()
    with pytest.raises(ConfigError, match="is not started from inside a run of its own"):
        nested.check()


def test_an_unknown_executor_is_answered_with_the_likely_one(tmp_path: Path) -> None:
    executors = Executors({"awf-cli": AwfCli()}, program=None, cwd=tmp_path, env={})

    with pytest.raises(ConfigError) as caught:
        executors.get("awf-clj", where=".awf/config.yaml:1: executor")

    assert caught.value.message == (
        ".awf/config.yaml:1: executor: unknown executor 'awf-clj'. Did you mean 'awf-cli'? (allowed: awf-cli, builtin)"
    )


def test_the_stand_in_speaks_the_tools_json(original: OriginalAwf, tmp_path: Path) -> None:
    original.plans("w", states={"a": DONE})
    executor(original, tmp_path).execute(request(tmp_path, storage=tmp_path / "kept"))

    states = [json.loads(file.read_text()) for file in (tmp_path / "kept/states").iterdir()]
    assert sorted(bool(state.get("ParentRunID")) for state in states) == [False, True]
