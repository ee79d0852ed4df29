"""The builtins of expressions, each with what it gives and how it fails."""

from __future__ import annotations

import math

import pytest

from awf_core.lang.expressions import ExpressionError, ExpressionEvalError, compile_expression
from awf_core.lang.expressions.builtin_table import NAMES
from awf_core.lang.scope import Scope

INPUTS = {
    "n": "5", "f": "-1.5", "t": "héé", "none": None, "list": [3, 1, 2], "mixed": ["a", 1], "map": {"b": 2, "a": 1},
    "nested": [[1], [2, [3]]], "json": '{"a": [1, true, null, "x"]}', "yes": True,
}  # fmt: skip

VALUES = [
    ("len('héé')", 3),
    ("len(inputs.list) + len(inputs.map)", 5),
    ("trim('\\u00a0 x\\n')", "x"),
    ("trim('--x-', '-')", "x"),
    ("trimPrefix('v1', 'v') + trimPrefix(' 1')", "11"),
    ("trimSuffix('a.go', '.go') + trimSuffix('b ')", "ab"),
    ("upper('straße') + upper('é')", "STRAßEÉ"),
    ("lower('ÀB') + lower('AB')", "àbab"),
    ("split('a,b,c', ',')", ["a", "b", "c"]),
    ("split('a,b,c', ',', 2)", ["a", "b,c"]),
    ("split('abc', '')", ["a", "b", "c"]),
    ("split('abc', '', 2)", ["a", "bc"]),
    ("split('abc', ',', 0)", []),
    ("splitAfter('a,b', ',')", ["a,", "b"]),
    ("splitAfter('a,b,c', ',', 2)", ["a,", "b,c"]),
    ("replace('aaa', 'a', 'b')", "bbb"),
    ("replace('aaa', 'a', 'b', 2)", "bba"),
    ("replace('abc', '', '-')", "-a-b-c-"),
    ("repeat('ab', 3)", "ababab"),
    ("join(['a', 'b'], '-') + join(split('c d', ' '))", "a-bcd"),
    ("indexOf('héllo', 'l')", 3),
    ("indexOf('abc', 'z')", -1),
    ("lastIndexOf('héhé', 'h')", 3),
    ("hasPrefix('abc', 'a') && hasSuffix('abc', 'c')", True),
    ("int('42') + int(-1.9) + int(inputs.n)", 46),
    ("int('-9223372036854775808')", -(2**63)),
    ("int(1e30)", -(2**63)),
    ("int(duration('1us'))", 1000),
    ("float('1.5') + float(1)", 2.5),
    ("abs(-2) + abs(inputs.n)", 7),
    ("abs(inputs.f)", 1.5),
    ("ceil(1.2)", 2.0),
    ("floor(-1.2)", -2.0),
    ("round(2.5)", 3.0),
    ("round(-2.5)", -3.0),
    ("ceil(1 / 0)", math.inf),
    ("max(1, 2.5, [3, [4]])", 4),
    ("min(inputs.list)", 1),
    ("min([])", None),
    ("mean(1, [2, 3])", 2.0),
    ("mean([])", 0.0),
    ("median([3, 1, 2])", 2.0),
    ("median([4, 1, 2, 3])", 2.5),
    ("median([])", 0.0),
    ("bitand(6, 3)", 2),
    ("bitor(6, 3)", 7),
    ("bitxor(6, 3)", 5),
    ("bitnand(6, 3)", 4),
    ("bitnot(0)", -1),
    ("bitshl(1, 63)", -(2**63)),
    ("bitshl(1, 64)", 0),
    ("bitshr(-8, 1)", -4),
    ("bitushr(-1, 60)", 15),
    ("first(inputs.list)", 3),
    ("last(inputs.list)", 2),
    ("first([])", None),
    ("get(inputs.map, 'a')", 1),
    ("get(inputs.list, 9)", None),
    ("get(inputs.list, -1)", 2),
    ("get(inputs.none, 'a')", None),
    ("take(inputs.list, 2)", [3, 1]),
    ("take(inputs.list, 9)", [3, 1, 2]),
    ("keys(inputs.map)", ["b", "a"]),
    ("values(inputs.map)", [2, 1]),
    ("toPairs({a: 1})", [["a", 1]]),
    ("fromPairs([['a', 1], [2, 3]])[2]", 3),
    ("reverse(1..3)", [3, 2, 1]),
    ("uniq([1, 1.0, true, 'a', 'a', [1], [1.0], nil, nil])", [1, True, "a", [1], None]),
    ("concat([1], 2..3)", [1, 2, 3]),
    ("flatten(inputs.nested)", [1, 2, 3]),
    ("sort(inputs.list)", [1, 2, 3]),
    ("sort(['b', 'a'], 'desc')", ["b", "a"]),
    ("all(inputs.list, # > 0) && !all(inputs.list, # > 1)", True),
    ("any(inputs.list, # == 2) && none(inputs.list, # == 9) && one(inputs.list, # == 2)", True),
    ("any([], true) || one([1, 1], # == 1)", False),
    ("filter(inputs.list, {# > 1})", [3, 2]),
    ("map(inputs.list, # * #index)", [0, 1, 4]),
    ("map(['a'], {let x = #; x + x})", ["aa"]),
    ("map([{a: 1}], .a)", [1]),
    ("map([{a: 1}], #.a)", [1]),
    ("map([1, 2], map([10], # + 1))", [[11], [11]]),
    ("map([[1], [2]], sum(#) + len(#))", [2, 3]),
    ("count(inputs.list, # > 1)", 2),
    ("count([true, false])", 1),
    ("sum(inputs.list)", 6),
    ("sum([1, 0.5])", 1.5),
    ("sum(inputs.list, # * 2)", 12),
    ("find(inputs.list, # < 3)", 1),
    ("find(inputs.list, # > 9)", None),
    ("findIndex(inputs.list, # < 3)", 1),
    ("findLast(inputs.list, # < 3)", 2),
    ("findLastIndex(inputs.list, # < 3)", 2),
    ("findLastIndex(inputs.list, # > 9)", None),
    ("groupBy(inputs.list, # > 1)[true]", [3, 2]),
    ("sortBy([{n: 2}, {n: 1}], .n)", [{"n": 1}, {"n": 2}]),
    ("sortBy(inputs.list, -#, 'desc')", [1, 2, 3]),
    ("reduce(inputs.list, #acc + #, 10)", 16),
    ("reduce(inputs.list, #acc * 10 + #)", 312),
    ("reduce(inputs.list, #acc + #index, 0)", 3),
    ("inputs.list | filter(# > 1) | map(# + 1)", [4, 3]),
    ("type(1) + type(1.5) + type('') + type(nil) + type([]) + type({}) + type(true) + type(inputs.n)", "intfloatstringnilarraymapboolint"),
    ("type(inputs.t[0])", "uint"),
    ("string(1.5) + string(1000000.0) + string([1, 'a', nil, true]) + string({b: 2, a: [1]})", "1.51e+06[1 a <nil> true]map[a:[1] b:2]"),
    ("toJSON({b: [1, 1.0, 1e21, 1e-7], a: '<é>', c: nil, d: [], e: {}})", '{\n  "a": "\\u003cé\\u003e",\n  "b": [\n    1,\n    1,\n    1e+21,\n    1e-7\n  ],\n  "c": null,\n  "d": [],\n  "e": {}\n}'),
    ("fromJSON(inputs.json).a", [1.0, True, None, "x"]),
    ("fromJSON(toJSON(inputs.map)) == {a: 1.0, b: 2.0}", True),
    ("fromBase64(toBase64('héé'))", "héé"),
    ("date('2026-01-31').Year() + date('2026-01-31').YearDay()", 2057),
    ("date('2026-02-01 03:04:05').Format('Mon 2 Jan 06 03:04PM')", "Sun 1 Feb 26 03:04AM"),
    ("date('2026-02-01T03:04:05.25+02:00').Unix()", 1769907845),
    ("date('2026-02-01T03:04:05.25+02:00').Format('2006-01-02T15:04:05.000Z07:00')", "2026-02-01T03:04:05.250+02:00"),
    ("date('01/02/2026', '02/01/2006').Month()", 2),
    ("date('2026-07-01 12:00', '2006-01-02 15:04', 'Europe/Paris').UTC().Hour()", 10),
    ("date(timezone('UTC'), '2026-07-01') == date('2026-07-01')", True),
    ("date('2026-01-02') - date('2026-01-01') == duration('24h')", True),
    ("(date('2026-01-01') + duration('36h')).Day()", 2),
    ("date('2026-01-02').Sub(date('2026-01-01')).Hours()", 24.0),
    ("date('2026-01-02').After(date('2026-01-01')) && date('2026-01-01') < date('2026-01-02')", True),
    ("string(duration('90m1.5s')) + string(duration('-1500us'))", "1h30m1.5s-1.5ms"),
    ("duration('1h') > duration('59m') && duration('1s') * 60 == duration('1m')", True),
    ("now().Year() >= 2026 && now() > date('2020-01-01')", True),
]  # fmt: skip


def value(text: str) -> object:
    return compile_expression(text, mode="any").evaluate(Scope(inputs=INPUTS))


@pytest.mark.parametrize(("text", "expected"), VALUES, ids=[text[:60] for text, _ in VALUES])
def test_a_builtin_gives_its_value(text, expected):
    result = value(text)

    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("trim(inputs.none)", "interface conversion: interface {} is nil, not string"),
        ("len(inputs.n)", "invalid argument for len (type int64)"),
        ("int('5 ')", "invalid operation: int(5 )"),
        ("int(inputs.yes)", "invalid operation: int(bool)"),
        ("float('x')", "invalid operation: float(x)"),
        ("abs(inputs.t)", "invalid argument for abs (type string)"),
        ("max(inputs.mixed)", "invalid argument for max (type string)"),
        ("bitshl(1, -1)", "invalid operation: negative shift count -1 (type int)"),
        ("bitand(inputs.t, 1)", "cannot use string as argument (type int) to call bitand"),
        ("join(inputs.mixed, ',')", "interface conversion: interface {} is int, not string"),
        ("join(inputs.map)", "invalid argument for join (type map[string]interface {})"),
        ("repeat('a', -1)", "invalid argument for repeat (expected positive integer, got -1)"),
        ("repeat('a', 1000001)", "memory budget exceeded"),
        ("keys(inputs.list)", "cannot get keys from slice"),
        ("reverse(inputs.map)", "cannot reverse map"),
        ("take(inputs.list, -1)", "reflect.Value.Slice: slice index out of bounds"),
        ("fromPairs([[1]])", "invalid pair length 1"),
        ("fromPairs([[[], 1]])", "runtime error: hash of unhashable type []interface {}"),
        ("groupBy([1], [#])", "runtime error: hash of unhashable type []interface {}"),
        ("sort(inputs.mixed)", "invalid operation: int < string"),
        ("sort([1], 'up')", "invalid order up, expected asc or desc"),
        ("sortBy([1], #, 'up')", "unknown order, use asc or desc"),
        ("reduce([], #acc)", "reflect: slice index out of range"),
        ("sum(inputs.mixed)", "invalid operation: string + int"),
        ("any(inputs.map, # == 1)", "reflect: call of reflect.Value.Index on map Value"),
        ("toJSON(1 / 0)", "json: unsupported value: +Inf"),
        ("toJSON(groupBy([1], #))", "json: unsupported type: map[interface {}]interface {}"),
        ("fromJSON('{')", "fromJSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("fromJSON('NaN')", "fromJSON: invalid value NaN"),
        ("fromJSON('1e999')", "fromJSON: number 1e999 is too large"),
        ("fromBase64('?')", "fromBase64: illegal base64 data"),
        ("date('soon')", "invalid date soon"),
        ("date('x', '2006')", 'parsing time "x" as "2006": cannot parse'),
        ("date('2026-01-01').Year(1)", "too many arguments to call Year"),
        ("date('2026-01-01').Sub(1)", "interface conversion: interface {} is int, not time.Time"),
        ("duration('1 h')", 'time: invalid duration "1 h"'),
        ("timezone('Mars/Base')", "unknown time zone Mars/Base"),
    ],
)  # fmt: skip
def test_a_builtin_that_cannot_go_on_says_why(text, problem):
    with pytest.raises(ExpressionEvalError) as caught:
        value(text)

    assert caught.value.message.startswith(f"evaluate: {problem} (1:")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ceil('a')", "invalid argument for ceil (type string)"),
        ("max()", "not enough arguments to call max"),
        ("max('a')", "invalid argument for max (type string)"),
        ("first(1)", "cannot get first element from int"),
        ("take(1, 1)", "cannot take from int"),
        ("take([1], 'a')", "cannot take string elements"),
        ("concat()", "invalid number of arguments (expected at least 1, got 0)"),
        ("concat(1)", "cannot concat int"),
        ("keys([1])", "cannot get keys from []interface {}"),
        ("now(1)", "invalid number of arguments (expected 0, got 1)"),
        ("date()", "invalid number of arguments (expected at least 1, got 0)"),
        ("date('a', 'b', 'c', 'd')", "invalid number of arguments (expected at most 3, got 4)"),
        ("get([1])", "invalid number of arguments (expected 2, got 1)"),
        ("get([1], 'a')", "non-integer slice index string"),
        ("get(inputs, 1)", "cannot use int to get an element from map[string]interface {}"),
        ("duration('1h') + 1", "invalid operation: + (mismatched types time.Duration and int)"),
    ],
)
def test_a_builtin_with_wrong_types_is_refused_before_the_run(text, problem):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, mode="any")

    assert caught.value.message.startswith(f"compile: {problem} (1:")


def test_every_builtin_has_a_case_here():
    used = " ".join(text for text, _ in VALUES)

    assert [name for name in sorted(NAMES) if f"{name}(" not in used] == []
