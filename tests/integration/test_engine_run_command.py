"""`awf run` as a person meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from awf_core.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable

AWF = Path(sys.executable).with_name("awf")
GREET = """
name: greet
inputs: [{name: who, required: true}, {name: greeting, default: Hello}]
outputs: [{name: said, from: states.say.Output}]
states:
  initial: say
  say: {type: step, command: 'echo "{{.inputs.greeting}} {{.inputs.who}}"', on_success: done, on_failure: fail}
  done: {type: terminal}
  fail: {type: terminal, status: failure, message: could not greet}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".awf/workflows").mkdir(parents=True)
    (tmp_path / ".awf/prompts").mkdir()
    (tmp_path / ".awf/workflows/greet.yaml").write_text(GREET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def awf(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["run", *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def until(condition: Callable[[], bool], limit_s: float = 10.0) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    return condition()


def test_text_goes_to_stderr_and_nothing_to_stdout_by_default(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = awf("greet", "--input", "who=World")

    out, err = capfd.readouterr()
    assert (code, out) == (0, "")
    assert err.startswith("greet: completed at 'done' after ")


@pytest.mark.parametrize("mode", ["streaming", "buffered"])
def test_step_output_goes_to_stdout_when_asked_for(project: Path, capfd: pytest.CaptureFixture[str], mode: str) -> None:
    awf("greet", "--input", "who=World", "--output", mode)

    assert capfd.readouterr().out == "Hello World\n"


def test_a_failed_run_says_what_and_where_and_exits_by_its_class(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "flow.yaml").write_text(GREET.replace("command: ", "dir: /no/such/dir, command: "))

    code = awf("flow.yaml", "--input", "who=World")

    err = capfd.readouterr().err
    assert code == 3
    assert "greet: failed at 'fail'" in err
    assert "Error: could not greet" in err


def test_json_is_one_object_with_everything(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    awf("greet", "--format", "json", "--input", "who=World", "--output", "streaming")

    shown: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert shown["outputs"] == {"said": "Hello World\n"}
    assert shown["inputs"] == {"greeting": "Hello", "who": "World"}
    assert (shown["workflow"], shown["phase"], shown["error"]) == ("greet", None, None)


def test_inputs_come_from_configuration_file_and_command_line_in_that_order(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / ".awf/config.yaml").write_text("inputs: {who: config, greeting: Hi, level: 1}\n")
    (project / "in.json").write_text('{"who": "file", "level": 2}')

    awf("greet", "--format", "json", "--inputs-file", "in.json", "--input", " who = line ")

    shown = json.loads(capfd.readouterr().out)
    assert shown["inputs"] == {"who": "line", "greeting": "Hi", "level": 2}


def test_a_prompt_file_stands_for_an_input(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / ".awf/prompts/who.md").write_text("\n a prompt \n\n")

    awf("greet", "--input", "who=@prompts/who.md", "--output", "streaming")

    assert capfd.readouterr().out == "Hello a prompt\n"


@pytest.mark.parametrize(
    ("arguments", "code", "texts"),
    [
        (["greet"], 1, ["missing required inputs", "Missing: who. Give --input who=…"]),
        (["greet", "-i", "who"], 1, ["--input 'who' is not of the form key=value", "--input name=value"]),
        (["greet", "-i", "=x"], 1, ["--input '=x' is not of the form key=value"]),
        (["greet", "-i", "who=@prompts/no.md"], 1, ["prompt file not found: no.md", "Searched: "]),
        (["greet", "-i", "who=@prompts/../x"], 1, ["@prompts/../x: not the name of a prompt file", "without '..'"]),
        (["gret", "-i", "who=x"], 1, ["workflow not found: gret", "Did you mean 'greet'?"]),
        (["greet", "--inputs-file", "no.json"], 1, ["--inputs-file no.json: No such file or directory"]),
        (["greet", "--inputs-file", "list.json"], 1, ["--inputs-file list.json: contains a list, not a mapping"]),
        (["greet", "--inputs-file", "bad.json"], 1, ["--inputs-file bad.json: not YAML or JSON"]),
        (["broken"], 2, ["required field missing"]),
    ],
)
def test_what_keeps_a_run_from_beginning_is_said_with_a_way_out(
    project: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], code: int, texts: list[str]
) -> None:
    (project / "list.json").write_text("[1]")
    (project / "bad.json").write_text("{")
    (project / ".awf/workflows/broken.yaml").write_text("name: x\n")

    assert awf(*arguments) == code

    out, err = capfd.readouterr()
    assert out == ""
    for text in texts:
        assert text in err


def test_a_broken_project_file_is_the_users_error(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / ".awf/config.yaml").write_text("inputs: [1]\n")

    assert awf("greet", "--format", "json") == 1

    shown = json.loads(capfd.readouterr().out)
    assert (shown["phase"], shown["status"], shown["final_state"]) == ("config", None, None)
    assert "inputs: not a mapping" in shown["error"]["message"]


def test_a_run_that_never_began_has_the_same_keys_in_json(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    awf("greet", "--format", "json", "--input", "who=x")
    began = json.loads(capfd.readouterr().out)

    awf("greet", "--format", "json")
    refused = json.loads(capfd.readouterr().out)

    assert list(refused) == list(began)
    assert refused["error"]["code"] == "USER.INPUT.VALIDATION_FAILED"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_run_and_its_hooks_still_run(project: Path, number: signal.Signals) -> None:
    (project / "long.yaml").write_text(
        "name: long\n"
        "hooks: {workflow_cancel: [{log: 'cancelled {{.workflow.Name}}'}]}\n"
        "states:\n"
        "  initial: a\n"
        "  a: {type: step, command: 'touch begun; sleep 613', on_success: done}\n"
        "  done: {type: terminal}\n"
    )
    process = subprocess.Popen(
        [AWF, "run", "long.yaml", "--format", "json"],
        cwd=project,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert until((project / "begun").exists)

    process.send_signal(number)
    out, err = process.communicate(timeout=10)

    assert process.returncode == 3
    shown = json.loads(out)
    assert (shown["status"], shown["path"]) == ("cancelled", ["a"])
    assert b"info: cancelled long" in err


def test_a_reader_that_goes_away_stops_the_step_that_writes(project: Path) -> None:
    (project / "loud.yaml").write_text(
        "name: loud\n"
        "states:\n"
        "  initial: a\n"
        "  a: {type: step, command: 'echo $$ > pid; yes', on_success: done}\n"
        "  done: {type: terminal}\n"
    )
    process = subprocess.Popen(
        [AWF, "run", "loud.yaml", "--output", "streaming"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(4) == b"y\ny\n"

    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()

    assert process.wait(10) == 3
    assert b"loud: cancelled at 'a'" in err
    assert b"Traceback" not in err
    assert b"BrokenPipe" not in err
    step = Path("/proc") / (project / "pid").read_text().strip()
    assert until(lambda: not step.exists())
