"""The grammar of expressions: literals, precedence, comments, blocks, and where errors point to."""

from __future__ import annotations

import pytest

from awf_core.lang.expressions import ExpressionError, compile_expression
from awf_core.lang.scope import Scope


def value(text: str, **names: object) -> object:
    return compile_expression(text, mode="any").evaluate(Scope(**names))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0x1F", 31),
        ("0b101", 5),
        ("0o17", 15),
        ("1_000", 1000),
        ("007", 7),
        (".5", 0.5),
        ("2.", 2.0),
        ("1e3", 1000.0),
        ("1E-2", 0.01),
        ("9223372036854775807", 2**63 - 1),
        (r"'it\'s'", "it's"),
        (r'"a\tb\n"', "a\tb\n"),
        (r'"\x41\u00e9\U0001F600\101\u{1F600}"', "A\u00e9\U0001f600A\U0001f600"),
        ("`raw \\n ``tick`` `", "raw \\n `tick` "),
        ("'日本'", "日本"),
        ("[1, 'a', nil, true,]", [1, "a", None, True]),
        ("{a: 1, 'b c': 2, 3: 4, ('d' + 'e'): 5,}", {"a": 1, "b c": 2, "3": 4, "de": 5}),
        ("{a: 1, a: 2}", {"a": 1}),
    ],
)
def test_a_literal_has_its_value(text, expected):
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("-2 ** 2", -4.0),
        ("(-2) ** 2", 4.0),
        ("2 ** 3 ** 2", 512.0),
        ("2 ^ 3", 8.0),
        ("10 - 3 - 2", 5),
        ("not true or true", True),
        ("not (true or true)", False),
        ("!true || true", True),
        ("true or false and false", True),
        ("1 < 2 < 3", True),
        ("3 > 2 > 2", False),
        ("1 < 2 == true", True),
        ("1 not in [2]", True),
        ("'abc' not contains 'x'", True),
        ("'abc' not matches '^b'", True),
        ("1..3 == [1, 2, 3]", True),
        ("1 + 1..3", [2, 3]),
        ("nil ?? 1 ?? 2", 1),
        ("true ? 1 : false ? 2 : 3", 1),
        ("true ?: false", True),
        ("'a' | upper()", "A"),
        ("'a,b' | split(',') | len()", 2),
        ("::len('abc')", 3),
        ("1; 2; 3", 3),
        ("1;", 1),
        ("let a = 1; let b = a + 1; a + b", 3),
        ("if 1 > 2 { 'x' } else if 2 > 1 { 'y' } else { 'z' }", "y"),
        ("1 /* one */ + // two\n 2", 3),
        ("'abcdef'[1:3]", "bc"),
        ("'abcdef'[:-1]", "abcde"),
        ("'abcdef'[4:]", "ef"),
        ("'héllo'[0:3]", "hé"),
        ("[1, 2, 3][-1]", 3),
        ("[1, 2, 3][1:]", [2, 3]),
        ("[1, 2, 3][2:9]", [3]),
        ("[1, 2, 3][2:1]", []),
    ],
)
def test_operators_bind_as_the_grammar_says(text, expected):
    result = value(text)

    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1 +", "unexpected token EOF (1:3)\n | 1 +\n | ..^"),
        ("(1", "unexpected token EOF (1:2)\n | (1\n | .^"),
        ("1 2", 'unexpected token Number("2") (1:3)\n | 1 2\n | ..^'),
        ("a.", "unexpected end of expression (1:2)\n | a.\n | .^"),
        ("a..b..", "unexpected token EOF (1:6)\n | a..b..\n | .....^"),
        ("'abc", "literal not terminated (1:5)\n | 'abc\n | ....^"),
        ("`abc", "literal not terminated (1:5)\n | `abc\n | ....^"),
        ("'a\nb'", "literal not terminated (1:3)\n | 'a\n | ..^"),
        (r"'\q'", "invalid char escape (1:3)\n | '\\q'\n | ..^"),
        (r"'\u12'", "invalid char escape (1:6)\n | '\\u12'\n | .....^"),
        (r"'\477'", "unable to unescape string (1:6)\n | '\\477'\n | .....^"),
        ("/* x", "unclosed comment (1:5)\n | /* x\n | ....^"),
        ("1 @ 2", "unrecognized character: U+0040 '@' (1:3)\n | 1 @ 2\n | ..^"),
        ("12abc", 'bad number syntax: "12a" (1:3)\n | 12abc\n | ..^'),
        ("0b12", 'bad number syntax: "0b12" (1:4)\n | 0b12\n | ...^'),
        (
            "99999999999999999999",
            'invalid integer literal: strconv.ParseInt: parsing "99999999999999999999": value out of range (1:20)\n | 99999999999999999999\n | ...................^',
        ),
        ("0x", 'invalid hex literal: strconv.ParseInt: parsing "0x": invalid syntax (1:2)\n | 0x\n | .^'),
        ("1e400", 'invalid float literal: strconv.ParseFloat: parsing "1e400": value out of range (1:5)\n | 1e400\n | ....^'),
        ("1e", 'invalid float literal: strconv.ParseFloat: parsing "1e": invalid syntax (1:2)\n | 1e\n | .^'),
        ("#", 'unexpected token Operator("#") (1:1)\n | #\n | ^'),
        ("all([1])", "expected at least 2 arguments (1:8)\n | all([1])\n | .......^"),
        ("map([1], # ; 2)", "wrap predicate with brackets { and } (1:12)\n | map([1], # ; 2)\n | ...........^"),
        ("a ?? b + 1", "Operator (+) and coalesce expressions (??) cannot be mixed. Wrap either by parentheses. (1:8)\n | a ?? b + 1\n | .......^"),
        ("a not 1", 'unexpected token Number("1") (1:7)\n | a not 1\n | ......^'),
        ("{1 + 2: 3}", 'unexpected token Operator("+") (1:4)\n | {1 + 2: 3}\n | ...^'),
        (
            "{[1]: 2}",
            'a map key must be a quoted string, a number, a identifier, or an expression enclosed in parentheses (unexpected token Bracket("[")) (1:2)\n | {[1]: 2}\n | .^',
        ),
        ("{{.inputs.x}}", 'a map key must be a quoted string, a number, a identifier, or an expression enclosed in parentheses (unexpected token Bracket("{")) (1:2)\n | {{.inputs.x}}\n | .^'),
        ("true &&\n  inputs.x = 1", 'unexpected token Operator("=") (2:12)\n |   inputs.x = 1\n | ...........^'),
        ("a.\t= 1", "expected name (1:6)\n | a. = 1\n | .....^"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_expression_is_shown_with_the_place_of_the_error(text, problem):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)

    assert caught.value.message == "evaluate bool expression: compile expression: " + problem


def test_the_hint_of_an_error_repeats_the_whole_expression():
    with pytest.raises(ExpressionError) as caught:
        compile_expression("1 + 1")

    assert caught.value.message == "evaluate bool expression: compile expression: expected bool, but got int"
    assert caught.value.hint == 'the expression is "1 + 1"'
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["nil ?: 1", "'' ?: 'x'"])
def test_a_ternary_without_middle_needs_a_bool(text):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, mode="any")

    assert "used as condition" in caught.value.message


def test_a_word_operator_can_be_the_name_of_a_property():
    assert value("inputs.o.in + inputs.o.not", inputs={"o": {"in": 5, "not": 1}}) == 6
