"""What `awf validate` says of references in templates: errors where they can't hold, silence where they may."""

from __future__ import annotations

from pathlib import Path

import pytest

from awf_core.engine.steps import builtin_step_types
from awf_core.lang.lint import lint
from awf_core.lang.load import parse_workflow
from awf_core.lang.templates import compile_template

B = "b: {type: step, command: x, on_success: done}"
LATE = "(referenced step has not executed yet)"


def problems(text: str, *, head: str = "", known: tuple[str, ...] = ()) -> list[tuple[str, str, str]]:
    whole = f"name: w\n{head}\nstates:\n  initial: a\n  {text.strip()}\n  done: {{type: terminal}}\n"
    workflow = parse_workflow(whole.encode(), source=Path("w.yaml"), step_types=builtin_step_types())
    found = lint(workflow, given_inputs=known)
    return [(problem.severity, problem.field, problem.message) for problem in found if problem.field]


def errors(command: str, **how: object) -> list[str]:
    """The errors about `command` as that of the second of two steps."""
    text = f"a: {{type: step, command: x, on_success: b}}\n  b: {{type: step, command: '{command}', on_success: done}}"
    found = problems(text, **how)  # type: ignore[arg-type]
    assert all((severity, place) == ("error", "steps.b") for severity, place, _ in found)
    return [message for _, _, message in found]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("{{.inputs.q}}", 'undefined input "q" referenced in command'),
        ("{{inputs.q}}", 'undefined input "q" referenced in command'),
        ("{{escape .inputs.q}}", 'undefined input "q" referenced in command'),
        ("{{.inputs.q | trimSpace}}", 'undefined input "q" referenced in command'),
        ("{{if .inputs.q}}x{{end}}", 'undefined input "q" referenced in command'),
        ("{{range $.inputs.q}}x{{end}}", 'undefined input "q" referenced in command'),
        ("{{(.inputs.q)}}", 'undefined input "q" referenced in command'),
        ("{{.states.zz.Output}}", 'undefined step "zz" referenced in command'),
        ("{{.states.b.Output}}", f'forward reference to step "b" in command {LATE}'),
        ("{{.states.done.Output}}", f'forward reference to step "done" in command {LATE}'),
        ("{{.states.a.output}}", 'invalid state property "output" for step "a" in command, use \'Output\' instead'),
        (
            "{{.states.a.exit_code}}",
            'invalid state property "exit_code" for step "a" in command, use \'ExitCode\' instead',
        ),
        ("{{states.a.stdout}}", 'invalid state property "stdout" for step "a" in command'),
        ("{{.workflow.id}}", 'invalid workflow property "id" in command'),
        ("{{.awf.script_dir}}", 'invalid awf property "script_dir" in command'),
        ("{{.context.working_dir}}", 'invalid context property "working_dir" in command'),
        ("{{context.WorkingDir}}", 'invalid context property "WorkingDir" in command'),
        ("{{.error.Message}}", 'error reference "{{.error.Message}}" used outside of error hook context in command'),
        ("{{.loop.Item}}", 'loop reference "{{.loop.Item}}" used outside of a loop in command'),
        ("{{.nope.x}}", 'unknown reference type "{{.nope.x}}" in command'),
    ],
)
def test_a_reference_that_fails_every_run_is_an_error_in_the_original_tools_words(command: str, said: str) -> None:
    assert errors(command) == [said]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("{{loop.Item}}", 'invalid loop property "Item" in command'),
        ("{{loop.item}}", None),
        ("{{context.WorkingDir}}", 'invalid context property "WorkingDir" in command'),
        ("{{context.working_dir}}", None),
    ],
)
def test_what_the_original_accepts_although_every_run_fails_is_an_error(command: str, said: str | None) -> None:
    text = (
        "a: {type: for_each, items: x, body: [b], on_complete: done}\n"
        f"  b: {{type: step, command: '{command}', on_success: a}}"
    )

    assert problems(text) == ([("error", "steps.b", said)] if said else [])


@pytest.mark.parametrize(
    "command",
    [
        "{{.awf.scripts_dir}}",
        "{{.env.ANY}}",
        "{{.states.a.Output}} {{.states.a.Response.x}} {{.states.a.JSON}}",
        "{{.workflow.Duration}} {{.workflow.ID}} {{context.working_dir}} {{.context.Hostname}}",
        "{{if false}}{{.inputs.q}}{{.states.zz.Output}}{{end}}",
        "{{with .states.a}}{{.output}}{{end}}",
        "{{and false .inputs.q}} {{or true .inputs.q}}",
        '{{index .inputs "q"}}',
        '{{define "t"}}{{.inputs.q}}{{end}}',
        "{{$x := 1}}{{$x}}",
        "no reference, {{/* .inputs.q */}}",
    ],
)
def test_a_reference_that_may_hold_is_none(command: str) -> None:
    assert errors(command) == []


def test_an_input_that_is_declared_or_given_is_none() -> None:
    assert errors("{{.inputs.q}}", head="inputs: [{name: q}]") == []
    assert errors("{{.inputs.q}}", known=("q",)) == []


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        ("", ("error", "steps.a", 'undefined input "m" referenced in max_iterations')),
        # Every run fails: no success can be reached from its handler.
        (", on_failure: bad", ("error", "steps.a", 'undefined input "m" referenced in max_iterations')),
        (", on_failure: rescue", None),
    ],
)
@pytest.mark.parametrize("limit", ["{{.inputs.m}}", "{{inputs.m}} * 2"])
def test_an_undefined_input_in_a_limit_is_an_error_unless_a_run_can_complete(
    limit: str, tail: str, said: tuple[str, str, str] | None
) -> None:
    text = (
        f"a: {{type: for_each, items: x, max_iterations: '{limit}', body: [b], on_complete: done{tail}}}\n"
        "  b: {type: step, command: x, on_success: a}\n  bad: {type: terminal, status: failure}\n"
        "  rescue: {type: step, command: x, on_success: done}"
    )

    assert problems(text) == ([said] if said else [])


FORWARD = ("error", "steps.a", f'forward reference to step "b" in command {LATE}')
READS = "type: step, command: '{{.states.b.Output}}'"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"a: {{{READS}, on_success: b}}\n  {B}", [FORWARD]),
        # Only a cycle that passes `a` first leads from b back to it.
        (f"a: {{{READS}, on_success: b}}\n  b: {{type: step, command: x, on_success: a}}", [FORWARD]),
    ],
)
def test_a_state_that_comes_later_on_every_path_has_not_run(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert problems(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        # declared later, run earlier
        (
            "a: {type: step, command: x, on_success: c}\n  b: {type: step, command: x, on_success: d}\n"
            "  c: {type: step, command: x, on_success: b}\n  d: {type: step, command: '{{.states.b.Output}}', on_success: done}"
        ),
        # only one of two paths leads past it
        (
            "a: {type: step, command: x, on_success: b, on_failure: c}\n  b: {type: step, command: x, on_success: c}\n"
            "  c: {type: step, command: '{{.states.b.Output}}', on_success: done}"
        ),
        # through a transition
        (
            "a: {type: step, command: x, transitions: [{goto: b}]}\n  b: {type: step, command: x, on_success: c}\n"
            "  c: {type: step, command: '{{.states.b.Output}}', on_success: done}"
        ),
        # in the body of a loop, an earlier state and one of the round before
        (
            "a: {type: for_each, items: x, body: [b, c], on_complete: d}\n  b: {type: step, command: '{{if .loop.Index}}y{{end}}', on_success: a}\n"
            "  c: {type: step, command: '{{.states.b.Output}}{{.loop.Item}}', on_success: a}\n"
            "  d: {type: step, command: '{{.states.c.Output}}', on_success: done}"
        ),
        # a branch of a parallel step, and one beside it
        (
            "a: {type: parallel, parallel: [b, c], on_success: d}\n  b: {type: step, command: x}\n"
            "  c: {type: step, command: '{{.states.b.Output}}'}\n  d: {type: step, command: '{{.states.b.Output}}', on_success: done}"
        ),
        # a loop in a branch of a parallel step
        (
            "a: {type: parallel, parallel: [l], on_success: d}\n  l: {type: while, while: 'false', body: [b], on_complete: d}\n"
            "  b: {type: step, command: '{{.loop.Index}}', on_success: l}\n  d: {type: step, command: '{{.states.b.Output}}', on_success: done}"
        ),
        # its own output after it has run
        "a: {type: step, command: x, hooks: {post: [{log: '{{.states.a.Output}}'}]}, on_success: done}",
    ],
)
def test_a_state_that_may_have_run_is_not_complained_about(text: str) -> None:
    assert [found for found in problems(text) if "forward" in found[2] or "loop" in found[2]] == []


def test_what_fails_in_a_hook_or_a_message_is_only_warned_of_because_the_run_goes_on() -> None:
    head = "hooks: {workflow_end: [{command: 'x {{.error.Message}}'}], workflow_error: [{log: '{{.error.Message}}'}]}"
    text = (
        "a: {type: step, command: x, hooks: {pre: [{log: '{{.states.a.Output}}'}]}, on_success: done, on_failure: bad}\n"
        "  bad: {type: terminal, status: failure, message: '{{.states.zz.Output}}'}"
    )

    assert problems(text, head=head) == [
        (
            "warning",
            "hooks.workflow_end",
            'error reference "{{.error.Message}}" used outside of error hook context in command',
        ),
        ("warning", "steps.a.hooks.pre", f'forward reference to step "a" in log {LATE}'),
        ("warning", "steps.bad", 'undefined step "zz" referenced in message'),
    ]


def test_a_start_hook_that_can_not_work_is_an_error_because_it_ends_the_run() -> None:
    found = problems(
        "a: {type: step, command: x, on_success: done}", head="hooks: {workflow_start: [{log: '{{.loop.x}}'}]}"
    )

    assert found == [("error", "hooks.workflow_start", 'invalid loop property "x" in log')]


def test_a_template_that_does_not_compile_has_no_references() -> None:
    assert list(compile_template("{{.inputs.q}} {{").references()) == []
    assert [one.text for one in compile_template("{{.inputs.q}} {{inputs.r}}").references()] == [
        ".inputs.q",
        "inputs.r",
    ]


def test_the_references_of_a_long_workflow_are_judged_quickly() -> None:
    count = 400
    steps = "".join(
        f"  s{n}: {{type: step, command: '{{{{.states.s{n - 1}.Output}}}}', on_success: s{n + 1}}}\n"
        for n in range(1, count)
    )
    text = f"a: {{type: step, command: x, on_success: s0}}\n  s0: {{type: step, command: x, on_success: s1}}\n{steps}  s{count}: {{type: terminal}}"

    assert problems(text) == []
