"""Values print, and printf formats, as Go's fmt does. Expectations are facts about Go, not about this code."""

from __future__ import annotations

import pytest

from awf_core.lang.scope import Scope
from awf_core.lang.templates import compile_template

SCOPE = Scope(
    inputs={
        "int": 42,
        "negative": -7,
        "float": 2.5,
        "million": 1_000_000.0,
        "text": "hi",
        "list": [1, "b", None, 2.0, True],
        "map": {"b": 1, "a": [None], "c": {}},
        "nothing": None,
        "accent": "é☃",
        "huge": 10**30,
        "unsigned": 2**63,
        "odd_keys": {2: "two", "one": 1, True: "yes"},
    },
    states={"build": {"Output": "ok", "ExitCode": 3, "Status": "failed"}},
    workflow={"ID": "i", "Name": "w", "CurrentState": "s", "StartedAt": "2026-01-02T03:04:05.120Z", "Duration": "1.5s"},
    context={"WorkingDir": "/w", "User": "u", "Hostname": "h"},
    loop={"Item": {"a": [1]}, "Index": 0, "First": True, "Last": True, "Length": 1},
)


def rendered(template: str) -> str:
    return compile_template("{{" + template + "}}").render(SCOPE)


@pytest.mark.parametrize(
    ("pattern", "arguments", "expected"),
    [
        ("%d|%5d|%-5d|%05d|%+d|% d", "42 42 42 42 42 42", "42|   42|42   |00042|+42| 42"),
        ("%x|%X|%#x|%o|%#o|%O|%b|%#b", "255 255 255 8 8 8 5 5", "ff|FF|0xff|10|010|0o10|101|0b101"),
        ("%.4d|%8.4d|%.0d|%08d|%x", "42 42 0 -42 -255", "0042|    0042||-0000042|-ff"),
        ("%c|%q|%U|%#U|%#q", "65 65 9731 9731 10", "A|'A'|U+2603|U+2603 '☃'|'\\n'"),
        ("%f|%.2f|%8.3f|%-8.1f|%.0f", "3.14159 3.14159 3.14159 3.14159 2.5", "3.141590|3.14|   3.142|3.1     |2"),
        ("%e|%E|%.2e|%g|%G", "1234.5678 1234.5678 0.0 1e-7 1e-7", "1.234568e+03|1.234568E+03|0.00e+00|1e-07|1E-07"),
        ("%g|%.3g|%.10g|%g", "100000.0 1234.5678 1234.5678 1e20", "100000|1.23e+03|1234.5678|1e+20"),
        ("%+.1f|%08.3f|%+08.2f|% .1f|%#g|%#.3g", "2.0 -3.14159 3.0 1.5 1.0 1.0", "+2.0|-003.142|+0003.00| 1.5|1.00000|1.00"),
        ("%b|%x|%X", "1.0 1.5 0.1", "4503599627370496p-52|0x1.8p+00|0X1.999999999999AP-04"),
        ("%s|%6s|%-6s|%.1s|%06s", '"hi" "hi" "hi" "hi" "hi"', "hi|    hi|hi    |h|0000hi"),
        ("%q|%+q|%#q|%x|% x|%#x|%# x|%X", '"é" "é" "hi" "hi" "hi" "hi" "hi" "hi"',
         '"é"|"\\u00e9"|`hi`|6869|68 69|0x6869|0x68 0x69|6869'),
        ("%5s|%.2s", ".inputs.accent .inputs.accent", "   é☃|é☃"),
        ("%t|%v|%5t", "true false true", "true|false| true"),
        ("%v|%s|%d", ".inputs.list .inputs.list .inputs.list",
         ("[1 b <nil> 2 true]|[%!s(int=1) b <nil> %!s(float64=2) %!s(bool=true)]"
         "|[1 %!d(string=b) <nil> %!d(float64=2) %!d(bool=true)]")),
        ("%v|%+v|%#v", ".inputs.map .inputs.map .inputs.map",
         ("map[a:[<nil>] b:1 c:map[]]|map[a:[<nil>] b:1 c:map[]]"
         '|map[string]interface {}{"a":[]interface {}{interface {}(nil)}, "b":1, "c":map[string]interface {}{}}')),
        ("%v|%+v|%#v", ".context .context .context",
         ("{/w u h}|{WorkingDir:/w User:u Hostname:h}"
         '|interpolation.ContextData{WorkingDir:"/w", User:"u", Hostname:"h"}')),
        ("%q|%x", '(split "a,b" ",") (split "a,b" ",")', '["a" "b"]|[61 62]'),
        ("%T %T %T %T %T %T %T", '1 1.5 "a" true nil .inputs.list .inputs.map',
         "int float64 string bool <nil> []interface {} map[string]interface {}"),
        ("%T %T %T %T %T", '.loop .loop.Item .states .workflow.StartedAt (split "a" ",")',
         ("*interpolation.LoopData interpolation.serializableItem map[string]interpolation.StepStateData time.Time"
         " []string")),
        ("%v|%s|%q|%x|%5d", ".loop.Item .loop.Item .loop.Item (slice .loop.Item.String 0 2) 1",
         '{"a":[1]}|{"a":[1]}|"{\\"a\\":[1]}"|7b22|    1'),
        ("%v|%v", "1+2i 2i", "(1+2i)|(0+2i)"),
        ("100%%", "", "100%"),
    ],
)  # fmt: skip
def test_printf_formats_each_verb_as_go_does(pattern: str, arguments: str, expected: str) -> None:
    assert rendered(f'printf "{pattern}" {arguments}') == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ('printf "%d"', "%!d(MISSING)"),
        ('printf "%d" "x"', "%!d(string=x)"),
        ('printf "%5z" 1', "%!z(int=    1)"),
        ('printf "%s" nil', "%!s(<nil>)"),
        ('printf "%d" 1 2 "x" nil', "1%!(EXTRA int=2, string=x, <nil>)"),
        ('printf "%"', "%!(NOVERB)"),
        ('printf "%9999999d" 1', "%!(NOVERB)%!(EXTRA int=1)"),
        ('printf "%*d|%-*d|%.*f" 5 1 5 2 2 3.14159', "    1|2    |3.14"),
        ('printf "%*d" "x" 1', "%!(BADWIDTH)1"),
        ('printf "%.*d" "x" 1', "%!(BADPREC)1"),
        ('printf "%*d" -4 1', "1   "),
        ('printf "%[2]d %[1]d" 1 2', "2 1"),
        ('printf "%[2]*[1]d" 3 5', "    3"),
        ('printf "%[3]d" 1', "%!d(BADINDEX)"),
        ('printf "%[x]d" 1', "%!d(BADINDEX)"),
        ('printf "%[1" 1', "%!(NOVERB)"),
        ('printf "%[2]3d" 1 2', "%!d(BADINDEX)"),
        ('printf "%w" "x"', "%!w(string=x)"),
        ('printf "%p" 1', "%!p(int=1)"),
        ('printf "%é" 1', "%!é(int=1)"),
    ],
)
def test_printf_says_in_the_text_what_does_not_fit(call: str, expected: str) -> None:
    assert rendered(call) == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ('print 1 2 "a" "b" 3 4.5 nil true', "1 2ab3 4.5 <nil> true"),
        ("print", ""),
        ('println 1 "a" nil', "1 a <nil>\n"),
        ("println", "\n"),
        (".inputs.float", "2.5"),
        (".inputs.million", "1e+06"),
        ("100000.0", "100000"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        (".inputs.negative", "-7"),
        (".inputs.huge", "1e+30"),
        (".inputs.unsigned", "9223372036854775808"),
        (".inputs.nothing", "<no value>"),
        ("$x := .inputs.nothing", ""),
        (".inputs.map", "map[a:[<nil>] b:1 c:map[]]"),
        (".states", "map[build:{ok  3 failed map[] 0 0 0 false <nil> map[]}]"),
        (".loop.Item", '{"a":[1]}'),
        (".loop", '{{"a":[1]} 0 true true 1 <nil>}'),
        (".workflow", "{i w s 2026-01-02 03:04:05.12 +0000 UTC}"),
        (".workflow.Duration", "1.5s"),
        ("loop", 'map[first:true index:0 index1:1 item:{"a":[1]} last:true length:1 parent:<nil>]'),
        ('html "<a href=\'x\'>&\\""', "&lt;a href=&#39;x&#39;&gt;&amp;&#34;"),
        ("html .inputs.nothing", "&lt;no value&gt;"),
        ('js "it\'s <b> =&\\n é\\u2028"', "it\\'s \\u003Cb\\u003E \\u003D\\u0026\\u000A é\\u2028"),
        ('urlquery "a b&c=d/é~"', "a+b%26c%3Dd%2F%C3%A9~"),
        ("urlquery 1 2", "1+2"),
    ],
)
def test_values_print_as_go_prints_them(call: str, expected: str) -> None:
    assert rendered(call) == expected


def test_a_map_with_keys_of_several_types_prints_every_entry() -> None:
    text = rendered(".inputs.odd_keys")

    assert text.startswith("map[")
    assert {"2:two", "one:1", "true:yes"} == set(text[4:-1].split(" "))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1e21", "1e+21"),
        ("1e20", "100000000000000000000"),
        ("1e-7", "1e-7"),
        ("0.000001", "0.000001"),
        ("100.0", "100"),
        ("nil", "null"),
        ("true", "true"),
        ('"<&>\\u2028\\x01\\t\\x7f é"', '"\\u003c\\u0026\\u003e\\u2028\\u0001\\t\x7f é"'),
        ('"\\xff"', '"\\ufffd"'),
        (".inputs.map", '{"a":[null],"b":1,"c":{}}'),
        ('(split "a,b" ",")', '["a","b"]'),
        (".context", '{"WorkingDir":"/w","User":"u","Hostname":"h"}'),
        (".workflow", '{"ID":"i","Name":"w","CurrentState":"s","StartedAt":"2026-01-02T03:04:05.12Z"}'),
        (".loop", '{"Item":{"a":[1]},"Index":0,"First":true,"Last":true,"Length":1,"Parent":null}'),
        (".states.build.Response", "null"),
        (".workflow.StartedAt.Month", "1"),
    ],
)
def test_json_writes_what_go_would(value: str, expected: str) -> None:
    assert rendered(f"json {value}") == expected


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("2006-01-02", "2026-01-02"),
        ("Mon Jan _2 15:04:05 2006", "Fri Jan  2 03:04:05 2026"),
        ("Monday, 2 January 06 3:4:5 PM pm", "Friday, 2 January 26 3:4:5 AM am"),
        ("15h04 .000 05.000 05.999 MST -0700 -07:00 Z07:00", "03h04 .120 05.120 05.12 UTC +0000 +00:00 Z"),
        ("002 __2 Januaryx Jane Money", "002   2 Januaryx Jane Money"),
    ],
)
def test_a_time_is_formatted_by_gos_reference_layout(layout: str, expected: str) -> None:
    assert rendered(f'.workflow.StartedAt.Format "{layout}"') == expected


@pytest.mark.parametrize(
    ("getter", "expected"),
    [
        ("Year", "2026"),
        ("Month", "January"),
        ("Day", "2"),
        ("Weekday", "Friday"),
        ("YearDay", "2"),
        ("Hour", "3"),
        ("Minute", "4"),
        ("Second", "5"),
        ("Nanosecond", "120000000"),
        ("Unix", "1767323045"),
        ("UnixMilli", "1767323045120"),
        ("UnixMicro", "1767323045120000"),
        ("UnixNano", "1767323045120000000"),
        ("UTC.Hour", "3"),
        ("IsZero", "false"),
        ("String", "2026-01-02 03:04:05.12 +0000 UTC"),
    ],
)
def test_a_time_answers_its_getters(getter: str, expected: str) -> None:
    assert rendered(f".workflow.StartedAt.{getter}") == expected


def test_a_start_time_that_is_no_time_is_gos_zero_time() -> None:
    scope = Scope(workflow={"StartedAt": "yesterday"})

    text = compile_template("{{.workflow.StartedAt}} {{.workflow.StartedAt.IsZero}}").render(scope)

    assert text == "0001-01-01 00:00:00 +0000 UTC true"


def test_a_start_time_of_another_zone_keeps_its_zone() -> None:
    scope = Scope(workflow={"StartedAt": "2026-01-02T03:04:05+02:00"})

    text = compile_template("{{.workflow.StartedAt}}|{{.workflow.StartedAt.UTC}}|{{json .workflow.StartedAt}}").render(
        scope
    )

    assert text == '2026-01-02 03:04:05 +0200 +0200|2026-01-02 01:04:05 +0000 UTC|"2026-01-02T03:04:05+02:00"'
