"""States made from step templates: what a template gives, what the state keeps, what goes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from engine_kit import Kit

if TYPE_CHECKING:
    from pathlib import Path


class Templates(Kit):
    """A project with step templates."""

    def template(self, name: str, text: str) -> None:
        folder = self.cwd / ".awf" / "templates"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yaml").write_text(text)


@pytest.fixture
def kit(tmp_path: Path) -> Templates:
    kit = Templates(tmp_path)
    kit.template("greet", GREET)
    return kit


GREET = """
name: greet
parameters:
  - {name: who, required: true}
  - {name: word, default: hi}
states:
  initial: greet
  other: {type: step, command: 'echo the wrong state'}
  greet:
    type: step
    command: 'echo {{parameters.word}} {{parameters.who}} from $PWD; exit {{parameters.code}}'
    dir: '{{parameters.where}}'
    timeout: 5
    retry: {max_attempts: 2, retryable_exit_codes: [3]}
"""


def state(more: str, *, template: str = "greet") -> str:
    return (
        f"a: {{type: step, command: placeholder, use_template: {template}, on_success: done, on_failure: done, {more}}}"
    )


def test_a_state_gets_the_command_of_its_template_and_the_rest_where_it_says_nothing(kit: Templates) -> None:
    (kit.cwd / "there").mkdir()

    run = kit.run(state("parameters: {who: Ann, code: 3, where: there}"), is_real_time=True)

    record = run.states["a"]
    assert record.output == f"hi Ann from {kit.cwd}/there\n"
    assert (record.exit_code, record.attempt) == (3, 2)


def test_a_state_keeps_its_own_directory_and_retry_rule(kit: Templates) -> None:
    (kit.cwd / "own").mkdir()

    run = kit.run(
        state("dir: own, retry: {max_attempts: 1}, parameters: {who: Ann, word: hi, code: 3, where: there}"),
        is_real_time=True,
    )

    record = run.states["a"]
    assert record.output == f"hi Ann from {kit.cwd}/own\n"
    assert record.attempt == 1


def test_parameters_are_put_in_as_text_before_anything_else_is_filled_in(kit: Templates) -> None:
    kit.template(
        "show",
        """
name: show
parameters: [{name: l}, {name: f}, {name: i, default: 1.50}, {name: n}]
states:
  show: {type: step, command: 'echo "{{parameters.l}} {{parameters.f}} {{parameters.i}} {{ parameters.n }}{{.inputs.x}}"'}
""".replace(" {{ parameters.n }}", " {{parameters.n}}"),
    )

    run = kit.run(
        state("parameters: {l: [1, a], f: 2.0, n: '{{.inputs.x}}'}", template="show"),
        inputs={"x": "y"},
        is_real_time=True,
    )

    assert run.states["a"].output == "[1 a] 2 1.5 yy\n"


def test_a_parameter_that_is_not_given_stays_and_fails_where_it_is_met(kit: Templates) -> None:
    run = kit.run(state("parameters: {who: Ann}"))

    assert run.error is not None
    assert run.error.message.startswith("interpolate command: ")
    assert run.final_state == "a"


def test_templates_may_be_made_from_templates(kit: Templates) -> None:
    kit.template(
        "outer",
        """
name: outer
parameters: [{name: name, default: Bob}]
states:
  s:
    type: step
    command: ignored
    use_template: greet
    parameters: {who: '{{parameters.name}}', code: 0, where: /}
    retry: {max_attempts: 1}
""",
    )

    default = kit.run(state("", template="outer"), is_real_time=True)
    given = kit.run(state("parameters: {name: Cid}", template="outer"), is_real_time=True)

    assert default.states["a"].output == "hi Bob from /\n"
    assert given.states["a"].output == "hi Cid from /\n"


def test_a_template_that_changes_is_read_again_for_the_next_run(kit: Templates) -> None:
    kit.template("one", "name: one\nstates:\n  s: {type: step, command: echo 1}\n")
    engine, workflow = kit.engine(is_real_time=True), kit.workflow(state("", template="one"))

    first = engine.execute(workflow, {}, cwd=kit.cwd)
    kit.template("one", "name: one\nstates:\n  s: {type: step, command: echo later}\n")
    second = engine.execute(workflow, {}, cwd=kit.cwd)

    assert (first.states["a"].output, second.states["a"].output) == ("1\n", "later\n")


def test_a_script_file_of_the_state_stays_what_it_runs(kit: Templates) -> None:
    (kit.cwd / ".awf" / "workflows").mkdir(parents=True)
    (kit.cwd / ".awf" / "workflows" / "s.sh").write_text("echo from the script")

    run = kit.run(
        "a: {type: step, script_file: s.sh, use_template: greet, parameters: {who: x, where: /}, on_success: done}",
        is_real_time=True,
    )

    assert run.states["a"].output == "from the script\n"


def test_what_is_called_is_made_from_templates_too(kit: Templates) -> None:
    kit.workflows["child"] = kit.workflow(state("parameters: {who: x, code: 0, where: /nowhere}"), name="child")

    run = kit.run("a: {type: call_workflow, workflow: child, on_success: done}", is_real_time=True)

    assert run.status == "completed"


@pytest.mark.parametrize(
    ("template", "text", "why", "exit_code"),
    [
        ("nope", "", 'load template nope: template "nope" not found', 1),
        ("greet", GREET, 'template "greet" missing required parameter "who"', 3),
        ("ca", "", "circular template reference detected: [ca cb ca]", 3),
        ("bad", "name: bad\nstates: {s: {type: step", "bad.yaml:3: yaml: ", 2),
        ("bad", "states: {s: {type: step, command: x}}", "template name is required", 2),
        ("bad", "name: bad\nstates: {initial: s}", "template must define at least one state", 2),
        ("bad", "name: bad", "template must define at least one state", 2),
        (
            "bad",
            "name: bad\nparameters: [{required: true}]\nstates: {s: {type: step}}",
            "parameter name is required",
            2,
        ),
        (
            "bad",
            "name: bad\nparameters: [{name: p}, {name: p}]\nstates: {s: {type: step}}",
            "duplicate parameter name: p",
            2,
        ),
        ("bad", "name: bad\nstates: {s: {type: banana}}", "step 's': unknown step type: banana", 2),
        ("bad", "name: bad\nstates: {s: {type: step, timeout: soon}}", "invalid duration: soon", 2),
    ],
)
def test_a_template_that_can_not_be_used_ends_the_run_before_it_begins(
    kit: Templates, template: str, text: str, why: str, exit_code: int
) -> None:
    for one, other in (("ca", "cb"), ("cb", "ca")):
        kit.template(one, f"name: {one}\nstates:\n  s: {{type: step, command: x, use_template: {other}}}\n")
    if text:
        kit.template(template, text)

    run = kit.run(
        state("", template=template), head="hooks: {workflow_start: [{log: begun}], workflow_error: [{log: e}]}"
    )

    assert run.error is not None
    assert run.error.message.startswith("expand templates: ")
    assert why in run.error.message
    assert (run.status, run.exit_code, run.path, kit.events.logs) == ("failed", exit_code, (), [])


def test_a_template_that_can_not_be_read_is_a_system_failure(kit: Templates) -> None:
    (kit.cwd / ".awf" / "templates" / "dir.yaml").mkdir()

    run = kit.run(state("", template="dir"))

    assert run.error is not None
    assert run.error.message.startswith("expand templates: load template dir: failed to read step template: ")
    assert run.exit_code == 4
