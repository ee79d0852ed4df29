"""Expressions, whatever the text and the values: against Python where it computes the same, and for not crashing."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from awf_core.lang.expressions import (
    ExpressionError,
    ExpressionEvalError,
    check_when,
    compile_expression,
    compile_late,
)
from awf_core.lang.expressions.environment import input_value
from awf_core.lang.expressions.expression import rewritten
from awf_core.lang.go.numbers import wrapped
from awf_core.lang.scope import Scope

INT64 = st.integers(-(2**63), 2**63 - 1)
SCALARS = st.none() | st.booleans() | INT64 | st.text(max_size=8)


def containers(inner):
    return st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)


JSON = st.recursive(SCALARS | st.floats(), containers, max_leaves=10)
FINITE_JSON = st.recursive(SCALARS | st.floats(allow_nan=False, allow_infinity=False), containers, max_leaves=10)
WORDS = st.sampled_from(
    [
        "inputs.x",
        "inputs.y",
        "inputs",
        "states.a.Output",
        "states.none.ExitCode",
        "env.A",
        "loop.Item",
        "nil",
        "true",
        "false",
        "0",
        "1",
        "2.5",
        "'a'",
        '"b"',
        "`",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        ",",
        ":",
        ";",
        ".",
        "..",
        "?.",
        "?",
        "??",
        "|",
        "||",
        "&&",
        "+",
        "-",
        "*",
        "/",
        "%",
        "**",
        "^",
        "!",
        "not",
        "in",
        "contains",
        "matches",
        "startsWith",
        "endsWith",
        "==",
        "!=",
        "<",
        ">=",
        "let",
        "x",
        "=",
        "if",
        "else",
        "#",
        "#acc",
        "all(",
        "map(",
        "filter(",
        "len(",
        "sum(",
        "sort(",
        "string(",
        "toJSON(",
        "get(",
        "split(",
        "reduce(",
        "groupBy(",
        "date(",
        "trim(",
        "int(",
        "max(",
        "first(",
        "uniq(",
        "flatten(",
        "contains(",
        "has_prefix(",
        "//",
        "/*",
        "*/",
        "\\",
        "@",
        "é",
        "\n",
    ]
)
TEXTS = st.lists(WORDS, max_size=14).map(" ".join) | st.text(max_size=40)


def failure(action, kind):
    """The error of `kind` that `action` ends with, or None. Any other error is a bug and passes through."""
    try:
        action()
    except kind as error:
        return error
    return None


def operands():
    leaves = st.sampled_from(
        ["inputs.x", "inputs.y", "inputs", "states.a.Output", "env.A", "nil", "true", "0", "2", "1.5", "'a'", "[1, 'b']",
         "{a: 1}", "1..3", "inputs.x?.k", "loop.Item"]
    )  # fmt: skip
    binary = st.sampled_from(
        [
            "+",
            "-",
            "*",
            "/",
            "%",
            "**",
            "==",
            "!=",
            "<",
            ">",
            "<=",
            ">=",
            "&&",
            "||",
            "??",
            "in",
            "contains",
            "startsWith",
            "endsWith",
            "matches",
            "..",
        ]
    )
    one = st.sampled_from(
        ["-{}", "!{}", "len({})", "string({})", "toJSON({})", "int({})", "float({})", "trim({})", "upper({})",
         "split({}, ',')", "keys({})", "values({})", "first({})", "last({})", "sort({})", "uniq({})", "flatten({})",
         "reverse({})", "max({})", "mean({})", "sum({})", "abs({})", "round({})", "type({})", "fromJSON({})",
         "toPairs({})", "fromPairs({})", "join({})", "count({})", "map({}, #)", "filter({}, # == 1)",
         "all({}, # != nil)", "groupBy({}, #)", "sortBy({}, #)", "reduce({}, #acc + #)", "find({}, true)",
         "{}[0]", "{}.k", "{}?.k", "{}[1:]", "{}['k']", "date({})", "duration({})", "toBase64({})", "take({}, 1)"]
    )  # fmt: skip

    def larger(inner):
        return st.one_of(
            st.builds(lambda left, op, right: f"({left} {op} {right})", inner, binary, inner),
            st.builds(lambda template, operand: "(" + template.format(operand) + ")", one, inner),
            st.builds(lambda test, then, other: f"({test} ? {then} : {other})", inner, inner, inner),
        )

    return st.recursive(leaves, larger, max_leaves=6)


@given(TEXTS)
def test_any_text_compiles_or_is_refused_with_a_reason(text):
    for mode in ("bool", "int", "any"):
        error = failure(lambda mode=mode: compile_expression(text, mode=mode), ExpressionError)

        assert error is None or (error.message and error.hint)


@given(TEXTS, JSON)
def test_any_text_compiled_late_gives_a_bool_or_an_evaluation_error(text, value):
    scope = Scope(inputs={"x": value}, states={"a": {"Output": "o"}}, env={"A": "1"})
    results: list[object] = []

    error = failure(lambda: results.append(compile_late(text).evaluate_bool(scope)), ExpressionEvalError)

    assert results in ([True], [False]) or (error is not None and error.message)


@given(operands(), JSON, JSON)
def test_any_expression_on_any_values_gives_a_value_or_an_evaluation_error(text, x, y):
    scope = Scope(inputs={"x": x, "y": y}, states={"a": {"Output": "1,2"}}, env={"A": "[1]"}, loop={"Item": y})

    error = failure(lambda: compile_late(text, mode="any").evaluate(scope), ExpressionEvalError)

    assert error is None or error.message


@given(TEXTS)
def test_what_the_load_check_refuses_does_not_compile_either(text):
    refused = check_when(text) is not None

    compiles = failure(lambda: compile_expression(text), ExpressionError) is None

    assert not (refused and compiles)


@given(INT64, INT64, st.sampled_from("+-*"))
def test_integer_arithmetic_wraps_around_at_64_bits(left, right, op):
    expected = wrapped({"+": left + right, "-": left - right, "*": left * right}[op])

    for scope, text in (
        (Scope(inputs={"a": left, "b": right}), f"inputs.a {op} inputs.b"),
        (Scope(inputs={"a": str(left), "b": str(right)}), f"inputs.a {op} inputs.b"),
    ):
        assert compile_expression(text, mode="int").evaluate_int(scope) == expected
    assert -(2**63) <= expected < 2**63
    assert (expected - {"+": left + right, "-": left - right, "*": left * right}[op]) % 2**64 == 0


@given(INT64, INT64.filter(bool))
def test_quotient_and_remainder_cut_toward_zero(left, right):
    scope = Scope(inputs={"a": left, "b": right})

    rest = compile_expression("inputs.a % inputs.b", mode="int").evaluate_int(scope)

    assert abs(rest) < abs(right)
    assert rest == 0 or (rest < 0) == (left < 0)
    assert (left - rest) % right == 0


@given(st.booleans(), st.booleans(), st.booleans())
def test_logic_binds_as_and_before_or(a, b, c):
    scope = Scope(inputs={"a": a, "b": b, "c": c})

    for text in ("inputs.a || inputs.b && inputs.c", "inputs.a or inputs.b and inputs.c"):
        assert compile_expression(text).evaluate_bool(scope) == (a or (b and c))
    assert compile_expression("not inputs.a && inputs.b").evaluate_bool(scope) == ((not a) and b)


@given(st.text(max_size=20).filter(lambda text: not any(char in text for char in "\r\n")), st.booleans())
def test_a_quoted_text_reads_back_as_itself(text, raw):
    literal = "`" + text.replace("`", "``") + "`" if raw else "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    assert compile_expression(literal, mode="any").evaluate(Scope()) == text


@given(INT64 | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_written_as_text_is_that_number_as_an_input(number):
    assert input_value(repr(number)) == number


@given(st.text(max_size=20))
def test_an_input_that_is_not_converted_stays_as_it_is(text):
    value = input_value(text)

    assert value is text or isinstance(value, (bool, int, float))
    if isinstance(value, str):
        assert value == text


@given(FINITE_JSON)
def test_json_written_by_an_expression_reads_back(value):
    text = compile_expression("toJSON(inputs.x)", mode="any").evaluate(Scope(inputs={"x": [value]}))

    assert isinstance(text, str)
    assert same(json.loads(text), [value])


def same(read: object, written: object) -> bool:
    """Equality, where a whole float is written without a point and so reads as an integer."""
    if isinstance(written, float):
        return float(read) == written
    if isinstance(written, list):
        return len(read) == len(written) and all(map(same, read, written))
    if isinstance(written, dict):
        return read.keys() == written.keys() and all(same(read[key], item) for key, item in written.items())
    return read == written and type(read) is type(written)


@given(st.lists(st.sampled_from(["contains(", "a", ",", ")", " ", "(", "'x'", "\n"]), max_size=12).map("".join))
def test_contains_is_rewritten_as_the_pattern_of_the_original_does(text):
    pattern = re.compile(r"contains\(([^,]+),[\t\n\f\r ]*([^)]+)\)")

    assert rewritten(text) == pattern.sub(r"\1 contains \2", text)


@given(st.lists(INT64 | st.text(max_size=3), max_size=8))
def test_membership_and_position_agree_with_python(items):
    known = items[0] if items else None
    scope = Scope(inputs={"list": items, "known": known, "other": [7.5]})

    assert compile_expression("inputs.known in inputs.list").evaluate_bool(scope) == (input_value(known) in items)
    assert compile_expression("!(inputs.other in inputs.list)").evaluate_bool(scope)
    assert compile_expression("len(inputs.list) == count(inputs.list, true)").evaluate_bool(scope)
