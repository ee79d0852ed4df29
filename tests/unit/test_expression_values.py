"""Values and types of expressions: inputs, nil, numbers, comparisons, what is refused before the run and what in it."""

from __future__ import annotations

import math

import pytest

from awf_core.lang.expressions import ExpressionError, ExpressionEvalError, compile_expression, compile_late
from awf_core.lang.scope import Scope


def value(text: str, **names: object) -> object:
    return compile_expression(text, mode="any").evaluate(Scope(**names))


def holds(text: str, **names: object) -> bool:
    return compile_expression(text).evaluate_bool(Scope(**names))


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("5", 5),
        ("-7", -7),
        ("+7", 7),
        ("007", 7),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", 2.0**63),
        ("0.5", 0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("1_000", 1000.0),
        ("0x1p4", 16.0),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
        ("true", True),
        ("True", True),
        ("TRUE", True),
        ("false", False),
        ("tRUE", "tRUE"),
        ("yes", "yes"),
        ("", ""),
        (" 5 ", " 5 "),
        ("5 ", "5 "),
        ("0x10", "0x10"),
        ("1e400", "1e400"),
        ("1__0", "1__0"),
        ("_1", "_1"),
        ("1_", "1_"),
        ("-nan", "-nan"),
        ("\u0665", "\u0665"),
        ("1.2.3", "1.2.3"),
        (5, 5),
        (None, None),
        (["5"], ["5"]),
    ],
)
def test_an_input_that_reads_as_bool_integer_or_float_is_one(given, seen):
    result = value("inputs.x", inputs={"x": given})

    assert result == seen
    assert type(result) is type(seen)


def test_an_input_that_reads_as_not_a_number_is_one():
    assert math.isnan(value("inputs.x", inputs={"x": "NaN"}))
    assert not holds("inputs.x == inputs.x", inputs={"x": "NaN"})


def test_the_whole_of_inputs_is_converted_like_its_parts():
    assert value("inputs", inputs={"a": "5", "b": "true", "c": "x"}) == {"a": 5, "b": True, "c": "x"}


def test_a_state_shows_six_fields_with_zero_values_for_what_was_not_recorded():
    states = {"a": {"Output": "x", "JSON": {"k": 1}, "Extra": 1}}

    assert value("states.a", states=states) == {
        "Output": "x", "Stderr": "", "ExitCode": 0, "Status": "", "Response": None, "TokensUsed": 0,
    }  # fmt: skip
    assert value("states.a.JSON", states=states) is None
    assert value("states['a']['TokensUsed'] + 1", states=states) == 1


def test_the_response_a_step_did_not_have_is_nil_and_can_be_read_into():
    states = {"a": {"Output": ""}}

    assert holds("states.a.Response == nil", states=states)
    assert holds("states.a.Response.status_code == nil", states=states)
    assert holds("states.a.Response?.status_code == nil", states=states)
    assert value("states.a.Response ?? 'none'", states=states) == "none"


def test_all_namespaces_can_be_seen_whole():
    scope = {
        "env": {"A": "1"},
        "workflow": {"ID": "i", "Name": "n", "CurrentState": "s", "Duration": "1s", "StartedAt": "t"},
        "context": {"User": "u"},
        "error": {"Message": "m"},
        "loop": {"Item": 1, "Index": 0, "Length": 2, "First": True, "Last": False, "Parent": {"Index": 4}},
    }

    assert value("env", **scope) == {"A": "1"}
    assert value("keys(workflow)", **scope) == ["ID", "Name", "CurrentState", "Duration"]
    assert value("context", **scope) == {"WorkingDir": "", "User": "u", "Hostname": ""}
    assert value("error", **scope) == {"Message": "m", "State": "", "ExitCode": 0, "Type": ""}
    assert value("loop.Index1 + loop.Parent.Index1", **scope) == 6
    assert value("loop.Parent.Parent", **scope) is None
    assert value("$env.env.A", **scope) == "1"


def test_names_and_parts_that_do_not_exist_are_nil():
    assert holds("unknown == nil && inputs.x == nil && env.X == nil && workflow.x == nil && context.x == nil")
    assert holds("awf?.scripts_dir == nil && loop?.Index == nil")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7 / 2", 3.5),
        ("6 / 2", 3.0),
        ("-7 % 3", -1),
        ("7 % -3", 1),
        ("1 / 0", math.inf),
        ("-1 / 0", -math.inf),
        ("2 ** 0.5", math.sqrt(2)),
        ("0 ** -1", math.inf),
        ("10 ** 400", math.inf),
        ("(-10) ** 401", -math.inf),
        ("9223372036854775807 + 1", -(2**63)),
        ("-9223372036854775807 - 2", 2**63 - 1),
        ("inputs.big * 2", -2),
        ("inputs.low - 1", 2**63 - 1),
        ("-inputs.low", -(2**63)),
        ("1 + 2.5", 3.5),
        ("'a' + 'b'", "ab"),
        ("+inputs.big", 2**63 - 1),
    ],
)
def test_arithmetic_is_that_of_64_bits(text, expected):
    assert value(text, inputs={"big": 2**63 - 1, "low": "-9223372036854775808"}) == expected


def test_dividing_nothing_by_nothing_is_not_a_number():
    assert math.isnan(value("0 / 0"))
    assert math.isnan(value("(-8) ** 0.5"))


@pytest.mark.parametrize(
    "text",
    [
        "1 == 1.0",
        "inputs.n == 5 && inputs.n == 5.0",
        "[1, 2.0] == [1.0, 2]",
        "{a: 1} != {a: 1.0}",
        "{a: inputs.n} != {a: 5}",
        "{a: [1, {b: nil}]} == {a: [1, {b: nil}]}",
        "inputs.yes != 1",
        "inputs.none == nil && nil == inputs.none",
        "inputs.list == ['a', 3]",
        "'a' < 'b' && 'Z' < 'a' && 'é' > 'z'",
        "1.5 > 1 && 1 <= 1.0 && 2 >= 2",
        "3 in inputs.list && 'a' in inputs.list && !(3.5 in inputs.list)",
        "3.0 in inputs.list",
        "'k' in inputs.map && !('z' in inputs.map)",
        "inputs.n in 1..10 && !(inputs.n in 6..10) && 5.0 in 1..10",
        "!(1 in inputs.none)",
        "inputs.none in [nil, 1]",
        "!(inputs.none in ['a'])",
        "!(inputs.none contains 'a') && !(inputs.none startsWith 'a') && !(inputs.none matches 'a')",
        "!('a' contains inputs.none) && !('a' matches inputs.none)",
        "'a.c' matches inputs.pattern",
        "has_prefix('abc', 'ab') && has_suffix('abc', 'bc') && !has_prefix('abc', 'b')",
        "inputs.map?.k == 'v' && inputs.none?.k.l.m == nil && inputs.none?.['k'] == nil",
        "inputs.list[0] == 'a' && inputs.list[-1] == 3",
        "inputs.map['z'] == nil",
        "contains(inputs.text, 'ell') && contains('a', 'a')",
    ],
)
def test_a_condition_holds(text):
    inputs = {
        "n": "5", "yes": "true", "none": None, "list": ["a", 3], "map": {"k": "v"}, "pattern": "^a.c$", "text": "hello",
    }  # fmt: skip

    assert holds(text, inputs=inputs)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("'a' + 1", "invalid operation: + (mismatched types string and int) (1:5)\n | 'a' + 1\n | ....^"),
        ("1.5 % 2", "invalid operation: % (mismatched types float64 and int) (1:5)\n | 1.5 % 2\n | ....^"),
        ("!1", "invalid operation: ! (mismatched type int) (1:1)\n | !1\n | ^"),
        ("-'a'", "invalid operation: - (mismatched type string) (1:1)\n | -'a'\n | ^"),
        ("nil > 1", "invalid operation: > (mismatched types unknown and int) (1:5)\n | nil > 1\n | ....^"),
        ("inputs == 1", "invalid operation: == (mismatched types map[string]interface {} and int) (1:8)\n | inputs == 1\n | .......^"),
        ("inputs.x + [1]", "invalid operation: + (mismatched types interface {} and []interface {}) (1:10)\n | inputs.x + [1]\n | .........^"),
        ("foo + [1]", "invalid operation: + (mismatched types unknown and []interface {}) (1:5)\n | foo + [1]\n | ....^"),
        ("1 in ['a']", "cannot use int as type string in array (1:3)\n | 1 in ['a']\n | ..^"),
        ("1 in {a: 1}", "cannot use int as type string in map key (1:3)\n | 1 in {a: 1}\n | ..^"),
        ("'a' in 'abc'", "invalid operation: in (mismatched types string and string) (1:5)\n | 'a' in 'abc'\n | ....^"),
        ("inputs[1]", "cannot use int to get an element from map[string]interface {} (1:8)\n | inputs[1]\n | .......^"),
        ("[1]['a']", "array elements can only be selected using an integer (got string) (1:5)\n | [1]['a']\n | ....^"),
        ("nil.x", 'unexpected token Operator(".") (1:4)\n | nil.x\n | ...^'),
        ("(nil).x", "type nil has no field x (1:7)\n | (nil).x\n | ......^"),
        ("'abc'.x", "type string has no field x (1:7)\n | 'abc'.x\n | ......^"),
        ("(1)[0]", "type int[int] is undefined (1:4)\n | (1)[0]\n | ...^"),
        ("(1)[0:1]", "cannot slice int (1:4)\n | (1)[0:1]\n | ...^"),
        ("'abc'['a':]", "non-integer slice index string (1:7)\n | 'abc'['a':]\n | ......^"),
        ("'a'.b()", "type string has no field b (1:5)\n | 'a'.b()\n | ....^"),
        ("1 ? 2 : 3", "non-bool expression (type int) used as condition (1:1)\n | 1 ? 2 : 3\n | ^"),
        ("len(1)", "invalid argument for len (type int) (1:1)\n | len(1)\n | ^"),
        ("len()", "invalid number of arguments (expected 1, got 0) (1:1)\n | len()\n | ^"),
        ("trim(1)", "not enough arguments to call trim (1:1)\n | trim(1)\n | ^"),
        ("upper(1)", "cannot use int as argument (type string) to call upper  (1:7)\n | upper(1)\n | ......^"),
        ("upper(nil)", "cannot use nil as argument (type string) to call upper (1:7)\n | upper(nil)\n | ......^"),
        ("upper('a', 'b')", "too many arguments to call upper (1:1)\n | upper('a', 'b')\n | ^"),
        ("has_prefix('a')", "not enough arguments to call has_prefix (1:1)\n | has_prefix('a')\n | ^"),
        ("filter(1, true)", "builtin filter takes only array (got int) (1:8)\n | filter(1, true)\n | .......^"),
        ("all([1], 'a')", "predicate should return boolean (got string) (1:10)\n | all([1], 'a')\n | .........^"),
        ("map([1], nil)", "predicate should has one input and one output param (1:10)\n | map([1], nil)\n | .........^"),
        ("filter([1], #index > 0)", "unknown pointer #index (1:13)\n | filter([1], #index > 0)\n | ............^"),
        ("get(1, 2)", "type int does not support indexing (1:5)\n | get(1, 2)\n | ....^"),
        ("let len = 1; true", "cannot redeclare builtin len (1:5)\n | let len = 1; true\n | ....^"),
        ("let loop = 1; true", "cannot redeclare loop (1:5)\n | let loop = 1; true\n | ....^"),
        ("let a = 1; let a = 2; true", "cannot redeclare variable a (1:16)\n | let a = 1; let a = 2; true\n | ...............^"),
        ("'a' matches '['", "error parsing regexp: missing closing ]: `[` (1:5)\n | 'a' matches '['\n | ....^"),
        ("7 % 0 == 1", "integer divide by zero (1:3)\n | 7 % 0 == 1\n | ..^"),
    ],
)  # fmt: skip
def test_what_cannot_work_whatever_the_values_are_is_refused_before_the_run(text, problem):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)

    assert caught.value.message == "evaluate bool expression: compile expression: " + problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("inputs.s > 1", "invalid operation: string > int (1:10)\n | inputs.s > 1\n | .........^"),
        ("1 < inputs.none", "invalid operation: int < <nil> (1:3)\n | 1 < inputs.none\n | ..^"),
        ("inputs.f % 2 == 0", "invalid operation: float64 % int (1:10)\n | inputs.f % 2 == 0\n | .........^"),
        ("inputs.n % 0 == 0", "runtime error: integer divide by zero (1:10)\n | inputs.n % 0 == 0\n | .........^"),
        ("-inputs.s == 1", "invalid operation: - string (1:1)\n | -inputs.s == 1\n | ^"),
        ("!inputs.n", "interface conversion: interface {} is int64, not bool (1:1)\n | !inputs.n\n | ^"),
        ("inputs.s && true && inputs.b", "interface conversion: interface {} is string, not bool (1:18)\n | inputs.s && true && inputs.b\n | .................^"),
        ("inputs.b && inputs.s", "invalid operation: bool(string) (1:1)\n | inputs.b && inputs.s\n | ^"),
        ("inputs.list contains 'a'", "interface conversion: interface {} is []interface {}, not string (1:13)\n | inputs.list contains 'a'\n | ............^"),
        ("inputs.n matches '5'", "interface conversion: interface {} is int64, not string (1:10)\n | inputs.n matches '5'\n | .........^"),
        ("'a' matches inputs.bad", "error parsing regexp: missing closing ): `(` (1:5)\n | 'a' matches inputs.bad\n | ....^"),
        ("'a' in inputs.s", 'operator "in" not defined on string (1:5)\n | \'a\' in inputs.s\n | ....^'),
        ("inputs.n in ['5']", "reflect.Value.MapIndex: value of type int64 is not assignable to type string (1:10)\n | inputs.n in ['5']\n | .........^"),
        ("inputs.map[1] == 1", "reflect.Value.MapIndex: value of type int is not assignable to type string (1:11)\n | inputs.map[1] == 1\n | ..........^"),
        ("inputs.list['a'] == 1", "invalid operation: int(string) (1:12)\n | inputs.list['a'] == 1\n | ...........^"),
        ("inputs.list[5] == 1", "index out of range: 5 (array length is 2) (1:12)\n | inputs.list[5] == 1\n | ...........^"),
        ("inputs.none[0] == 1", "cannot fetch 0 from <nil> (1:12)\n | inputs.none[0] == 1\n | ...........^"),
        ("inputs.none[1:] == ''", "invalid argument for len (type <nil>) (1:12)\n | inputs.none[1:] == ''\n | ...........^"),
        ("inputs.none[1:2] == ''", "cannot slice 1 (1:12)\n | inputs.none[1:2] == ''\n | ...........^"),
        ("inputs.none()", "invalid operation: cannot call nil (1:8)\n | inputs.none()\n | .......^"),
        ("inputs.none ? true : false", "interface conversion: interface {} is nil, not bool (1:26)\n | inputs.none ? true : false\n | .........................^"),
        ("has_prefix(inputs.none, 'a')", "interface conversion: interface {} is nil, not string (1:1)\n | has_prefix(inputs.none, 'a')\n | ^"),
        ("any(inputs.n, true)", "reflect: call of reflect.Value.Len on int64 Value (1:1)\n | any(inputs.n, true)\n | ^"),
        ("any(inputs.list, #)", "interface conversion: interface {} is string, not bool (1:1)\n | any(inputs.list, #)\n | ^"),
        ("{(inputs.n): 1} == {}", "interface conversion: interface {} is int64, not string (1:1)\n | {(inputs.n): 1} == {}\n | ^"),
        ("inputs.b &&\n  inputs.s > 1", "invalid operation: string > int (2:12)\n |   inputs.s > 1\n | ...........^"),
    ],
)  # fmt: skip
def test_a_failure_of_the_run_is_shown_with_its_place(text, problem):
    inputs = {
        "s": "x", "n": "5", "f": "1.5", "b": "true", "none": None, "list": ["a", "b"], "map": {"k": 1}, "bad": "(",
    }  # fmt: skip
    expression = compile_expression(text)

    with pytest.raises(ExpressionEvalError) as caught:
        expression.evaluate_bool(Scope(inputs=inputs))

    assert caught.value.message == "evaluate bool expression: evaluate expression: " + problem
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "text",
    [
        "inputs.none > 3",
        "inputs.none + 1 == 2",
        "env.NONE >= 1",
        "true && inputs.none < 1",
        "states.none.ExitCode != 0",
        "states.none.ExitCode == 0 or true == inputs.b",
        "inputs.none.x == 1 && states.a.ExitCode == 0",
    ],
)
def test_failures_of_nil_are_false_where_inputs_env_or_states_are_mentioned(text):
    assert holds(text, inputs={"none": None, "b": True}, states={"a": {}}) is False


@pytest.mark.parametrize("text", ["3 < inputs.none", "loop.Index > 1", "awf.x == 1", "inputs.none.x == 1"])
def test_other_failures_of_nil_stay_failures(text):
    with pytest.raises(ExpressionEvalError):
        holds(text, inputs={"none": None})


def test_only_the_line_of_the_failure_is_searched_for_names():
    one_line = "inputs.none > 3 && states.a.ExitCode == 0"
    two_lines = "loop.Index > 3\n&& states.a.ExitCode == 0"

    assert holds(one_line, inputs={"none": None}) is False
    with pytest.raises(ExpressionEvalError):
        holds(two_lines)


def test_a_constant_side_decides_without_the_other_being_evaluated():
    assert holds("inputs.none.x.y || true")
    assert not holds("inputs.none.x.y && false")
    assert not holds("inputs.none && true")
    assert holds("inputs.none.x.y || 1 == 1")


def test_a_condition_that_is_a_number_says_so():
    with pytest.raises(ExpressionEvalError) as caught:
        holds("inputs.n", inputs={"n": 5})

    assert caught.value.message == "expression did not return boolean, got numeric value"
    assert caught.value.hint == 'the expression is "inputs.n"'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10 % 4", 2),
        ("2 ^ 10", 1024),
        ("-7 / 2", -3),
        ("1e30", -(2**63)),
        ("inputs.n + 1", 6),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_an_integer_is_what_remains_of_a_number(text, expected):
    result = compile_expression(text, mode="int").evaluate_int(Scope(inputs={"n": "5"}))

    assert result == expected
    assert type(result) is int


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("true", "expression returned boolean, expected numeric value"),
        ("nil", "expression did not return numeric value, got <nil>"),
        ("[1]", "expression did not return numeric value, got []interface {}"),
        ("1 / 0", "division by zero"),
        ("0 / 0", "invalid arithmetic operation"),
        ("inputs.none + 1", "evaluate expression: invalid operation: <nil> + int (1:13)\n | inputs.none + 1\n | ............^"),
    ],
)  # fmt: skip
def test_what_is_no_integer_is_refused(text, problem):
    with pytest.raises(ExpressionEvalError) as caught:
        compile_expression(text, mode="int").evaluate_int(Scope())

    assert caught.value.message == problem


@pytest.mark.parametrize("text", ["1 ++ 2", "2 ** 3"])
def test_two_operators_are_not_for_integers(text):
    with pytest.raises(ExpressionError, match=r"compile expression: invalid operator (\+\+|\*\*)$"):
        compile_expression(text, mode="int")


def test_an_expression_compiled_late_fails_when_it_is_evaluated_and_not_before():
    expression = compile_late("{{.inputs.x}}")

    with pytest.raises(ExpressionEvalError, match="a map key must be"):
        expression.evaluate_bool(Scope())


def test_values_leave_in_plain_types():
    result = value(
        "[split('a', ','), 1..2, {a: states.s.Response}, inputs.n, inputs.t[0]]",
        inputs={"n": "5", "t": "é"},
        states={"s": {}},
    )

    assert [type(item) for item in result] == [list, list, dict, int, int]
    assert result == [["a"], [1, 2], {"a": None}, 5, 0xC3]


def test_evaluating_leaves_the_scope_as_it_was():
    inputs = {"list": [3, 1, 2], "n": "5"}

    value("[sort(inputs.list), reverse(inputs.list), concat(inputs.list, [4]), inputs.n]", inputs=inputs)

    assert inputs == {"list": [3, 1, 2], "n": "5"}
