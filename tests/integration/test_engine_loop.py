"""Loops: what they go through, how their bodies are routed, and every way they end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from engine_kit import Kit, failing

from awf_core.engine.run.visit import MAX_NESTING
from awf_core.extensions.deadline import Cancel

if TYPE_CHECKING:
    from pathlib import Path

    from awf_core.extensions.results import Run
    from awf_core.extensions.steps import StepContext, StepResult


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path, fail=lambda _: failing(), stderr=lambda _: failing("why\n", stderr="why\n", exit_code=4))


def said(kit: Kit, states: str, **options: object) -> tuple[list[str], Run]:
    """What the `do: note` steps of a run said, in order."""
    notes: list[str] = []

    def note(context: StepContext) -> None:
        notes.append(context.execution.workflow.states["b"].spec.say.render(context.scope))  # type: ignore[attr-defined]

    local = Kit(kit.cwd, note=note, fail=lambda _: failing())
    run = local.run(states, **options)
    kit.events = local.events
    return notes, run


@pytest.mark.parametrize(
    ("items", "printed"),
    [
        ("'[1, 2.5, 1e3, -0.0, 123456789012]'", ["1", "2.5", "1000", "-0", "123456789012"]),
        ("""'[null, true, "x y", {"b": [1], "a": "<"}]'""", ["null", "true", "x y", r'{"a":"\u003c","b":[1]}']),
        ("[one, 2, {k: v}]", ["one", "2", '{"k":"v"}']),
        ("'p, q ,,r'", ["p", "q", "", "r"]),
        ("'null'", []),
        ("'[]'", []),
        ("""'{"a":1,"b":2}'""", ['{"a":1', '"b":2}']),
        ("'[NaN]'", ["[NaN]"]),
        ("'[1e999]'", ["[1e999]"]),
        ('"two\\nlines"', ["two\nlines"]),
    ],
)
def test_items_are_the_elements_of_a_json_array_or_the_parts_between_commas(
    kit: Kit, items: str, printed: list[str]
) -> None:
    states = f"""
  a: {{type: for_each, items: {items}, body: [b], on_complete: done}}
  b: {{type: do, do: note, say: '{{{{.loop.Item}}}}', on_success: a}}"""

    notes, run = said(kit, states)

    assert notes == printed
    assert run.states["a"].output == f"completed {len(printed)} iterations"


def test_items_may_come_from_an_input_and_a_template_that_fails_fails_the_loop(kit: Kit) -> None:
    states = """
  a: {type: for_each, items: '{{.inputs.l}}', body: [b], on_complete: done}
  b: {type: do, do: note, say: '{{.loop.Item}}', on_success: a}"""

    notes, _ = said(kit, states, inputs={"l": '["x"]'})
    _, failed = said(kit, states)

    assert notes == ["x"]
    assert failed.error is not None
    assert failed.error.message.startswith("resolve items: undefined variable: ")
    assert failed.status == "failed"


def test_a_loop_has_its_variables_and_those_around_it_as_parents(kit: Kit) -> None:
    notes, run = said(
        kit,
        """
  a: {type: for_each, items: 'p,q', body: [m], on_complete: after}
  m: {type: while, while: 'loop.Index < 1', body: [i], on_complete: a}
  i: {type: for_each, items: 'x', body: [b], on_complete: m}
  b:
    type: do
    do: note
    say: '{{.loop.Item}}{{.loop.Index1}}{{.loop.First}}{{.loop.Last}}{{.loop.Length}}
      {{.loop.Parent.Index}}{{.loop.Parent.Length}}{{.loop.Parent.Last}}
      {{loop.parent.parent.item}}{{.loop.Parent.Parent.Parent}}'
    on_success: i
  after: {type: step, command: 'echo {{.loop.Item}}', on_success: done}""",
    )

    assert notes == ["x1truetrue1 0-1false p<nil>", "x1truetrue1 0-1false q<nil>"]
    assert run.error is not None
    assert run.error.message.startswith("interpolate command: ")


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("3", 3),
        ("'3'", 3),
        ("' 3 '", 3),
        ("'{{.inputs.n}}'", 2),
        ("'{{.inputs.n}} * 2 + 1'", 5),
        ("'7 / 2'", 3),
        ("'7 % 4'", 3),
        ("0", 9),
        ("''", 9),
        ("2.5", 9),
        ("[1]", 9),
        ("'+4'", 4),
    ],
)
def test_max_iterations_is_a_number_a_template_or_arithmetic(kit: Kit, written: str, count: int) -> None:
    run = kit.run(
        f"""
  a: {{type: for_each, items: '[1,2,3,4,5,6,7,8,9]', max_iterations: {written}, body: [b], on_complete: done}}
  b: {{type: do, on_success: a}}""",
        inputs={"n": "2"},
    )

    assert run.states["a"].output == f"completed {count} iterations"


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("'{{.inputs.n}} - 2'", "max_iterations value 0 must be at least 1"),
        ("'10001'", "max_iterations value 10001 exceeds maximum allowed limit of 10000"),
        ("'-3'", "max_iterations value -3 must be at least 1"),
        ("two", 'max_iterations value "two" is invalid: must be an integer'),
        ("'99999999999999999999'", 'max_iterations value "99999999999999999999" is invalid: must be an integer'),
        ("'2 +'", 'max_iterations expression "2 +" evaluation failed: compile expression: '),
        ("'{{.inputs.x}}'", "resolve max_iterations expression: undefined variable: "),
    ],
)
def test_a_max_iterations_without_a_usable_number_fails_the_loop(kit: Kit, written: str, why: str) -> None:
    run = kit.run(
        f"""
  a: {{type: while, while: 'true', max_iterations: {written}, body: [b], on_complete: done}}
  b: {{type: do, on_success: a}}""",
        inputs={"n": "2"},
    )

    assert run.error is not None
    assert run.error.message.startswith(f"resolve max_iterations: {why}")
    assert run.states["a"].error == run.error.message
    assert kit.events.started == ["w.a"]


def test_a_body_state_leads_on_within_the_body_or_out_of_the_loop(kit: Kit) -> None:
    run = kit.run(
        """
  a: {type: for_each, items: 'p,q', body: [b, c, d], on_complete: done}
  b: {type: do, transitions: [{when: 'loop.Index == 0', goto: d}, {goto: c}]}
  c: {type: do, on_success: out}
  d: {type: do, on_success: nowhere-at-all}
  out: {type: do, on_success: done}""".replace("on_success: nowhere-at-all", "transitions: [{goto: nowhere}]")
    )

    assert run.path == ("a", "b", "d", "b", "c", "out", "done")
    assert run.states["a"].output == "completed 2 iterations"
    assert kit.events.logs == ["warn: transition target not found in workflow, continuing sequential"]


def test_an_inner_loop_that_is_left_leads_on_in_the_outer_body(kit: Kit) -> None:
    run = kit.run(
        """
  a: {type: for_each, items: 'p', body: [i, skipped, last], on_complete: done}
  i: {type: for_each, items: 'x,y,z', body: [b], on_complete: skipped}
  b: {type: do, transitions: [{when: 'loop.Item == "y"', goto: last}]}
  skipped: {type: do, on_success: last}
  last: {type: do, on_success: a}"""
    )

    assert run.path == ("a", "i", "b", "b", "last", "done")


@pytest.mark.parametrize("where", ["c", "out", "nowhere"])
def test_a_failed_body_state_that_leads_anywhere_but_to_its_loop_fails_the_loop(kit: Kit, where: str) -> None:
    run = kit.run(
        f"""
  a: {{type: for_each, items: 'p', body: [b, c], on_complete: done, on_failure: rescue}}
  b: {{type: do, do: fail, transitions: [{{goto: {where}}}]}}
  c: {{type: do, on_success: a}}
  out: {{type: do, on_success: done}}
  rescue: {{type: do, on_success: done}}"""
    )

    assert run.path == ("a", "b", "rescue", "done")
    assert run.states["a"].error == "step b failed: no"


def test_a_failed_body_state_may_lead_anywhere_when_errors_do_not_matter(kit: Kit) -> None:
    run = kit.run(
        """
  a: {type: for_each, items: 'p', body: [b, c], on_complete: done}
  b: {type: do, do: fail, continue_on_error: true, on_success: out}
  c: {type: do, on_success: a}
  out: {type: do, on_success: done}"""
    )

    assert run.path == ("a", "b", "out", "done")


def test_a_body_state_with_nowhere_to_go_fails_the_loop_with_its_own_words(kit: Kit) -> None:
    run = kit.run(
        """
  a: {type: for_each, items: 'p,q', body: [b], on_complete: done}
  b: {type: do, do: stderr}"""
    )

    assert (run.status, run.exit_code, run.final_state) == ("failed", 3, "a")
    assert run.error is not None
    assert run.error.message == run.states["a"].error == "step b: why\n"


def test_a_template_that_fails_in_the_body_is_a_failure_of_the_loop(kit: Kit) -> None:
    run = kit.run(
        """
  a: {type: for_each, items: 'p', body: [b], on_complete: done, on_failure: rescue}
  b: {type: step, command: 'echo {{.inputs.nope}}', on_success: a}
  rescue: {type: do, on_success: done}"""
    )

    assert run.path == ("a", "b", "rescue", "done")
    assert run.states["a"].error.startswith("interpolate command: undefined variable: ")
    assert "b" not in run.states


@pytest.mark.parametrize("body", ["{type: terminal}", "{type: operation, operation: http.request}"])
def test_a_terminal_or_an_operation_in_a_body_starts_and_fails_the_loop(kit: Kit, body: str) -> None:
    run = kit.run(
        f"""
  a: {{type: for_each, items: 'p', body: [b], on_complete: done, on_failure: rescue}}
  b: {body}
  rescue: {{type: do, on_success: done}}"""
    )

    assert run.path == ("a", "b", "rescue", "done")
    assert run.states["a"].error == "step b: step type provider not configured"
    assert (run.states["b"].status, run.states["b"].error) == ("failed", "step type provider not configured")
    assert kit.events.started == ["w.a", "w.b", "w.rescue"]


def test_break_when_swallows_the_failure_of_its_iteration(kit: Kit) -> None:
    run = kit.run(
        """
  a: {type: for_each, items: 'p,q', body: [b], on_complete: done, break_when: 'states.b.ExitCode == 1'}
  b: {type: do, do: fail}"""
    )

    assert run.status == "completed"
    assert run.states["a"].output == "completed 1 iterations"


@pytest.mark.parametrize("written", ["loop.Index + ", "{{.loop.Index}} > 0", "loop.Index.x > 1"])
def test_a_break_when_that_can_not_be_evaluated_is_a_warning_each_time(kit: Kit, written: str) -> None:
    run = kit.run(
        f"""
  a: {{type: for_each, items: 'p,q', body: [b], on_complete: done, break_when: '{written}'}}
  b: {{type: do, on_success: a}}"""
    )

    assert run.status == "completed"
    assert len(kit.events.logs) == 2
    assert kit.events.logs[0].startswith("warn: break condition evaluation failed | ")


def test_a_while_that_can_not_be_evaluated_fails_the_loop(kit: Kit) -> None:
    run = kit.run(
        """
  a: {type: while, while: '{{.loop.Index}} < 3', body: [b], on_complete: done}
  b: {type: do, on_success: a}"""
    )

    assert run.error is not None
    assert run.error.message.startswith("evaluate condition: evaluate bool expression: compile expression: ")
    assert kit.events.started == ["w.a"]


@pytest.mark.parametrize(
    ("loop", "status", "path_end"),
    [
        ("max_iterations: 2, on_complete: done", "completed", "done"),
        ("max_iterations: '2', on_complete: done", "completed", "done"),
        ("max_iterations: 2", "failed", "b"),
        ("max_iterations: '2'", "failed", "b"),
    ],
)
def test_a_while_at_its_limit_after_failures_ends_well_only_with_somewhere_to_go(
    kit: Kit, loop: str, status: str, path_end: str
) -> None:
    run = kit.run(
        f"""
  a: {{type: while, while: 'true', {loop}, body: [b]}}
  b: {{type: do, do: fail, on_failure: a}}"""
    )

    assert (run.status, run.path[-1]) == (status, path_end)
    assert kit.events.logs == ["warn: while loop hit max iterations"]
    if status == "failed":
        # Only a limit that is a plain number makes it a failure of the loop itself.
        why = "while loop a: loop reached maximum iterations with step failures"
        assert run.error is not None
        assert run.error.message == (why if "'" not in loop else "step not found: ")


def test_a_loop_runs_its_hooks_once_and_has_the_loop_of_its_body_only_inside(kit: Kit) -> None:
    run = kit.run(
        """
  a:
    type: for_each
    items: 'p,q'
    body: [b]
    on_complete: done
    hooks: {pre: [{log: 'pre'}], post: [{log: 'post {{.states.a.Output}}'}]}
  b: {type: do, on_success: a, hooks: {post: [{log: '{{.loop.Item}} in {{.workflow.CurrentState}}'}]}}"""
    )

    assert run.status == "completed"
    assert kit.events.logs == ["info: pre", "info: p in a", "info: q in a", "info: post completed 2 iterations"]


def test_the_time_limit_of_a_loop_covers_all_iterations_and_is_handled_like_a_failure(tmp_path: Path) -> None:
    def work(context: StepContext) -> StepResult | None:
        kit.clock.seconds += 3
        stopped = context.deadline.stop_reason()
        return failing(f"work: {stopped}", cause="timeout") if stopped else None

    kit = Kit(tmp_path, work=work)
    states = """
  a: {type: for_each, items: '1,2,3,4,5', timeout: 8, body: [b], on_complete: done %s}
  b: {type: do, do: work, on_success: a, on_failure: a}
  rescue: {type: do, on_success: done}"""

    handled = kit.run(states % ", on_failure: rescue")
    unhandled = kit.run(states % "")

    assert handled.path == ("a", "b", "b", "b", "rescue", "done")
    assert handled.states["a"].error == "step b: work: context deadline exceeded"
    assert (unhandled.status, unhandled.cancel_reason) == ("cancelled", "timeout")
    assert unhandled.error is not None
    assert unhandled.error.message == "step b: work: context deadline exceeded"


def test_time_that_ends_between_iterations_fails_the_loop(tmp_path: Path) -> None:
    def work(_: StepContext) -> None:
        kit.clock.seconds += 3

    kit = Kit(tmp_path, work=work)

    run = kit.run(
        """
  a: {type: for_each, items: '1,2,3,4,5', timeout: 5, body: [b], on_complete: done, on_failure: done}
  b: {type: do, do: work, on_success: a}"""
    )

    assert run.path == ("a", "b", "b", "done")
    assert run.states["a"].error == "loop cancelled: context deadline exceeded"


def test_a_cancelled_run_ends_in_its_loop_past_every_handler(tmp_path: Path) -> None:
    def work(_: StepContext) -> StepResult:
        cancel.request("SIGTERM")
        return failing("command execution: context canceled", cause="cancelled", exit_code=-1)

    kit, cancel = Kit(tmp_path, work=work), Cancel()

    run = kit.run(
        """
  a: {type: for_each, items: '1,2', body: [b], on_complete: done, on_failure: done, break_when: 'true'}
  b: {type: do, do: work, on_success: a, on_failure: a}""",
        cancel=cancel,
    )

    assert (run.status, run.cancel_reason, run.final_state) == ("cancelled", "SIGTERM", "a")
    assert run.error is not None
    assert run.error.message == "loop step a: step b: command execution: context canceled"


def test_jumping_back_for_ever_ends_when_the_run_is_cancelled(tmp_path: Path) -> None:
    rounds = []

    def work(_: StepContext) -> None:
        rounds.append(1)
        if len(rounds) == 500:
            cancel.request("enough")

    kit, cancel = Kit(tmp_path, work=work), Cancel()

    run = kit.run(
        """
  a: {type: for_each, items: '1', body: [b], on_complete: done}
  b: {type: do, do: work, on_success: b}""",
        cancel=cancel,
    )

    assert (run.status, len(rounds)) == ("cancelled", 500)
    assert run.states["a"].error == "loop cancelled: context canceled"


@pytest.mark.parametrize("kind", ["type: for_each, items: x, body", "type: parallel, parallel"])
def test_a_state_that_runs_inside_itself_is_refused(kit: Kit, kind: str) -> None:
    run = kit.run(
        f"""
  a: {{{kind}: [i]}}
  i: {{type: for_each, items: x, body: [a]}}"""
    )

    assert run.status == "failed"
    assert run.error is not None
    assert "step a: runs inside itself: a > i > a" in run.error.message


def test_states_run_inside_each_other_down_to_a_limit(kit: Kit) -> None:
    def nested(depth: int) -> str:
        loops = [f"a{n}: {{type: for_each, items: x, body: [a{n + 1}], on_complete: done}}" for n in range(1, depth)]
        first = "a: {type: for_each, items: x, body: [a1], on_complete: done}"
        return "\n  ".join([first, *loops, f"a{depth}: {{type: do}}"])

    deepest = kit.run(nested(MAX_NESTING - 1))
    deeper = kit.run(nested(MAX_NESTING))

    assert deepest.status == "completed"
    assert deeper.error is not None
    assert deeper.error.message == f"step a{MAX_NESTING}: states run inside each other more than {MAX_NESTING} deep"


def test_a_loop_of_ten_thousand_grows_with_its_items_and_no_faster(kit: Kit) -> None:
    def cpu_s(count: int) -> float:
        began = time.thread_time()
        run = kit.run(
            f"""
  a: {{type: while, while: 'true', max_iterations: {count}, body: [b], on_complete: done}}
  b: {{type: do, on_success: a}}"""
        )
        assert run.states["a"].output == f"completed {count} iterations"
        return time.thread_time() - began

    cpu_s(100)
    few, many = min(cpu_s(1000) for _ in range(2)), cpu_s(10_000)

    assert many < 20 * few


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("{type: for_each, body: [b]}", "loop config is required for for_each steps"),
        ("{type: for_each, items: '', body: [b]}", "items is required for for_each steps"),
        ("{type: for_each, items: {k: v}, body: [b]}", "items is required for for_each steps"),
        ("{type: for_each, while: 'true', body: [b]}", "items is required for for_each steps"),
        ("{type: while, items: x, body: [b]}", "condition is required for while steps"),
        ("{type: while, while: 'true'}", "body is required for loop steps"),
        ("{type: while, while: 'true', items: 5, body: [b]}", "loop config: items is required for for_each loops"),
        ("{type: while, while: 'true', body: [b], max_iterations: -1}", "loop config: max_iterations must be non-neg"),
        ("{type: while, while: 'true', body: [zz]}", "loop body references unknown step 'zz'"),
        ("{type: while, while: 'true', body: [b], on_complete: zz}", "on_complete references unknown state 'zz'"),
    ],
)
def test_a_loop_that_can_not_work_is_refused_when_it_is_loaded(kit: Kit, state: str, why: str) -> None:
    from awf_core.lang.problems import LoadError

    with pytest.raises(LoadError) as refused:
        kit.workflow(f"a: {state}\n  b: {{type: do}}")

    assert f"step 'a': {why}" in refused.value.text
