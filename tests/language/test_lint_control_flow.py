"""What `awf validate` says of loops, parallel steps and calls, which load and yet will not do what they seem to."""

from __future__ import annotations

from pathlib import Path

import pytest

from awf_core.engine.steps import builtin_step_types
from awf_core.lang.lint import lint
from awf_core.lang.load import parse_workflow

BODY = "{type: step, command: x, on_success: a}"


def findings(a: str, b: str = BODY, more: str = "") -> list[tuple[str, str]]:
    text = f"name: w\nstates:\n  initial: a\n  a: {a}\n  b: {b}\n  done: {{type: terminal}}\n{more}"
    workflow = parse_workflow(text.encode(), source=Path("w.yaml"), step_types=builtin_step_types())
    return [(problem.severity, problem.message) for problem in lint(workflow)]


@pytest.mark.parametrize(
    "a",
    [
        "{type: for_each, items: x, body: [b], on_complete: done}",
        "{type: while, while: 'loop.Index < 2', break_when: 'states.b.ExitCode == 0', body: [b], on_complete: done}",
        "{type: parallel, parallel: [b], on_success: done}",
    ],
)
def test_control_flow_that_works_is_not_complained_about(a: str) -> None:
    assert findings(a) == []


@pytest.mark.parametrize(
    ("a", "expected"),
    [
        (
            "{type: for_each, items: x, body: [b, b], on_complete: done}",
            ("error", "states.a.body: duplicate step 'b' in loop body at indices 0 and 1"),
        ),
        (
            "{type: parallel, parallel: [b, zz], on_success: done}",
            ("warning", "states.a.parallel: 'zz' is no state of this workflow"),
        ),
        (
            "{type: parallel, parallel: [b, done], on_success: done}",
            ("warning", "states.a.parallel: 'done' is a terminal, which can't be run"),
        ),
        (
            "{type: for_each, items: '{{.inputs.l}}', body: [b], on_complete: done}",
            ("error", 'undefined input "l" referenced in items'),
        ),
        (
            "{type: while, while: 'inputs.n > 1', body: [b], on_complete: done}",
            ("warning", "states.a.while: input 'n' is not declared"),
        ),
        (
            "{type: for_each, items: x, max_iterations: '{{.inputs.m}}', body: [b], on_complete: done}",
            ("error", 'undefined input "m" referenced in max_iterations'),
        ),
        (
            "{type: for_each, items: x, max_iterations: '{{.inputs.m}}', body: [b], on_complete: done, on_failure: done}",
            ("warning", "states.a.max_iterations: input 'm' is not declared"),
        ),
    ],
)
def test_what_is_wrong_with_a_loop_or_its_branches_is_named(a: str, expected: tuple[str, str]) -> None:
    assert findings(a) == [expected]


@pytest.mark.parametrize(("key", "severity"), [("while", "error"), ("break_when", "warning")])
def test_a_condition_that_never_compiles_is_an_error_where_it_fails_the_loop(key: str, severity: str) -> None:
    loop = {"while": "'true'", "break_when": "'false'", key: "'{{.loop.Index}} < 3'"}

    found = findings(
        f"{{type: while, while: {loop['while']}, break_when: {loop['break_when']}, body: [b], on_complete: done}}"
    )

    assert [one for one, _ in found] == [severity]
    assert found[0][1].startswith(f"states.a.{key}: evaluate bool expression: compile expression: ")


def test_a_loop_that_goes_nowhere_and_a_jump_that_is_lost_are_warned_of() -> None:
    found = findings(
        "{type: for_each, items: x, body: [b]}", "{type: step, command: x, transitions: [{goto: nowhere}]}"
    )

    assert found == [
        ("warning", "states.a: has no on_complete, so the run fails after the loop unless its body leads out of it"),
        ("warning", "states.b.transitions: no state 'nowhere', so the loop goes on instead"),
        ("warning", "state 'done' is never reached"),
    ]


def test_uses_of_what_branches_lose_are_warned_of() -> None:
    found = findings(
        "{type: parallel, parallel: [b], on_success: c}",
        more="  c: {type: step, command: '{{.states.b.JSON}} {{.states.b.Output}}', on_success: done}\n",
    )

    assert found == [
        ("warning", "states.c.command: states.b.JSON is lost after the parallel step, which keeps only the output")
    ]


def test_a_call_of_the_workflow_itself_and_outputs_that_do_nothing_are_named() -> None:
    found = findings("{type: call_workflow, workflow: w, outputs: {b: x}, on_success: b}", "{type: terminal}")

    assert found == [
        (
            "warning",
            "states.a.outputs: nothing of the called workflow becomes visible here; pass data by files",
        ),
        ("error", "states.a.workflow: calls the workflow it is in, which fails"),
        ("warning", "state 'done' is never reached"),
    ]
