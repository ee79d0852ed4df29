"""Functions, fields and comparisons keep Go's types and fail in its words."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from awf_core.lang.expressions import compile_expression
from awf_core.lang.scope import Scope
from awf_core.lang.templates import TemplateError, compile_template

if TYPE_CHECKING:
    from pathlib import Path

SCOPE = Scope(
    inputs={
        "x": "hello",
        "n": 5,
        "list": [1, "b", None],
        "map": {"k": "v", "deep": {"list": [{"a": 1}]}},
        "nothing": None,
        "uni": "é☃",
        "word": "a'b c",
    },
    states={"build": {"Output": "ok\n", "ExitCode": 3, "Status": "failed"}, "my-step": {"Output": "dash"}},
    workflow={"Name": "w", "StartedAt": "2026-01-02T03:04:05Z"},
    env={"HOME": "/h"},
    context={"WorkingDir": "/w", "User": "u", "Hostname": "h"},
    awf={"scripts_dir": "/s"},
)
LOOP = Scope(
    loop={
        "Item": {"a": [1]},
        "Index": 1,
        "First": False,
        "Last": True,
        "Length": 2,
        "Parent": {"Item": ["p", 1], "Index": 4, "First": False, "Last": True, "Length": 5},
    },
    error={"Message": "boom", "State": "build", "ExitCode": 2, "Type": "execution"},
)


def rendered(call: str, scope: Scope = SCOPE) -> str:
    return compile_template("{{" + call + "}}").render(scope)


def reason(call: str, scope: Scope = SCOPE) -> str:
    """What follows the place in the error of a call."""
    with pytest.raises(TemplateError) as caught:
        rendered(call, scope)
    return str(caught.value).split(">: ", 1)[-1]


def test_a_bound_of_slice_must_be_a_number_in_a_template_and_may_be_its_text_in_a_condition() -> None:
    typed, given = Scope(inputs={"s": "hello", "n": 2}), Scope(inputs={"s": "hello", "n": "2"})
    condition = compile_expression("inputs.s[0:inputs.n] == 'he'")

    assert rendered("slice .inputs.s 0 .inputs.n", typed) == "he"
    text = "error calling slice: cannot index slice/array with type string"
    assert reason("slice .inputs.s 0 .inputs.n", given) == text
    assert condition.evaluate_bool(typed)
    assert condition.evaluate_bool(given)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("eq 1 2 1", "true"),
        ("eq .inputs.nothing nil", "true"),
        ("eq nil nil", "true"),
        ("eq .inputs.x nil", "false"),
        ('ne .inputs.nothing "a"', "true"),
        ('eq (index "a" 0) 97', "true"),
        ('lt (index "a" 0) 98', "true"),
        ('lt "a" "b"', "true"),
        ("ge 2 2", "true"),
        ("gt 1.5 2.5", "false"),
        ("le 2 1", "false"),
        ("eq .context .context", "true"),
        ("eq true true", "true"),
        ("eq .workflow.StartedAt .workflow.StartedAt", "true"),
        ('and 1 0 (index nil "never evaluated")', "0"),
        ('or 0 "" "x" .inputs.never', "x"),
        ("0 | or false", "0"),
        ("true | and 1", "true"),
        ("not .inputs.nothing", "true"),
        ('index .inputs.map "deep" "list" 0 "a"', "1"),
        ('index .inputs.map "zz"', "<no value>"),
        ('index .env "zz"', ""),
        ('(index .states "zz").ExitCode', "0"),
        ('(index .states "my-step").Output', "dash"),
        ('index "abc" 1', "98"),
        ("index .inputs.list", "[1 b <nil>]"),
        ('slice "abcdef" 1 3', "bc"),
        ('slice "abc" 1', "bc"),
        ("slice .inputs.list 1 2 3", "[b]"),
        ("len .inputs.uni", "5"),
        ("len .states", "2"),
        ("escape .inputs.word", "'a'\\''b c'"),
        ("escape .inputs.nothing", "'<nil>'"),
        ('escape "a@b%+:,./-_9"', "a@b%+:,./-_9"),
        ('escape "a#b"', "'a#b'"),
        ('escape "~"', "'~'"),
        ('escape "a=b"', "'a=b'"),
        ('escape "é"', "'é'"),
        ('escape ""', "''"),
        ('join (split "a, b ,c" ",") "|"', "a|b|c"),
        ('join nil ","', ""),
        ('split "aé" ""', "[a é]"),
        ('trimSpace "\\u2003 x\\u00a0"', "x"),
        ("awf.scripts_dir", "/s"),
        ("context.working_dir", "/w"),
        ("states.build.Output | len", "3"),
        ('"2006" | .workflow.StartedAt.Format', "2026"),
        ("workflow.StartedAt.Month.String", "January"),
    ],
)
def test_functions_give_what_go_gives(call: str, expected: str) -> None:
    assert rendered(call) == expected


@pytest.mark.parametrize("function", ["js", "html", "print", "trimSpace"])
def test_a_byte_that_is_no_text_passes_through_unchanged(function: str) -> None:
    template = compile_template(f"{{{{{function} .inputs.x}}}}")

    assert template.render(Scope(inputs={"x": "a\udcffb"})) == "a\udcffb"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("eq 1 1.0", "error calling eq: incompatible types for comparison: int and float64"),
        ("eq 1", "error calling eq: missing argument for comparison"),
        ("eq .inputs.map .inputs.map", "error calling eq: non-comparable type"),
        ("eq .states.build .states.build", "error calling eq: non-comparable type"),
        ("eq .inputs.map .inputs.list", "error calling eq: non-comparable types"),
        ("eq .inputs.list 1", "error calling eq: incompatible types for comparison: []interface {} and int"),
        ("lt true false", "error calling lt: invalid type for comparison"),
        ("lt nil 1", "error calling lt: invalid type for comparison"),
        ('lt 1 "a"', "error calling lt: incompatible types for comparison: int and string"),
        ("not", "wrong number of args for not: want 1 got 0"),
        ("not 1 2", "wrong number of args for not: want 1 got 2"),
        ("and", "wrong number of args for and: want at least 1 got 0"),
        ("call nil", "error calling call: call of nil"),
        ("1 | call", "error calling call: non-function <int Value> of type int"),
        ("index nil 1", "error calling index: index of untyped nil"),
        ("index .inputs.list 2 0", "undefined variable: unknown"),
        ("index .inputs.list 3", "error calling index: reflect: slice index out of range"),
        ("index .inputs.list -1", "error calling index: index out of range: -1"),
        ('index .inputs.list "a"', "error calling index: cannot index slice/array with type string"),
        ("index .inputs.list nil", "error calling index: cannot index slice/array with nil"),
        ("index .inputs.map 1", "error calling index: value has type int; should be string"),
        ("index .inputs.map nil", "error calling index: value is nil; should be of type string"),
        ("index .inputs.n 1", "error calling index: can't index item of type int"),
        ('slice "abc" 2 1', "error calling slice: invalid slice index: 2 > 1"),
        ("slice .inputs.list 0 2 1", "error calling slice: invalid slice index: 2 > 1"),
        ('slice "abc" 0 1 2', "error calling slice: cannot 3-index slice a string"),
        ("slice .inputs.list 0 0 0 0", "error calling slice: too many slice indexes: 4"),
        ("slice .inputs.map", "error calling slice: can't slice item of type map[string]interface {}"),
        ("slice nil", "error calling slice: slice of untyped nil"),
        ("len nil", "error calling len: reflect: call of reflect.Value.Type on zero Value"),
        ('join "a" ","', 'can\'t handle "a" for arg of type []string'),
        ("join .inputs.list `,`", "wrong type for value; expected []string; got []interface {}"),
        ("split 5 `,`", "expected string; found 5"),
        ("trimSpace nil", "cannot assign nil to string"),
        ("trimSpace .inputs.nothing", "wrong type for value; expected string; got interface {}"),
        ("json 2i", "error calling json: marshal JSON: json: unsupported type: complex128"),
        ("5 6", "can't give argument to non-function 5"),
        ("$ 6", "can't give argument to non-function $"),
        ("nil", "nil is not a command"),
        ("9223372036854775808", "9223372036854775808 overflows int"),
        (".inputs.x 1", "x is not a method but has arguments"),
        (".workflow.Name 1", "Name has arguments but cannot be invoked as function"),
        (".workflow.StartedAt.Format", "wrong number of args for Format: want 1 got 0"),
        (".workflow.StartedAt.wall", "wall is an unexported field of struct type time.Time"),
        ("range .inputs.x}}{{end", "range can't iterate over hello"),
        ("range 1.5}}{{end", "range can't iterate over 1.5"),
        ("range $i, $j := 3}}{{end", "can't use 3 to iterate over more than one variable"),
        ("template `zz`", 'template "zz" not defined'),
        ("$x := $x", "undefined variable: $x"),
        ("$x := .inputs.nothing}}{{$x.y", 'nil data; no entry for key "y"'),
        ("inputs 1", "wrong number of args for inputs: want 0 got 1"),
    ],
)
def test_functions_refuse_what_go_refuses_in_its_words(call: str, expected: str) -> None:
    assert reason(call).startswith(expected)


@pytest.mark.parametrize(
    ("path", "variable"),
    [
        (".inputs.zz", 'cmd" at <.inputs.zz>: map has no entry for key "zz'),
        ("inputs.zz", 'cmd" at <inputs>: map has no entry for key "zz'),
        (".nope.x", 'cmd" at <.nope.x>: map has no entry for key "nope'),
        (".inputs.x.deep.er", "deep"),
        (".states.build.output", "output"),
        (".workflow.Nope", "Nope"),
        (".inputs.nothing.x", "unknown"),
        ("loop.index", "loop"),
        ("error.message", "error"),
    ],
)
def test_a_missing_name_is_reported_as_the_original_reports_it(path: str, variable: str) -> None:
    with pytest.raises(TemplateError) as caught:
        rendered(path)

    assert caught.value.variable == variable
    assert f"undefined variable: {variable}" in str(caught.value)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("loop.parent.item", '["p",1]'),
        (".loop.Parent.Item", "[p 1]"),
        (".loop.Parent.Index1", "5"),
        ("loop.parent.parent", "<no value>"),
        (".loop.Parent.Parent", "<nil>"),
        (".loop.Index1", "2"),
        ("loop.index1", "2"),
        ("error.exit_code", "2"),
        (".error", "{boom build 2 execution}"),
    ],
)
def test_loop_and_error_have_pascal_names_with_a_dot_and_snake_names_without(call: str, expected: str) -> None:
    assert rendered(call, LOOP) == expected


@pytest.mark.parametrize("call", ["loop.Index", ".loop.index", "error.Message", "loop.item.a", ".loop.Item.a"])
def test_the_other_spelling_and_fields_of_an_item_are_undefined(call: str) -> None:
    with pytest.raises(TemplateError, match="undefined variable"):
        rendered(call, LOOP)


def test_the_inside_of_an_item_is_hidden() -> None:
    text = reason(".loop.Item.original", LOOP)

    assert text == "original is an unexported field of struct type interpolation.serializableItem"


def test_a_method_on_a_nil_parent_is_an_undefined_variable() -> None:
    with pytest.raises(TemplateError) as caught:
        rendered(".loop.Parent.Parent.Index1", LOOP)

    assert str(caught.value) == "undefined variable: unknown"


def test_an_environment_that_is_no_dict_is_searched_by_name() -> None:
    scope = Scope(env=os.environ, inputs=MappingProxyType({"a": "b", "odd": "\ud800"}))

    assert rendered('index .env "PATH"', scope) == os.environ["PATH"]
    assert rendered("index .env .inputs.odd", scope) == ""
    assert rendered("inputs.a", scope) == "b"


def test_read_file_gives_the_content_up_to_a_mebibyte(tmp_path: Path) -> None:
    file = tmp_path / "f.txt"
    file.write_bytes(b"x\xff" * (1 << 19))

    text = rendered(f'readFile "{file}"')

    assert text.encode("utf-8", "surrogateescape") == file.read_bytes()


def test_read_file_refuses_what_is_larger(tmp_path: Path) -> None:
    file = tmp_path / "f.txt"
    file.write_bytes(b"x" * ((1 << 20) + 1))

    assert reason(f'readFile "{file}"') == f'error calling readFile: file "{file}" exceeds 1MB size limit'


def test_read_file_says_why_a_file_can_not_be_read(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    prefix = "error calling readFile: failed to read file"

    assert reason('readFile "/nope"') == f'{prefix} "/nope": stat /nope: no such file or directory'
    assert reason('readFile "/tmp"') == f'{prefix} "/tmp": path is a directory'
    assert reason(f'readFile "{fifo}"') == f'{prefix} "{fifo}": not a regular file'
    assert reason('readFile "a\\x00b"') == f'{prefix} "a\\x00b": stat a\x00b: invalid argument'
