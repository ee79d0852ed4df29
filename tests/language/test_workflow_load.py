"""A workflow file becomes a Workflow, or an error that says everything that is wrong with it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from awf_core.engine.steps import builtin_step_types
from awf_core.errors import ConfigError, SystemFailure, WorkflowNotFound
from awf_core.lang.lint import lint, lint_file
from awf_core.lang.load import load_workflow, parse_workflow
from awf_core.lang.model import TERMINAL, OutputDefinition, TerminalSpec
from awf_core.lang.problems import MAX_SHOWN, MISSING_STATE, YAML_SYNTAX, LoadError, StepProblem
from awf_core.lang.step_types import LANGUAGE_TYPES, StepTypes

CASES = json.loads((Path(__file__).parent / "corpus" / "workflows.json").read_text(encoding="utf-8"))
BUILTIN_TYPES = frozenset(builtin_step_types().names())
ACCEPTED_HERE = {"load-when-builtin-rejected", "load-when-contains-function-rejected"}
"""Built-in functions are refused in a `when` by the original and work here, as they do in `while`."""
SOURCE = Path("w.yaml")


def main_file(case):
    return case["files"].get(f".awf/workflows/{case['workflow']}.yaml")


def types_used(text):
    try:
        states = yaml.safe_load(text)["states"]
    except (yaml.YAMLError, TypeError, KeyError):
        return set()
    entries = states.values() if isinstance(states, dict) else ()
    return {str(state.get("type")).lower() for state in entries if isinstance(state, dict)}


def is_for_us(case):
    text = main_file(case)
    return isinstance(text, str) and not (types_used(text) & LANGUAGE_TYPES) - BUILTIN_TYPES


REFUSED = [
    case
    for case in CASES
    if case["expected"].get("phase") == "load" and is_for_us(case) and case["id"] not in ACCEPTED_HERE
]
LOADABLE = [
    case
    for case in CASES
    if is_for_us(case) and (case["expected"].get("phase") != "load" or case["id"] in ACCEPTED_HERE)
]


def load(text, *, step_types=None):
    return parse_workflow(text.encode(), source=SOURCE, step_types=step_types or builtin_step_types())


def refused(text, *, step_types=None):
    with pytest.raises(LoadError) as caught:
        load(text, step_types=step_types)
    return caught.value


def workflow_with(state, *, head=""):
    return f"name: w\n{head}states:\n  initial: a\n  a: {state}\n  done: {{type: terminal}}\n"


def without_line_numbers(text):
    return re.sub(r"line \d+", "line N", text)


@pytest.mark.parametrize("case", REFUSED, ids=[case["id"] for case in REFUSED])
def test_a_workflow_the_original_refuses_is_refused_with_its_code_and_words(case):
    error = refused(main_file(case))

    # Inside states the original counts lines in a copy of the state; here they are those of the file.
    normal = without_line_numbers if 'state "' in case["expected"]["error"] else str
    assert normal(case["expected"]["error"]) in normal(error.message)
    assert error.code == case["expected"]["error_code"]
    assert error.exit_code == 2


@pytest.mark.parametrize("case", LOADABLE, ids=[case["id"] for case in LOADABLE])
def test_a_workflow_the_original_accepts_is_accepted(case):
    workflow = load(main_file(case))

    assert workflow.initial in workflow.states
    assert lint(workflow) is not None


def test_the_corpus_is_really_read():
    assert len(REFUSED) > 20
    assert len(LOADABLE) > 120


def test_everything_a_workflow_says_of_itself_is_read():
    text = """
name: build
description: builds it
version: 1.0
author: 7
tags: [a, b]
env: [HOME]
x-unknown: {ignored: true}
hooks:
  workflow_start: [{log: starting}]
  workflow_end: [{command: echo end}, {log: both, command: loses}, {}]
  workflow_error: [{log: "{{.error.Message}}"}]
  workflow_cancel: [{command: stop}]
inputs:
  - {name: i, type: integer, required: yes, default: 7, description: d, validation: {min: 1, max: 9}}
  - {name: s, default: ~, validation: {pattern: '^a', enum: [ab, 5], file_exists: on, file_extension: [.py]}}
outputs:
  - {name: x, from: states.a.Output}
states:
  initial: a
  a: {type: step, command: 'true', on_success: done}
  done: {type: terminal}
"""

    workflow = load(text)

    assert (workflow.name, workflow.description, workflow.version) == ("build", "builds it", "1.0")
    assert (workflow.author, workflow.tags, workflow.initial) == ("7", ("a", "b"), "a")
    assert workflow.source == SOURCE
    hooks = workflow.hooks
    assert [(action.kind, action.text.text) for action in hooks.start] == [("log", "starting")]
    assert [(action.kind, action.text.text) for action in hooks.end] == [("command", "echo end"), ("log", "both")]
    assert [action.text.text for action in (*hooks.error, *hooks.cancel)] == ["{{.error.Message}}", "stop"]
    first, second = workflow.inputs
    assert (first.name, first.type, first.required, first.default, first.has_default) == ("i", "integer", True, 7, True)
    assert (first.description, first.minimum, first.maximum) == ("d", 1, 9)
    assert (second.type, second.has_default, second.pattern, second.enum) == ("", False, "^a", ("ab", "5"))
    assert (second.file_exists, second.file_extension) == (True, (".py",))
    assert workflow.outputs == (OutputDefinition(name="x", source=("states", "a", "Output")),)
    assert workflow.warnings == ()


def test_the_keys_every_state_has_are_read():
    text = """
name: w
states:
  initial: a
  a:
    type: Command
    command: echo
    timeout: 1.9s
    on_success: done
    on_failure: {message: "it broke: {{.states.a.ExitCode}}", status: 9}
    continue_on_error: yes
    depends_on: [x]
    capture: {stdout: v}
    retry: {max_attempts: 3, initial_delay: 1.5s, max_delay: 2m, backoff: exponential, jitter: 0.5, retryable_exit_codes: [1, 2]}
    hooks: {pre: [{log: before}], post: [{command: after}]}
    transitions:
      - {when: states.a.ExitCode == 0, goto: done}
      - {goto: done}
  done: {type: terminal, message: bye, exitcode: 3}
"""

    workflow = load(text)

    state = workflow.states["a"]
    assert (state.name, state.type, state.line) == ("a", "step", 5)
    assert (state.timeout_s, state.continue_on_error) == (1, True)
    assert (state.on_success, state.on_failure) == ("done", "__inline_error_a")
    assert [transition.goto for transition in state.transitions] == ["done", "done"]
    assert state.transitions[0].when.text == "states.a.ExitCode == 0"
    assert state.transitions[1].when is None
    retry = state.retry
    assert (retry.max_attempts, retry.initial_delay_ms, retry.max_delay_ms) == (3, 1500, 120_000)
    assert (retry.backoff, retry.multiplier, retry.jitter) == ("exponential", 2.0, 0.5)
    assert retry.retryable_exit_codes == {1, 2}
    assert ([action.kind for action in state.pre], [action.kind for action in state.post]) == (["log"], ["command"])
    spec = workflow.states["done"].spec
    assert isinstance(spec, TerminalSpec)
    assert (spec.status, spec.message.text, spec.exit_code) == ("success", "bye", 3)


def test_an_inline_on_failure_becomes_a_terminal_of_its_own():
    workflow = load(workflow_with("{type: step, command: x, on_failure: {message: oops, status: '7', other: 1}}"))

    inline = workflow.states["__inline_error_a"]
    assert (inline.type, inline.spec.status, inline.spec.message.text) == (TERMINAL, "failure", "oops")
    assert inline.spec.exit_code == 1, "a status that is text is ignored"


def test_states_keep_their_order_and_can_not_be_changed():
    workflow = load(workflow_with("{type: step, command: x, on_success: done}"))

    assert list(workflow.states) == ["a", "done"]
    with pytest.raises(TypeError):
        workflow.states["b"] = workflow.states["a"]


@pytest.mark.parametrize("text", ["timeout: 0", "timeout: 500ms", "timeout: -5", "timeout: ''", "timeout: ~"])
def test_timeouts_below_a_second_are_none(text):
    workflow = load(workflow_with(f"{{type: step, command: x, on_success: done, {text}}}"))

    assert workflow.states["a"].timeout_s == 0


COMMAND = "type: step, command: x, on_success: done"


@pytest.mark.parametrize(
    ("state", "message", "code"),
    [
        ("{type: step, command: x}", "step 'a': command step must have OnSuccess/OnFailure or Transitions", YAML_SYNTAX),
        ("{type: step, command: x, on_success: dome}", "step 'a': on_success references unknown state 'dome'", MISSING_STATE),
        ("{type: step, command: x, on_failure: no}", "step 'a': on_failure references unknown state 'no'", MISSING_STATE),
        ("{type: step, command: x, transitions: [{}]}", "step 'a': transition 0: transition goto is required", YAML_SYNTAX),
        (f"{{{COMMAND}, timeout: soon}}", "states.a.timeout: invalid duration: soon", YAML_SYNTAX),
        (f"{{{COMMAND}, timeout: 1.5}}", "states.a.timeout: invalid duration: 1.5", YAML_SYNTAX),
        (f"{{{COMMAND}, retry: {{}}}}", "step 'a': retry config: max_attempts must be >= 1", YAML_SYNTAX),
        (f"{{{COMMAND}, retry: {{max_attempts: 1, backoff: odd}}}}", "step 'a': retry config: invalid backoff strategy", YAML_SYNTAX),
        (f"{{{COMMAND}, retry: {{max_attempts: 1, jitter: .nan}}}}", "retry config: jitter must be between 0.0 and 1.0", YAML_SYNTAX),
        (f"{{{COMMAND}, retry: {{max_attempts: 1, multiplier: -1}}}}", "retry config: multiplier must be >= 0", YAML_SYNTAX),
        (
            f"{{{COMMAND}, retry: {{max_attempts: 1, max_delay: 1d}}}}",
            'states.a.retry: max_delay: parsing duration "1d": time: unknown unit "d" in duration "1d"',
            YAML_SYNTAX,
        ),
        (f"{{{COMMAND}, continue_on_error: 5}}", 'state "a": yaml: unmarshal errors:\n  line 4: cannot unmarshal !!int `5` into bool', YAML_SYNTAX),
        (f"{{{COMMAND}, hooks: [x]}}", "cannot unmarshal !!seq into repository.yamlStepHooks", YAML_SYNTAX),
        (f"{{{COMMAND}, hooks: {{pre: x}}}}", "cannot unmarshal !!str `x` into []repository.yamlHookAction", YAML_SYNTAX),
        (f"{{{COMMAND}, transitions: [x]}}", "cannot unmarshal !!str `x` into repository.yamlTransition", YAML_SYNTAX),
        (f"{{{COMMAND}, retry: 3}}", "cannot unmarshal !!int `3` into repository.yamlRetry", YAML_SYNTAX),
        ("{type: terminal, status: maybe}", "step 'a': invalid terminal status \"maybe\": must be 'success' or 'failure'", YAML_SYNTAX),
        ("{type: terminal, exitcode: x}", 'state "a": yaml: unmarshal errors:\n  line 4: cannot unmarshal !!str `x` into int', YAML_SYNTAX),
        ("{items: [1], body: [zz], type: step, command: x, on_success: a}", "step 'a': loop body references unknown step 'zz'", MISSING_STATE),
        (
            "{while: 'true', body: [a], type: step, command: x, on_success: a, on_complete: zz}",
            "step 'a': on_complete references unknown state 'zz'",
            MISSING_STATE,
        ),
        ("{1: 2}", 'state "a": expected map, got map[interface {}]interface {}', YAML_SYNTAX),
        ("~", 'state "a": expected map, got <nil>', YAML_SYNTAX),
        ("[1]", 'state "a": expected map, got []interface {}', YAML_SYNTAX),
        ("{type: step, command: !odd x}", 'state "a": yaml: cannot decode !!str `x` as a !odd', YAML_SYNTAX),
        (f"{{{COMMAND}, on_failure: 5}}", "states.a.on_failure: must be a string or object", YAML_SYNTAX),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_state_is_named_with_file_and_line(state, message, code):
    error = refused(workflow_with(state))

    assert error.message.startswith("w.yaml:4: ")
    assert message in error.message
    assert error.code == code


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("plugins: {pg: ''}\n", 'w.yaml:2: plugin alias "pg" maps to empty target'),
        ("tags: {a: 1}\n", "w.yaml:2: tags: yaml: unmarshal errors:\n  line 2: cannot unmarshal !!map into []string"),
        ("description: [x]\n", "cannot unmarshal !!seq into string"),
        ("env: 5\n", "w.yaml:2: env: yaml: unmarshal errors:\n  line 2: cannot unmarshal !!int `5` into []string"),
        ("hooks: {workflow_start: {log: x}}\n", "cannot unmarshal !!map into []repository.yamlHookAction"),
        ("inputs: [{name: x, validation: {min: low}}]\n", "cannot unmarshal !!str `low` into int"),
        ("inputs: [x]\n", "cannot unmarshal !!str `x` into repository.yamlInput"),
    ],
)
def test_what_is_wrong_with_the_head_is_named_with_file_and_line(head, message):
    error = refused(workflow_with(f"{{{COMMAND}}}", head=head))

    assert message in error.message
    assert "w.yaml:2: " in error.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("states: {initial: a, a: {type: terminal}}", "w.yaml:1: name: required field missing"),
        ("name: w\nstates: {a: {type: terminal}}", "w.yaml:2: states.initial: required field missing"),
        ("name: w\n", "w.yaml:1: states.initial: required field missing"),
        ("", "w.yaml: name: required field missing"),
        ("~", "w.yaml: name: required field missing"),
        ("name: ''\nstates: {initial: a, a: {type: terminal}}", "w.yaml:1: name: required field missing"),
        ("hello", "w.yaml:1: yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `hello` into repository.yamlWorkflow"),
        ("name: w\nstates: {initial: a, a: {type: step, command: x, on_success: a}}", "w.yaml:2: at least one terminal state is required"),
        ("name: w\nstates: {initial: [a], a: {type: terminal}}", "cannot unmarshal !!seq into string"),
        ("name: w\n<<: 5\n", "w.yaml:2: yaml: map merge requires map or sequence of maps as the value"),
        ("name: w\nstates: {initial: b, a: {type: terminal}}", "w.yaml:2: initial state 'b' not found in steps"),
    ],
)  # fmt: skip
def test_a_workflow_that_lacks_something_is_refused(text, message):
    assert message in refused(text).message


def test_every_faulty_state_is_reported_once_sorted_and_the_worst_code_wins():
    text = """name: w
states:
  initial: a
  a: {type: step, on_success: gone}
  b: {type: step, command: x, on_success: gone}
  c: {type: terminal, status: odd}
  done: {type: terminal}
"""

    error = refused(text)

    assert error.text.split("\n") == [
        "step 'a': either command or script_file is required for command-type steps",
        "step 'b': on_success references unknown state 'gone'",
        "step 'c': invalid terminal status \"odd\": must be 'success' or 'failure'",
    ]
    assert [problem.line for problem in error.problems] == [4, 5, 6]
    assert error.code == MISSING_STATE


def test_a_message_spells_out_only_so_many_problems():
    states = "".join(f"  s{number}: {{type: terminal, status: odd}}\n" for number in range(MAX_SHOWN + 7))

    error = refused(f"name: w\nstates:\n  initial: s0\n{states}")

    assert len(error.problems) == MAX_SHOWN + 7
    assert error.message.endswith("w.yaml: and 7 more problems")
    assert error.message.count("\n") == MAX_SHOWN


def test_a_misspelled_state_gets_a_suggestion():
    error = refused(workflow_with("{type: step, command: x, on_success: dome}"))

    assert error.hint == "Did you mean 'done'?"


def test_a_state_named_like_an_inline_failure_is_refused():
    text = (
        workflow_with("{type: step, command: x, on_failure: {message: m}}") + "  __inline_error_a: {type: terminal}\n"
    )

    error = refused(text)

    assert "state '__inline_error_a' has the name that the inline on_failure of another state needs" in error.message
    assert error.hint == "Rename it."


def test_a_parallel_branch_need_not_lead_anywhere_and_a_loop_body_may_lead_outside():
    class Anything:
        name = "parallel"
        aliases = ("for_each",)

        def parse(self, fields):
            return fields.list_of_text("parallel")

    types = builtin_step_types()
    if types.get("parallel") is not None:
        types = StepTypes([types.get("step"), Anything()])
    else:
        types.register(Anything())
    text = """name: w
states:
  initial: p
  p: {type: parallel, parallel: [b], on_success: l}
  b: {type: step, command: x}
  l: {type: for_each, items: x, body: [c], on_complete: done}
  c: {type: step, command: x, transitions: [{goto: nowhere}]}
  done: {type: terminal}
"""

    workflow = load(text, step_types=types)

    assert workflow.states["p"].spec == ("b",)


@pytest.mark.parametrize("written", sorted(LANGUAGE_TYPES - {"step", "command", "terminal"}))
def test_a_type_of_the_language_that_is_not_installed_is_named_as_such(written):
    only_commands = StepTypes([builtin_step_types().get("step")])

    error = refused(workflow_with(f"{{type: {written}, on_success: done}}"), step_types=only_commands)

    assert f"w.yaml:4: step 'a': type '{written}' is not supported by this version" in error.message
    assert error.hint.startswith("Supported here: command, ")


@pytest.mark.parametrize(
    ("written", "hint"),
    [("stepp", "Did you mean 'step'?"), ("''", "Supported here:"), ("banana", "`executor: awf-cli` runs types of")],
)
def test_an_unknown_type_is_refused_with_what_there_is(written, hint):
    error = refused(workflow_with(f"{{type: {written}, on_success: done}}"))

    assert f"step 'a': unknown step type: {written.strip(chr(39))}" in error.message
    assert hint in error.hint


@dataclass(frozen=True)
class AgentSpec:
    prompt: str
    options: dict
    limit_s: int | None
    leads_to: tuple[str, ...]


class AgentParser:
    name = "agent"
    aliases = ("robot",)

    def parse(self, fields):
        if not fields.has("prompt"):
            raise StepProblem("agent config: prompt is required", key="type", hint="Write one.")
        if not set(fields.list_of_text("body")) <= fields.state_names:
            raise StepProblem("body names an unknown state", key="body")
        return AgentSpec(
            prompt=fields.text("prompt"),
            options=fields.mapping("options"),
            limit_s=fields.duration_s("limit"),
            leads_to=fields.list_of_text("body"),
        )


def with_agent():
    registered = builtin_step_types()
    return StepTypes([registered.get("step"), AgentParser()])


def test_a_registered_type_reads_its_own_keys_with_the_rules_of_states():
    text = workflow_with(
        "{type: ROBOT, prompt: 1.0, options: {n: 2.0, d: 2024-01-01}, limit: 90, body: [done], on_success: done}"
    )

    state = load(text, step_types=with_agent()).states["a"]

    assert state.type == "agent"
    assert (state.spec.prompt, state.spec.limit_s) == ("1", 90)
    assert state.spec.options == {"n": 2, "d": "2024-01-01 00:00:00 +0000 UTC"}
    assert type(state.spec.options["n"]) is int


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("{type: agent}", "w.yaml:4: step 'a': agent config: prompt is required"),
        ("{type: agent, prompt: p, body: [zz]}", "w.yaml:4: step 'a': body names an unknown state"),
        ("{type: agent, prompt: p, limit: x}", "w.yaml:4: step 'a': invalid duration: x"),
        ("{type: agent, prompt: [p]}", 'w.yaml:4: state "a": yaml: unmarshal errors:\n  line 4: cannot unmarshal !!seq into string'),
    ],
)  # fmt: skip
def test_what_a_registered_type_refuses_is_named_with_step_and_line(state, message):
    assert message in refused(workflow_with(state), step_types=with_agent()).message


def test_two_parsers_for_one_type_are_refused_naming_both():
    class Other:
        name = "other"
        aliases = ("Robot",)

        def parse(self, fields):
            return None

    types = StepTypes([AgentParser()])

    with pytest.raises(ConfigError) as caught:
        types.register(Other())

    assert "step type 'robot' is registered twice" in caught.value.message
    assert "AgentParser" in caught.value.message
    assert "Other" in caught.value.message
    assert types.get("other") is None, "nothing of a refused parser stays"


@pytest.mark.parametrize(
    ("outputs", "warning"),
    [
        ("{x: states.a.Output}", "w.yaml:2: outputs: ignored: expected a list of"),
        ("[x]", "w.yaml:2: outputs[0]: ignored: expected a list of"),
        ("[{name: x}]", "w.yaml:2: outputs[0]: ignored: expected a list of"),
        ("[{name: x, from: inputs.a}]", "w.yaml:2: outputs[0]: ignored: 'inputs.a' is not `states.<state>.<property>`"),
        ("[{name: x, from: states.zz.Output}]", "w.yaml:2: outputs[0]: ignored: 'states.zz.Output' names the unknown state 'zz'"),
    ],
)  # fmt: skip
def test_outputs_of_another_shape_are_ignored_with_a_warning(outputs, warning):
    workflow = load(workflow_with(f"{{{COMMAND}}}", head=f"outputs: {outputs}\n"))

    assert workflow.outputs == ()
    assert len(workflow.warnings) == 1
    assert workflow.warnings[0].startswith(warning)


@pytest.mark.parametrize(
    ("written", "allows", "warnings"),
    [
        ("allow", True, ()),
        ("refuse", False, ()),
        ("~", False, ()),
        ("yes", False, ("w.yaml:2: unsafe_inputs: ignored: expected `allow` or `refuse`",)),
        ("[allow]", False, ("w.yaml:2: unsafe_inputs: ignored: expected `allow` or `refuse`",)),
    ],
)
def test_only_the_word_allow_opens_the_shell_text_of_a_workflow(written, allows, warnings):
    workflow = load(workflow_with(f"{{{COMMAND}}}", head=f"unsafe_inputs: {written}\n"))

    assert workflow.allows_unsafe_inputs is allows
    assert workflow.warnings == warnings


def test_the_variables_that_a_workflow_wants_are_kept():
    assert load(workflow_with(f"{{{COMMAND}}}", head="env: [GH_TOKEN, LANG]\n")).env == ("GH_TOKEN", "LANG")


def test_an_input_without_a_name_is_left_out_with_a_warning():
    workflow = load(workflow_with(f"{{{COMMAND}}}", head="inputs: [{default: 5}, ~, {name: x}]\n"))

    assert [definition.name for definition in workflow.inputs] == ["x"]
    assert workflow.warnings == ("w.yaml:2: inputs[0]: ignored: it has no name",)


def test_a_file_is_read_from_disk(tmp_path):
    path = tmp_path / "w.yaml"
    path.write_text(workflow_with(f"{{{COMMAND}}}"))

    workflow = load_workflow(path, builtin_step_types())

    assert workflow.source == path


def test_a_file_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(WorkflowNotFound) as caught:
        load_workflow(tmp_path / "w.yaml", builtin_step_types())

    assert caught.value.message == f"workflow not found: {tmp_path}/w.yaml"
    assert caught.value.code == "USER.FACADE.WORKFLOW_NOT_FOUND"


def test_what_is_no_plain_file_is_not_read(tmp_path):
    with pytest.raises(SystemFailure) as caught:
        load_workflow(tmp_path, builtin_step_types())

    assert caught.value.message == f"failed to read workflow file: {tmp_path}: not a regular file"
    assert caught.value.code == "SYSTEM.IO.READ_FAILED"


def test_a_file_that_can_not_be_reached_says_why(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(SystemFailure) as caught:
        load_workflow(tmp_path / "file" / "w.yaml", builtin_step_types())

    assert caught.value.message.endswith("w.yaml: Not a directory")


def test_lint_finds_bad_templates_unreachable_states_and_undeclared_inputs():
    text = """name: w
inputs: [{name: known}]
hooks: {workflow_end: [{log: "{{.inputs.hooked}}"}]}
states:
  initial: a
  a:
    type: step
    command: echo {{escape .inputs.known}} {{inputs.other}} inputs.outside {{"inputs.quoted"}}
    transitions: [{when: inputs.missing == 'x' && len(inputs.known) > 0, goto: done}]
  bad: {type: step, command: 'echo {{', on_success: done}
  done: {type: terminal}
"""

    found = lint(load(text))

    shown = [(problem.severity, problem.line, problem.message) for problem in found]
    assert ("warning", 0, "hooks.workflow_end: input 'hooked' is not declared") in shown
    assert ("error", 6, 'undefined input "other" referenced in command') in shown
    assert ("warning", 6, "states.a.transitions: input 'missing' is not declared") in shown
    assert ("warning", 6, "states.a.transitions: the original tool has no function 'len' in a `when`") in shown
    assert ("warning", 10, "state 'bad' is never reached") in shown
    errors = [entry for entry in shown if entry[0] == "error"]
    assert len(errors) == 2
    assert errors[1][2].startswith("states.bad.command: ")
    assert len(shown) == 6


def test_lint_reports_a_condition_that_can_not_be_evaluated():
    found = lint(load(workflow_with("{type: step, command: x, transitions: [{when: ' ', goto: done}]}")))

    assert [(problem.severity, problem.line) for problem in found] == [("error", 4)]
    assert found[0].message.startswith("states.a.transitions: ")


def test_lint_follows_what_a_spec_says_it_leads_to():
    text = workflow_with("{type: agent, prompt: p, body: [b]}") + "  b: {type: terminal}\n"

    found = lint(load(text, step_types=with_agent()))

    assert [problem.message for problem in found] == ["state 'done' is never reached"]


def test_lint_of_a_file_that_does_not_load_lists_every_reason(tmp_path):
    path = tmp_path / "w.yaml"
    path.write_text("name: w\nstates:\n  initial: a\n  a: {type: step}\n  b: {type: terminal, status: x}\n")

    found = lint_file(path, builtin_step_types())

    assert [(problem.line, problem.severity) for problem in found] == [(4, "error"), (5, "error")]
    path.write_text(workflow_with(f"{{{COMMAND}}}"))
    assert lint_file(path, builtin_step_types()) == []


def test_lint_lists_at_once_what_loading_would_report_step_by_step(tmp_path):
    path = tmp_path / "w.yaml"
    path.write_text("""name: w
states:
  initial: zzz
  a: {type: step, command: x, on_success: gone, on_failure: b}
  b: {type: banana}
  c: {type: step, command: x, on_success: b, retry: {max_attempts: 0}}
  d: {type: step, command: x, on_success: d, timeout: soon}
  e: {type: terminal, status: odd}
""")

    found = lint_file(path, builtin_step_types())

    assert [(problem.line, problem.message) for problem in found] == [
        (3, "initial state 'zzz' not found in steps"),
        (4, "step 'a': on_success references unknown state 'gone'"),
        (5, "step 'b': unknown step type: banana"),
        (6, "step 'c': retry config: max_attempts must be >= 1"),
        (7, "invalid duration: soon"),
        (8, "step 'e': invalid terminal status \"odd\": must be 'success' or 'failure'"),
    ]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("  initial: [a]\n  a: {type: terminal}", ["line 3: cannot unmarshal !!seq into string"]),
        ("  initial: a\n  a: {type: banana}", ["step 'a': unknown step type: banana"]),
        ("  - a", ["line 3: cannot unmarshal !!seq into repository.yamlStates"]),
    ],
)
def test_lint_does_not_take_a_fault_for_others_that_follow_from_it(tmp_path, states, expected):
    path = tmp_path / "w.yaml"
    path.write_text(f"name: w\nstates:\n{states}\n")

    found = lint_file(path, builtin_step_types())

    assert len(found) == len(expected)
    assert all(text in problem.message for text, problem in zip(expected, found, strict=True))
