"""`awf validate` warns of each place where a message's value may become shell syntax."""

from __future__ import annotations

from pathlib import Path

import pytest

from awf_core.engine.steps import builtin_step_types
from awf_core.lang.lint import lint
from awf_core.lang.load import parse_workflow

HEAD = "name: w\ninputs: [{name: x}, {name: y}]\n"
END = "  done: {type: terminal}\n"


def warnings(states: str, tmp_path: Path, *, more: str = "") -> list[str]:
    text = f"{HEAD}{more}states:\n  initial: a\n{states}{END}"
    workflow = parse_workflow(text.encode(), source=tmp_path / "w.yaml", step_types=builtin_step_types())
    return [problem.message for problem in lint(workflow) if "a shell reads as syntax there" in problem.message]


@pytest.mark.parametrize(
    ("command", "place"),
    [
        ("echo {{.inputs.x}}", "{{.inputs.x}} stands outside of quotes"),
        ("echo '{{json .inputs.x}}'", "{{json .inputs.x}} stands within single quotes"),
        ("{{if .inputs.y}}echo {{.inputs.x}}{{end}}", "{{.inputs.x}} stands outside of quotes"),
        ('{{range split .inputs.x ","}}echo {{.}};{{end}}', "{{.}} stands outside of quotes"),
        ("echo '{{escape .inputs.x}}'", "{{escape .inputs.x}} stands within single quotes"),
        ("sh -c {{escape .inputs.x}}", "{{escape .inputs.x}} stands in what another shell reads"),
    ],
)
def test_a_command_with_a_value_that_is_not_quoted_is_a_warning_with_its_place(
    command: str, place: str, tmp_path: Path
) -> None:
    quoted = command.replace("'", "''")

    (warning,) = warnings(f"  a: {{type: step, command: '{quoted}', on_success: done}}\n", tmp_path)

    assert warning.startswith(f"states.a.command: {place}: a worker refuses a message")


@pytest.mark.parametrize("command", ["echo {{escape .inputs.x}}", "echo {{.states.a.Output}}", 'echo "$x"'])
def test_a_command_that_quotes_or_reads_the_environment_is_none(command: str, tmp_path: Path) -> None:
    quoted = command.replace("'", "''")

    assert warnings(f"  a: {{type: step, command: '{quoted}', on_success: done}}\n", tmp_path) == []


def test_hooks_loops_and_scripts_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "s.sh").write_text("echo {{.inputs.x}}\n")
    states = (
        "  a: {type: for_each, items: '{{.inputs.y}}', body: [b, c], on_complete: done}\n"
        "  b: {type: step, command: 'echo {{.loop.Item}} {{.loop.Index}}', on_success: a}\n"
        "  c: {type: step, script_file: s.sh, on_success: a, hooks: {pre: [{command: 'echo {{.inputs.y}}'}]}}\n"
    )

    found = warnings(states, tmp_path)

    assert [warning.partition(" stands ")[0] for warning in found] == [
        "states.b.command: {{.loop.Item}}",
        "states.c.hooks.pre: {{.inputs.y}}",
        "states.c.script_file: {{.inputs.x}}",
    ]


def test_text_that_no_shell_reads_is_none(tmp_path: Path) -> None:
    state = "  a: {type: agent, provider: claude, prompt: 'Say {{.inputs.x}}', on_success: done}\n"

    assert warnings(state, tmp_path) == []


def test_a_workflow_that_allows_it_has_no_warning(tmp_path: Path) -> None:
    state = "  a: {type: step, command: 'echo {{.inputs.x}}', on_success: done}\n"

    assert warnings(state, tmp_path, more="unsafe_inputs: allow\n") == []
