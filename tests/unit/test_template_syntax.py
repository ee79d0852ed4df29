"""Templates are read as text/template reads them; mistakes get its texts, and a place."""

from __future__ import annotations

import pytest

from awf_core.errors import ExecutionError
from awf_core.lang.scope import Scope
from awf_core.lang.templates import TemplateError, compile_template

SCOPE = Scope(inputs={"x": "hello", "n": 5, "list": ["a", "b", "c"], "map": {"k": "v", "a": 1}, "nothing": None})


def rendered(template: str) -> str:
    return compile_template(template).render(SCOPE)


def failure(template: str) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        compile_template(template).render(SCOPE)
    return caught.value


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("a  {{- 1 -}}  b", "a1b"),
        ("a {{-1}} b", "a -1 b"),
        ("a {{- -1 -}} b", "a-1b"),
        ("a\r\n\t {{- /* c */ -}} \n b", "ab"),
        ("{{/* }} */}}x{{/**/}}", "x"),
        ("{{ .inputs.x\n| printf `%s!`\n}}", "hello!"),
        ('{{`a\\n`}}{{"\\t\\x41\\u00e9\\U0001F600\\101\\\\\\""}}', 'a\\n\tAé😀A\\"'),
        ("{{'a'}} {{'\\n'}} {{'\\x41'}} {{'é'}} {{'\\''}}", "97 10 65 233 39"),
        ("{{0b101}} {{0o17}} {{017}} {{0x1F}} {{1_000}} {{0x1p4}} {{.5}} {{1.}} {{-3}} {{+3}}", "5 15 15 31 1000 16 0.5 1 -3 3"),
        ("{{$x := 1}}{{$x}}{{if true}}{{$x = 2}}{{$y := 3}}{{$y}}{{end}}{{$x}}", "132"),
        ("{{if $x := .inputs.nothing}}a{{else if eq .inputs.n 5}}b{{$x}}{{end}}", "b<no value>"),
        ('{{if 0}}a{{else if ""}}b{{else if .inputs.nothing}}c{{else}}d{{end}}', "d"),
        ("{{with .inputs.nothing}}a{{else with .inputs.x}}{{.}}{{else}}b{{end}}", "hello"),
        ("{{with .inputs}}{{.x}}{{$.inputs.n}}{{end}}", "hello5"),
        ("{{range $i, $e := .inputs.list}}{{$i}}{{$e}}{{end}}", "0a1b2c"),
        ("{{range $k, $v := .inputs.map}}{{$k}}={{$v}};{{end}}", "a=1;k=v;"),
        ("{{$i := 9}}{{$e := 9}}{{range $i, $e = .inputs.list}}{{end}}{{$i}}{{$e}}", "2c"),
        ("{{range 3}}{{.}}{{end}}{{range $i := 2}}{{$i}}{{end}}{{range 0}}x{{else}}-{{end}}", "01201-"),
        ('{{range .inputs.list}}{{if eq . "b"}}{{continue}}{{end}}{{.}}{{end}}', "ac"),
        ("{{range 3}}{{range 5}}{{if eq . 2}}{{break}}{{end}}{{.}}{{end}};{{end}}", "01;01;01;"),
        ("{{range 2}}{{range 0}}{{else}}{{break}}{{end}}{{.}}{{end}}", "01"),
        ("{{range 2}}{{range 0}}{{else}}{{continue}}{{end}}{{.}}{{end}}", ""),
        ('{{define "a"}}A{{template "b" .}}{{end}}{{define "b"}}B{{.}}{{end}}{{template "a" .inputs.n}}', "AB5"),
        ("{{define `a`}} {{end}}{{define `a`}}2{{end}}{{template `a`}}", "2"),
        ('{{block "b" .inputs.x}}[{{.}}]{{end}}{{template "b" 1}}', "[hello][1]"),
        ('{{define "cmd"}}X{{end}}', "X"),
        ("{{.inputs.x |}}", "hello"),
        ('{{(index .inputs.map "k") | printf "%s-%s" "a"}}{{((1))}}', "a-v1"),
        ("{{print (or true ($x := 1))}}", "true"),
    ],
)  # fmt: skip
def test_a_template_means_what_it_means_in_go(template: str, expected: str) -> None:
    assert rendered(template) == expected


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{$y}}", 'undefined variable "$y"'),
        ("{{$x, $y := 1}}", "too many declarations in command"),
        ("{{range $i, $e, $z := .x}}{{end}}", "too many declarations in range"),
        ("{{range $i, 3}}{{end}}", "range can only initialize variables"),
        ("{{with $x := 1}}{{end}}{{$x}}", 'undefined variable "$x"'),
        ("{{break}}", "{{break}} outside {{range}}"),
        ("{{continue}}", "{{continue}} outside {{range}}"),
        ('{{range 2}}{{block "b" .}}{{break}}{{end}}{{end}}', "{{break}} outside {{range}}"),
        ("{{range 3}}{{break 1}}{{end}}", 'unexpected "1" in {{break}}'),
        ("{{if 1}}{{else with 2}}{{end}}", "unexpected <with> in input"),
        ("{{if 1}}{{else}}{{else}}{{end}}", "expected end; found {{else}}"),
        ("{{if 1}}{{end}}{{end}}", "unexpected {{end}}"),
        ("{{end x}}", 'unexpected "x" in end'),
        ("{{if 1}}{{else x}}{{end}}", 'unexpected "x" in else'),
        ("{{if 1}}{{define `x`}}{{end}}{{end}}", "unexpected <define> in command"),
        ("{{define `a`}}1{{end}}{{define `a`}}2{{end}}", 'template: multiple definition of template "a"'),
        ("{{define x}}{{end}}", 'unexpected "x" in define clause'),
        ("{{define `x`}}{{else}}{{end}}", "unexpected {{else}} in define clause"),
        ("{{define `x`}}", "unexpected EOF"),
        ("{{template .inputs.x}}", 'unexpected ".inputs" in template clause'),
        ("{{block `b`}}x{{end}}", "missing value for block clause"),
        ("{{block `b` .}}{{else}}{{end}}", "unexpected {{else}} in block clause"),
        ("{{with}}x{{end}}", "missing value for with"),
        ("{{()}}", "missing value for parenthesized pipeline"),
        ("{{/* unclosed }}", "unclosed comment"),
        ("{{/* c */ x}}", "comment ends before closing delimiter"),
        ('{{"\\q"}}', "invalid syntax"),
        ('{{"\\ud800"}}', "invalid syntax"),
        ('{{"\\777"}}', "invalid syntax"),
        ("{{''}}", "invalid syntax"),
        ("{{'ab'}}", "malformed character constant: 'ab'"),
        ("{{'a}}", "unterminated character constant"),
        ("{{`a}}", "unterminated raw quoted string"),
        ('{{"a\n"}}', "unterminated quoted string"),
        ("{{ .x", "unclosed action"),
        ("{{ (.x }}", "unclosed left paren"),
        ("{{ .x) }}", "unexpected right paren"),
        ("{{ .x } }}", 'unexpected "}" in operand'),
        ("{{ @ }}", 'unexpected "@" in command'),
        ("{{ ☃ }}", "unrecognized character in action: U+2603 '☃'"),
        ("{{ \x01 }}", "unrecognized character in action: U+0001"),
        ("{{x²}}", "bad character U+00B2 '²'"),
        ("{{:}}", "expected :="),
        ("{{08}}", 'integer overflow: "08"'),
        ("{{99999999999999999999}}", 'integer overflow: "99999999999999999999"'),
        ("{{0xFFFFFFFFFFFFFFFFF}}", 'illegal number syntax: "0xFFFFFFFFFFFFFFFFF"'),
        ("{{1e999}}", 'illegal number syntax: "1e999"'),
        ("{{1x}}", 'bad number syntax: "1x"'),
        ("{{1+2}}", 'bad number syntax: "1+2"'),
        ("{{1.2.3}}", 'unexpected ".3" in operand'),
        ('{{"a" | 5}}', "non executable command in pipeline stage 2"),
        ("{{.x | | print}}", 'unexpected "|" in command'),
        ("{{nil.x}}", 'unexpected . after term "nil"'),
        ('{{"a".x}}', 'unexpected . after term "\\"a\\""'),
        ("{{..x}}", 'unexpected . after term "."'),
        ("{{.inputs.x.}}", "unexpected <.> in operand"),
        ("{{nope}}", 'function "nope" not defined'),
        ("{{print abcdefghijklmnopq ,}}", 'function "abcdefghijklmnopq" not defined'),
        ('{{define "x" "abcdefghijklmnopq"}}', 'unexpected "\\"abcdefghi"... in define clause'),
    ],
)
def test_a_syntax_error_has_gos_text_and_is_known_before_rendering(template: str, reason: str) -> None:
    compiled = compile_template(template)

    line = 2 if "\n" in reason else 1
    assert compiled.error is not None
    assert str(compiled.error) == f"failed to parse template: template: cmd:{line}: {reason}"
    assert str(failure(template)) == str(compiled.error)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("a\n{{if true}}\nb\n", "cmd:4: unexpected EOF"),
        ("\n{{ .x\n\n", "cmd:4: unclosed action started at cmd:2"),
        ("{{ print\n (1 }}", "cmd:2: unclosed left paren in action started at cmd:1"),
        ("{{ .inputs.x\n\n @ }}", 'cmd:3: unexpected "@" in operand'),
    ],
)
def test_a_syntax_error_names_the_line_it_is_in(template: str, text: str) -> None:
    assert str(failure(template)) == f"failed to parse template: template: {text}"


def test_an_error_says_line_and_column_and_what_to_do() -> None:
    error = failure("echo 1\necho é {{.inputs.missing}}")

    assert error.message.startswith("undefined variable: ")
    assert (error.line, error.column) == (2, 17)
    assert error.hint == (
        "template line 2, column 17: no value has this name at this point of the run; give an optional input a default"
    )


def test_columns_in_gos_text_count_bytes_and_hints_count_characters() -> None:
    error = failure("é {{len 5}}")

    assert "cmd:1:5: executing" in str(error)
    assert error.hint == "template line 1, column 5"


def test_an_error_in_a_defined_template_names_that_template() -> None:
    error = failure('{{define "part"}}{{len .}}{{end}}{{template "part" 5}}')

    assert 'cmd:1:19: executing "part" at <len .>: error calling len: len of type int' in str(error)


def test_a_broken_template_raises_a_fresh_error_each_time() -> None:
    template = compile_template("{{")

    with pytest.raises(TemplateError) as first:
        template.render(SCOPE)
    with pytest.raises(TemplateError) as second:
        template.render(SCOPE)

    assert first.value is not second.value
    assert isinstance(first.value, ExecutionError)


def test_text_without_actions_is_returned_as_it_is() -> None:
    text = "plain } } text { {"

    template = compile_template(text)

    assert template.text is text
    assert template.error is None
    assert template.render(SCOPE) is text
