"""Inputs: defaults, required ones, the rules of a workflow, and how an untrusted producer may name them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from awf_core.engine.steps import builtin_step_types
from awf_core.errors import InputError
from awf_core.lang.input_names import check_names, check_untrusted, undeclared
from awf_core.lang.inputs import (
    VALIDATION_FAILED,
    apply_defaults,
    check_inputs,
    check_required,
    missing_required,
)
from awf_core.lang.load import parse_workflow

CASES = json.loads((Path(__file__).parent / "corpus" / "workflows.json").read_text(encoding="utf-8"))
STATES = "states:\n  initial: done\n  done: {type: terminal}\n"
CORPUS = [case for case in CASES if case["id"].startswith("in-") and "config" not in case["features"]]


def workflow_of(text):
    return parse_workflow(text.encode(), source=Path("w.yaml"), step_types=builtin_step_types())


def workflow_with(*inputs):
    return workflow_of("name: w\ninputs:\n" + "".join(f"  - {entry}\n" for entry in inputs) + STATES)


def reasons(workflow, values, **options):
    with pytest.raises(InputError) as caught:
        check_inputs(workflow, values, **options)
    assert caught.value.code == VALIDATION_FAILED
    return caught.value.message


@pytest.mark.parametrize("case", CORPUS, ids=[case["id"] for case in CORPUS])
def test_inputs_are_judged_as_the_original_judges_them(case, tmp_path):
    workflow = workflow_of(case["files"][".awf/workflows/w.yaml"])
    given, expected = case.get("inputs", {}), case["expected"]
    for name, content in case["files"].items():
        if not name.startswith(".awf"):
            (tmp_path / name).write_text(str(content))

    missing = missing_required(workflow, given)
    values = apply_defaults(workflow, given)

    assert bool(missing) is (expected.get("phase") == "inputs")
    if missing:
        return
    if "status" in expected:
        check_inputs(workflow, values, cwd=tmp_path)
        assert values == expected["inputs"]
    else:
        assert reasons(workflow, values, cwd=tmp_path) == expected["error"]


def test_defaults_keep_their_type_and_never_replace_what_was_given():
    workflow = workflow_with(
        "{name: n, default: 7}", "{name: b, default: true}", "{name: s, default: x}", "{name: none}"
    )

    values = apply_defaults(workflow, {"s": "", "extra": "1"})

    assert values == {"n": 7, "b": True, "s": "", "extra": "1"}
    assert apply_defaults(workflow, {"n": None})["n"] is None, "null was given"


def test_a_default_does_not_stand_in_for_a_required_input():
    workflow = workflow_with("{name: x, required: true, default: d}", "{name: y, required: true}", "{name: z}")

    assert missing_required(workflow, {"z": 1, "y": None}) == ("x", "y")
    with pytest.raises(InputError) as caught:
        check_required(workflow, {})
    assert caught.value.message == (
        "input validation failed: 2 errors:\n"
        "  - inputs.x: required but not provided\n  - inputs.y: required but not provided"
    )
    assert caught.value.code == VALIDATION_FAILED
    check_required(workflow, {"x": "1", "y": 0})


@pytest.mark.parametrize("value", ["5", "+5", "-5", "007", 5, 5.9, "0"])
def test_integers_are_texts_and_numbers(value):
    check_inputs(workflow_with("{name: x, type: integer}"), {"x": value})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (" 5", '" 5"'), ("5.0", '"5.0"'), ("", '""'), ("0x5", '"0x5"'), ("9223372036854775808", '"9223372036854775808"'),
        (True, "bool"), ([], "[]interface {}"), ({}, "map[string]interface {}"), (float("inf"), "float64"), ("٣", '"٣"'),
    ],
)  # fmt: skip
def test_what_is_no_integer_is_refused(value, shown):
    message = reasons(workflow_with("{name: x, type: integer}"), {"x": value})

    assert message == f"input validation failed: inputs.x: cannot convert {shown} to integer"


def test_an_endless_number_is_refused_at_no_cost_and_shown_in_part():
    message = reasons(workflow_with("{name: x, type: integer}"), {"x": "1" * 1_000_000})

    assert message == f'input validation failed: inputs.x: cannot convert "{"1" * 200}…" to integer'


@pytest.mark.parametrize("value", ["true", "FALSE", "Yes", "no", "1", "0", True, False])
def test_booleans_are_words_digits_and_flags(value):
    check_inputs(workflow_with("{name: x, type: boolean}"), {"x": value})


@pytest.mark.parametrize(("value", "shown"), [("on", '"on"'), ("", '""'), (1, "int"), (1.0, "float64")])
def test_what_is_no_boolean_is_refused(value, shown):
    message = reasons(workflow_with("{name: x, type: boolean}"), {"x": value})

    assert message == f"input validation failed: inputs.x: cannot convert {shown} to boolean"


def test_an_unknown_type_is_refused_for_every_value():
    message = reasons(workflow_with("{name: x, type: float}"), {"x": "1"})

    assert message == 'input validation failed: inputs.x: unknown type "float"'


@pytest.mark.parametrize(
    ("rules", "value", "reason"),
    [
        ("{min: 3}", "2", "value 2 is below minimum 3"),
        ("{max: 3}", 4, "value 4 exceeds maximum 3"),
        ("{min: 0}", "-1", "value -1 is below minimum 0"),
    ],
)
def test_ranges_hold_for_integers(rules, value, reason):
    message = reasons(workflow_with(f"{{name: x, type: integer, validation: {rules}}}"), {"x": value})

    assert message == f"input validation failed: inputs.x: {reason}"


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "missing closing ): `(`"),
        ("[a", "missing closing ]: `[a`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("*a", "missing argument to repetition operator: `*`"),
        ("a{2,1}", "invalid repeat count: `{2,1}`"),
        ("(?<=a)", "invalid or unsupported Perl syntax: `(?<=`"),
        ("(?P<n", "invalid named capture: `(?P<n`"),
        (")", "unexpected ): `)`"),
        ("\\", "trailing backslash at end of expression: ``"),
        ("\\y", "invalid escape sequence: `\\y`"),
        ("[z-a]", "invalid character class range: `z-a`"),
    ],
)
def test_a_pattern_that_is_none_is_explained_in_go_words_and_nothing_reaches_stderr(pattern, words, capfd):
    message = reasons(workflow_with(f"{{name: x, validation: {{pattern: '{pattern}'}}}}"), {"x": "a"})

    assert message.startswith("input validation failed: inputs.x: invalid regex pattern ")
    assert message.endswith(f": error parsing regexp: {words}")
    assert capfd.readouterr().err == ""


def test_a_pattern_takes_linear_time_and_any_text():
    workflow = workflow_with("{name: x, validation: {pattern: '^(a+)+$'}}")

    message = reasons(workflow, {"x": "a" * 50_000 + "!\ud800"})

    assert 'does not match pattern "^(a+)+$"' in message


@pytest.mark.parametrize("type_", ["", "type: string, "])
def test_patterns_and_enums_check_numbers_with_and_without_a_type(type_):
    workflow = workflow_with(f"{{name: x, {type_}validation: {{pattern: '^[a-z]+$', enum: [a]}}}}")

    message = reasons(workflow, {"x": 5})

    assert message == (
        'input validation failed: 2 errors:\n  - inputs.x: value "5" does not match pattern "^[a-z]+$"\n'
        '  - inputs.x: value "5" not in allowed values [a]'
    )


@pytest.mark.parametrize("rules", ["enum: [prod]", "pattern: '^[a-z]+$'", "file_extension: [.py]", "min: 1"])
@pytest.mark.parametrize(("value", "kind"), [(["prod"], "[]interface {}"), ({"prod": 1}, "map[string]interface {}")])
def test_an_input_without_a_type_takes_no_list_or_map_where_it_has_rules(rules, value, kind):
    workflow = workflow_with(f"{{name: x, validation: {{{rules}}}}}")

    message = reasons(workflow, {"x": value})

    assert message == (
        f"input validation failed: inputs.x: a {kind} is not allowed: "
        "the rules of this input are for text, numbers and booleans"
    )


@pytest.mark.parametrize(("value", "is_refused"), [(5, False), (11, True), (10.5, True), ("11", False), (True, False)])
def test_a_range_without_a_type_checks_numbers(value, is_refused):
    workflow = workflow_with("{name: x, validation: {min: 5, max: 10}}")

    if is_refused:
        assert f"value {value} exceeds maximum 10" in reasons(workflow, {"x": value})
    else:
        check_inputs(workflow, {"x": value})


def test_an_input_without_a_type_and_without_rules_takes_any_value():
    check_inputs(workflow_with("{name: x}"), {"x": [1, {"a": None}]})


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e6, "1000000"), (1.5, "1.5"), (True, "true"), ([1, "a"], "[1 a]"), ({"b": 1, "a": None}, "map[a:<nil> b:1]")],
)
def test_other_values_of_a_declared_string_are_judged_by_their_spelling(value, text):
    workflow = workflow_with(f"{{name: x, type: string, validation: {{enum: ['{text}']}}}}")

    check_inputs(workflow, {"x": value})


def test_files_must_exist_and_have_the_right_ending(tmp_path):
    (tmp_path / "here.py").write_text("")
    workflow = workflow_with("{name: x, validation: {file_exists: true, file_extension: [.py, .go]}}")

    check_inputs(workflow, {"x": "here.py"}, cwd=tmp_path)

    assert reasons(workflow, {"x": "gone.py"}, cwd=tmp_path).endswith("inputs.x: file does not exist: gone.py")
    assert reasons(workflow, {"x": ""}, cwd=tmp_path).endswith("inputs.x: file path cannot be empty")
    nul = reasons(workflow, {"x": "a\0.py"}, cwd=tmp_path)
    assert nul.endswith("inputs.x: cannot access file: a\0.py: embedded null byte")
    upper = reasons(workflow, {"x": "dir.py/HERE.PY"}, cwd=tmp_path)
    assert 'inputs.x: file extension ".PY" not in allowed extensions [.py .go]' in upper
    bare = reasons(workflow, {"x": "dir.py/x"}, cwd=tmp_path)
    assert 'inputs.x: file "dir.py/x" has no extension, allowed: [.py .go]' in bare


def test_a_required_input_that_is_empty_is_said_to_be_and_checked_all_the_same():
    message = reasons(workflow_with("{name: x, type: integer, required: true}"), {"x": ""})

    assert message == (
        "input validation failed: 2 errors:\n  - inputs.x: required but empty\n"
        '  - inputs.x: cannot convert "" to integer'
    )


DANGEROUS = [
    "PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "BASH_ENV", "ENV", "IFS", "SHELL", "HOME", "PYTHONPATH",
    "PYTHONSTARTUP", "PERL5LIB", "PERL5OPT", "RUBYOPT", "RUBYLIB", "NODE_OPTIONS", "GIT_SSH_COMMAND", "AWF_MESSAGE_ID",
    "AWF_WORKFLOWS_PATH", "BASH_FUNC_ls%%", "PS4", "PROMPT_COMMAND", "EDITOR", "http_proxy", "XDG_CONFIG_HOME",
]  # fmt: skip
UNUSABLE = ["", "a=b", "=", "a\0b", "a b", "1a", "x\n", "x\r", "a\x7f", "()", "\ud800", "-x", "a" * 256]
HARMLESS = [
    "path",
    "home",
    "file_path",
    "file-path",
    "Path",
    "MY_PATH",
    "x",
    "_x",
    "größe",
    "a.b",
    "GITHUB",
    "env",
    "a" * 255,
]


@pytest.mark.parametrize("name", DANGEROUS)
def test_names_that_programs_take_orders_from_are_dangerous(name):
    with pytest.raises(InputError, match=r"would change|not a name"):
        check_names({name: "x", "fine": "y"})


@pytest.mark.parametrize("name", UNUSABLE)
def test_names_no_environment_can_hold_are_dangerous(name):
    with pytest.raises(InputError, match="not a name that steps can have"):
        check_names([name])


@pytest.mark.parametrize("name", HARMLESS)
def test_ordinary_names_are_not_dangerous(name):
    check_names([name])


def test_undeclared_names_are_listed_in_order():
    assert undeclared(workflow_with("{name: x}"), {"z": 1, "x": 2, "b": 3}) == ("b", "z")


def test_untrusted_inputs_are_refused_naming_each_with_its_reason():
    workflow = workflow_with("{name: x}", "{name: PATH}")

    check_untrusted(workflow, {"x": "1"})

    with pytest.raises(InputError) as caught:
        check_untrusted(workflow, {"x": "1", "PATH": "/tmp", "zzz": "1", "a\nb": "1"})
    assert caught.value.code == VALIDATION_FAILED
    assert caught.value.message == (
        "input validation failed: 3 errors:\n"
        "  - inputs.PATH: would change an environment variable that programs take orders from\n"
        '  - inputs."a\\nb": not a name that steps can have in their environment\n'
        '  - inputs.zzz: not declared by workflow "w"'
    )


def test_a_huge_name_does_not_make_a_huge_message():
    with pytest.raises(InputError) as caught:
        check_untrusted(workflow_with("{name: x}"), {"y" * 100_000: "1"})

    assert len(caught.value.message) < 300
    assert re.search(r'inputs\."y+…": not a name', caught.value.message)
