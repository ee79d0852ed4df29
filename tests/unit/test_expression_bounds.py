"""No text and no value makes an expression crash, hang or grow without limit."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from awf_core.lang.expressions import ExpressionError, ExpressionEvalError, check_when, compile_expression
from awf_core.lang.expressions.expression import rewritten
from awf_core.lang.scope import Scope

FULL = 16_000
HOSTILE = [
    "(", "[", "{a:", "!", "-", "a.", "a?.b", "a??", "a[", "1+", "1<", "a ? ", "let a=1;", "if a {", "f(", "a|f(",
    "map(x, ", "/*", "//", "#", ".", "..", "'", "`", "\\", '"\\n', "0x", "1e", "1_", "a not ", "not ", "a in [",
    "contains(", "contains(a,", "contains(,", ";", ",", "é", "\x00", "\ud800", "\n", "a contains ",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE, ids=ascii)
def test_a_text_of_one_repeated_piece_is_refused_or_compiled_quickly(piece):
    text = (piece * (FULL // len(piece) + 1))[:FULL]
    started = time.thread_time()

    with suppress(ExpressionError):
        compile_expression(text)
    problem = check_when(text)

    assert problem is None or problem.startswith("expression compilation failed: ")
    assert time.thread_time() - started < 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1 == 1" + " " * 17_000, "the expression is longer than 16384 characters"),
        ("(" * 100 + "true" + ")" * 100, "the expression nests more than 80 levels (1:81)"),
        ("1" + "+1" * 300 + " > 0", "the expression nests or chains more than 200 operations (1:"),
    ],
)
def test_what_is_beyond_a_limit_is_refused_with_the_limit(text, problem):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)

    assert caught.value.message.startswith("evaluate bool expression: compile expression: " + problem)


def test_an_expression_with_too_many_parts_is_refused():
    text = "[" + "a.b," * 4000 + "] == []"

    with pytest.raises(ExpressionError, match="expression exceeds maximum allowed nodes"):
        compile_expression(text)


def test_an_expression_at_the_limits_runs():
    nested = "(" * 70 + "inputs.x" + ")" * 70
    chained = " || ".join(["inputs.x == 2"] * 190 + ["inputs.x == 1"])

    assert compile_expression(nested + " == 1").evaluate_bool(Scope(inputs={"x": 1}))
    assert compile_expression(chained).evaluate_bool(Scope(inputs={"x": 1}))


@pytest.mark.parametrize(
    "text",
    [
        "len(1..999999999999) > 0",
        "len(map(1..999, map(1..9999, #))) > 0",
        "all(1..900000, all(1..900000, true))",
        "reduce(1..60, #acc + #acc, 'aaaaaaaaaa') == ''",
        "reduce(1..60, replace(#acc, 'a', 'aaaaaaaa'), 'a') == ''",
        "reduce(1..60, concat(#acc, #acc), [1]) == []",
        "reduce(1..60, split(join([#acc, #acc]), ''), 'ab') == []",
        "repeat('abcdef', 900000) == ''",
        "string(reduce(1..60, [#acc, #acc], 1)) == ''",
        "toJSON(reduce(1..60, [#acc, #acc], 1)) == ''",
        "flatten(reduce(1..60, [#acc, #acc], 1)) == []",
        "max(reduce(1..60, [#acc, #acc], 1)) == 1",
        "reduce(1..60, [#acc, #acc], 1) == reduce(1..60, [#acc, #acc], 1)",
        "reduce(1..60, ({a: #acc, b: #acc}), 1) == reduce(1..60, ({a: #acc, b: #acc}), 1)",
        "string(map(1..9999, inputs.long)) == ''",
        "uniq(map(1..5000, [#])) == []",
    ],
)
def test_an_evaluation_that_would_grow_without_limit_is_ended(text):
    started = time.thread_time()

    with pytest.raises(ExpressionEvalError):
        compile_expression(text).evaluate_bool(Scope(inputs={"long": "x" * 100_000}))

    assert time.thread_time() - started < 10


def test_rounds_of_predicates_are_limited():
    expression = compile_expression("any(1..2000, any(1..2000, false))")
    few = compile_expression("any(1..300, any(1..300, false))")

    with pytest.raises(ExpressionEvalError, match=r"memory budget exceeded|more than 1000000 rounds of predicates"):
        expression.evaluate_bool(Scope())
    assert few.evaluate_bool(Scope()) is False


def test_values_nested_beyond_reason_fail_and_do_not_crash():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]

    for text in ("inputs.x == inputs.y", "string(inputs.x) == ''", "toJSON(inputs.x) == ''"):
        with pytest.raises(ExpressionEvalError, match=r"too deeply|recursion depth exceeded"):
            compile_expression(text).evaluate_bool(Scope(inputs={"x": deep, "y": [deep]}))

    with pytest.raises(ExpressionEvalError, match="too deeply nested"):
        compile_expression("fromJSON(inputs.x) == nil").evaluate_bool(Scope(inputs={"x": "[" * 100_000}))


def test_a_pattern_takes_linear_time():
    expression = compile_expression("inputs.text matches '^(a+)+$'")

    assert expression.evaluate_bool(Scope(inputs={"text": "a" * 50_000 + "b"})) is False


def test_rewriting_contains_takes_linear_time():
    text = "contains(,)" * 100_000 + "contains(" * 100_000

    started = time.thread_time()

    assert rewritten(text) == text
    assert time.thread_time() - started < 2


def test_an_expression_is_shared_between_threads():
    text = "let x = inputs.n; all(1..60, {let y = # + x; reduce(1..#, #acc + 0, x) + # == y})"
    expression = compile_expression(text)
    scopes = [Scope(inputs={"n": str(number)}) for number in range(40)]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(expression.evaluate_bool, scopes))

    assert results == [True] * 40
