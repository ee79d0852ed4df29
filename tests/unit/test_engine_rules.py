"""The engine's small decisions: exit classes, error types, masking, durations, local directories, records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from awf_core.engine.run.run_end import error_type, exit_class
from awf_core.engine.secrets import MaskedOutput, mask, secret_values
from awf_core.engine.steps.script import prefer_local
from awf_core.extensions.conversation import Tokens
from awf_core.extensions.environment import read_environment
from awf_core.extensions.results import Run, RunError, StateRecord
from awf_core.lang.go.durations import SECOND_NS, duration_text

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("message", "exit_code"),
    [
        ("thing not found", 1),
        ("invalid permission not found", 1),
        ("an invalid permission", 2),
        ("a timeout", 3),
        ("exit code 4: permission denied", 3),
        ("permission denied", 4),
        ("boom", 3),
        ("Not Found", 3),
    ],
)
def test_the_exit_class_is_the_first_that_the_text_names(message: str, exit_code: int) -> None:
    assert exit_class(message) == exit_code


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [("USER.INPUT.MISSING_FILE", 1), ("WORKFLOW.PARSE.YAML_SYNTAX", 2), ("EXECUTION.X", 3), ("SYSTEM.IO", 4)],
)
def test_a_structured_code_goes_before_the_text(code: str, exit_code: int) -> None:
    assert exit_class("invalid timeout not found", code) == exit_code


def test_an_unknown_category_falls_back_to_the_text() -> None:
    assert exit_class("not found", "OTHER.THING") == 1


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("workflow reached terminal failure state: fail", "workflow"),
        ("step not found: x", "workflow"),
        ("thing not found", "user"),
        ("input validation failed: inputs.x: …", "user"),
        ("Permission denied", "system"),
        ("read: I/O error", "system"),
        ("step a: exit code 2", "execution"),
    ],
)
def test_the_error_type_is_guessed_from_the_text(message: str, kind: str) -> None:
    assert error_type(message) == kind


def test_secrets_are_text_inputs_with_a_telling_prefix_longest_first() -> None:
    inputs = {"TOKEN": "abc", "password_db": "abcdef", "api_key2": 5, "GITHUB_TOKEN": "shown", "SECRET_": ""}

    assert secret_values(inputs) == ("abcdef", "abc")


def test_a_secret_inside_another_is_masked_as_a_whole() -> None:
    assert mask("abcdef abc", ("abcdef", "abc")) == "*** ***"


def test_streamed_output_never_shows_a_secret_that_came_in_pieces() -> None:
    given: list[tuple[str, bytes]] = []
    output = MaskedOutput(("hush",), lambda stream, data: given.append((stream, data)))

    output("stdout", b"one hu")
    output("stdout", b"sh two\nhu")
    output("stdout", b"sh")
    output.flush()

    assert given == [("stdout", b"one *** two\n"), ("stdout", b"***")]


def test_streamed_output_without_secrets_is_handed_on_at_once() -> None:
    given: list[tuple[str, bytes]] = []

    MaskedOutput((), lambda stream, data: given.append((stream, data)))("stderr", b"half a li")

    assert given == [("stderr", b"half a li")]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (1.5, "1.5s"),
        (0.25, "250ms"),
        (0.0000015, "1.5µs"),
        (0.000000007, "7ns"),
        (62.5, "1m2.5s"),
        (3600, "1h0m0s"),
        (90061.001, "25h1m1.001s"),
        (1, "1s"),
        (60, "1m0s"),
    ],
)
def test_durations_are_written_as_the_language_does(seconds: float, text: str) -> None:
    assert duration_text(round(seconds * SECOND_NS)) == text


def test_a_projects_own_script_takes_the_place_of_the_global_one(tmp_path: Path) -> None:
    (tmp_path / ".awf/scripts").mkdir(parents=True)
    (tmp_path / ".awf/scripts/t.sh").touch()
    awf = {"scripts_dir": "/g/scripts", "prompts_dir": "/g/prompts"}
    workflow_file = tmp_path / ".awf/workflows/w.yaml"

    def local(text: str) -> str:
        return prefer_local(text, awf=awf, workflow_file=workflow_file).replace(str(tmp_path), "$WORK")

    assert local("bash /g/scripts/t.sh arg") == "bash $WORK/.awf/scripts/t.sh arg"
    assert local('bash "/g/scripts/u.sh"; x') == 'bash "/g/scripts/u.sh"; x'
    assert local("ls '/g/scripts'") == "ls '$WORK/.awf/scripts'"
    assert local("cat /g/prompts") == "cat /g/prompts"
    assert local("/g/scripts-old/t.sh") == "/g/scripts-old/t.sh"


def test_a_shell_that_does_not_exist_is_replaced() -> None:
    assert read_environment({"SHELL": "/no/such/shell"}).shell == "/bin/sh"
    assert read_environment({"SHELL": "sh"}).shell == "/bin/sh"
    assert read_environment({}).shell == "/bin/sh"


def test_the_awf_directories_follow_the_environment() -> None:
    plain = read_environment({"HOME": "/home/u"}).awf
    xdg = read_environment({"HOME": "/home/u", "XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d"}).awf
    own = read_environment({"HOME": "/home/u", "AWF_CONFIG_HOME": "/own"}).awf

    assert (plain["scripts_dir"], plain["data_dir"]) == (
        "/home/u/.config/awf/scripts",
        "/home/u/.local/share/awf",
    )
    assert (xdg["config_dir"], xdg["data_dir"]) == ("/c/awf", "/d/awf")
    assert own["prompts_dir"] == "/own/prompts"


def test_validate_knows_the_directories_that_runs_see() -> None:
    from awf_core.lang import lint_references

    seen = read_environment({"HOME": "/home/u"}).awf

    assert set(seen) == set(lint_references._AWF)


def test_a_record_shows_templates_only_what_its_step_has() -> None:
    plain = StateRecord(status="failed", output="o", exit_code=3)
    model = StateRecord(status="completed", response={"a": 1}, json=[1], tokens=Tokens(used=5))

    assert plain.as_scope() == {"Output": "o", "Stderr": "", "ExitCode": 3, "Status": "failed"}
    assert model.as_scope()["Response"] == {"a": 1}
    assert model.as_scope()["TokensUsed"] == 5


def test_bytes_that_are_no_text_become_replacement_characters_in_json() -> None:
    output = b"a\xffb".decode("utf-8", "surrogateescape")
    run = Run(
        run_id="r",
        workflow="w",
        status="completed",
        states={"a": StateRecord(status="completed", output=output)},
    )

    shown = json.loads(json.dumps(run.as_json(), ensure_ascii=False).encode("utf-8"))

    assert shown["states"]["a"]["Output"] == "a\ufffdb"


def test_the_json_of_a_run_has_the_documented_keys() -> None:
    run = Run(run_id="r", workflow="w", status="failed", error=RunError(message="m", code="USER.X", state="a"))

    shown = run.as_json()

    assert list(shown) == [
        "run_id",
        "workflow",
        "phase",
        "status",
        "exit_code",
        "context_exit_code",
        "final_state",
        "path",
        "states",
        "inputs",
        "outputs",
        "error",
        "duration_ms",
    ]
    assert shown["error"] == {"code": "USER.X", "message": "m"}
