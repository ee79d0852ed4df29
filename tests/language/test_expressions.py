"""Expressions against what the original engine was seen to do: value or error text, type, and the load-time check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from corpus_page import differing_cases

from awf_core.lang.expressions import (
    ExpressionError,
    ExpressionEvalError,
    check_when,
    compile_expression,
    compile_late,
)
from awf_core.lang.expressions.evaluation import Frame
from awf_core.lang.expressions.values import type_name
from awf_core.lang.scope import Scope

CORPUS = json.loads((Path(__file__).parent / "corpus" / "expressions.json").read_text(encoding="utf-8"))
CASES = CORPUS["cases"]
WITH_VALUE = [case for case in CASES if "value" in case["expected"]]
WITH_ERROR = [case for case in CASES if "error" in case["expected"]]
WITH_TYPE = [case for case in CASES if "go_type" in case["expected"]]

ACCEPTED_HERE = differing_cases("expressions.json")


def ids(cases):
    return [case["id"] for case in cases]


def scope_of(case) -> Scope:
    context = CORPUS["base_context"] if case["context"] == "BASE" else case["context"]
    # The original computes the duration from StartedAt; here the engine hands it in as text.
    workflow = {**context.get("workflow", {}), "Duration": "1h2m3.5s"}
    return Scope(
        inputs=context.get("inputs", {}),
        states=context.get("states", {}),
        workflow=workflow,
        env=context.get("env", {}),
        context=context.get("context", {}),
        awf=context.get("awf", {}),
        loop=context.get("loop"),
        error=context.get("error"),
    )


def evaluate(case, compiler=compile_expression) -> object:
    expression = compiler(case["expr"], mode=case["mode"])
    scope = scope_of(case)
    if case["mode"] == "bool":
        return expression.evaluate_bool(scope)
    return expression.evaluate_int(scope) if case["mode"] == "int" else expression.evaluate(scope)


@pytest.mark.parametrize("case", WITH_VALUE, ids=ids(WITH_VALUE))
def test_an_expression_has_the_value_the_original_gives_it(case):
    expected = case["expected"]["value"]

    value = evaluate(case)

    assert value == expected
    assert isinstance(value, bool) == isinstance(expected, bool)


@pytest.mark.parametrize("case", WITH_TYPE, ids=ids(WITH_TYPE))
def test_a_value_has_the_type_the_original_gives_it(case):
    expression = compile_expression(case["expr"], mode="any")

    value = expression.code(Frame(scope_of(case)))

    assert type_name(value) == case["expected"]["go_type"]


@pytest.mark.parametrize("case", WITH_ERROR, ids=ids(WITH_ERROR))
def test_an_expression_that_fails_says_what_the_original_says(case):
    with pytest.raises((ExpressionError, ExpressionEvalError)) as caught:
        evaluate(case)

    assert caught.value.message == case["expected"]["error"]


@pytest.mark.parametrize("case", WITH_ERROR, ids=ids(WITH_ERROR))
def test_compiled_late_an_expression_fails_with_the_same_text_when_it_is_evaluated(case):
    with pytest.raises(ExpressionEvalError) as caught:
        evaluate(case, compile_late)

    assert caught.value.message == case["expected"]["error"]


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_the_load_check_accepts_what_the_original_accepts_and_the_listed_rest(case):
    refused = case["expected"].get("load_validator_error")

    problem = check_when(case["expr"])

    assert problem == (None if case["id"] in ACCEPTED_HERE else refused)


def test_every_case_that_differs_is_refused_by_the_original_alone():
    refused = {case["id"] for case in CASES if "load_validator_error" in case["expected"]}

    assert set(ACCEPTED_HERE) <= refused
