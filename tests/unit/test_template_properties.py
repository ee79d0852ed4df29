"""Properties that hold for every template and every value."""

from __future__ import annotations

import json
import shlex
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from awf_core.lang.go.quoting import quoted, unquote
from awf_core.lang.scope import Scope
from awf_core.lang.templates import TemplateError, compile_template

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
ANYTHING = st.recursive(
    SCALARS | st.floats() | st.binary(max_size=4) | st.integers() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers() | TEXT | st.none(), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(
    [
        "{{",
        "}}",
        "{{-",
        "-}}",
        "(",
        ")",
        "|",
        ".",
        "$",
        "$x",
        "$x,",
        ":=",
        "=",
        ",",
        '"a"',
        "`b`",
        "'c'",
        "1",
        "2.5",
        "-3",
        "0x1F",
        "1+2i",
        "nil",
        "true",
        "false",
        "if",
        "else",
        "end",
        "range",
        "with",
        "define",
        "template",
        "block",
        "break",
        "continue",
        ".inputs",
        ".inputs.x",
        ".inputs.l",
        ".inputs.m",
        ".states.s.Output",
        ".loop.Item",
        ".loop",
        "loop",
        "error.message",
        ".workflow",
        ".workflow.StartedAt",
        ".workflow.StartedAt.Format",
        "inputs",
        "env.HOME",
        "print",
        "printf",
        "println",
        "len",
        "index",
        "slice",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "and",
        "or",
        "not",
        "call",
        "html",
        "js",
        "urlquery",
        "escape",
        "json",
        "split",
        "join",
        "trimSpace",
        "readFile",
        "/*",
        "*/",
        '"%d"',
        '"%v"',
        '"%[2]*.3q"',
        "text",
        "\\n",
        "☃",
        "é",
    ]
)
SOUP = st.lists(WORDS, max_size=25).map(" ".join)


def rendered(template: str, **inputs: Any) -> str:
    return compile_template(template).render(Scope(inputs=inputs))


@given(text=TEXT)
def test_text_without_an_action_renders_as_itself(text: str) -> None:
    plain = text.replace("{{", "{")

    assert rendered(plain) == plain


@given(text=TEXT)
def test_a_string_literal_prints_the_string(text: str) -> None:
    assert rendered("{{" + quoted(text) + "}}") == text


@given(data=st.binary(max_size=30))
def test_quoting_any_bytes_reads_back_as_the_same_bytes(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")

    literal = rendered('{{printf "%q" .inputs.x}}', x=text)

    assert literal.isprintable()
    assert unquote(literal) == text


@given(value=VALUES)
def test_json_of_a_value_reads_back_as_the_value(value: Any) -> None:
    text = rendered("{{json .inputs.x}}", x=value)

    # Go writes a whole float like an integer, so only the numbers' values can be compared.
    assert json.loads(text, parse_int=float) == json.loads(json.dumps(value), parse_int=float)


@given(number=st.floats(allow_nan=False))
def test_a_printed_float_reads_back_as_the_same_float(number: float) -> None:
    assert float(rendered("{{.inputs.x}}", x=number)) == number


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_hexadecimal_floats_are_exact(number: float) -> None:
    assert float.fromhex(rendered('{{printf "%x" .inputs.x}}', x=number)) == number


@given(number=st.integers(-(2**63), 2**63 - 1), width=st.integers(0, 30))
def test_integers_are_padded_to_their_width(number: int, width: int) -> None:
    assert rendered(f'{{{{printf "%0{width}d" .inputs.x}}}}' if width else "{{.inputs.x}}", x=number) == (
        format(number, f"0{width}d")
    )


@given(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=20))
def test_an_escaped_text_is_one_shell_word(text: str) -> None:
    assert shlex.split(rendered("{{escape .inputs.x}}", x=text)) == [text]


@given(items=st.lists(TEXT, max_size=6))
def test_range_visits_every_item_in_order(items: list[str]) -> None:
    assert rendered("{{range .inputs.x}}{{.}}{{end}}", x=items) == "".join(items)


@given(text=TEXT, low=st.integers(0, 10), high=st.integers(0, 10))
def test_slice_and_len_count_bytes(text: str, low: int, high: int) -> None:
    data = text.encode()
    low, high = sorted((min(low, len(data)), min(high, len(data))))

    piece = rendered(f"{{{{slice .inputs.x {low} {high}}}}}", x=text)

    assert piece.encode("utf-8", "surrogateescape") == data[low:high]
    assert rendered("{{len .inputs.x}}", x=text) == str(len(data))


@given(soup=SOUP, value=ANYTHING)
def test_nothing_but_a_template_error_comes_out_of_any_template(soup: str, value: Any) -> None:
    scope = Scope(
        inputs={"x": value, "l": [value, 1], "m": {"k": value}},
        states={"s": {"Output": "o", "ExitCode": 1}},
        workflow={"StartedAt": "2026-01-02T03:04:05Z"},
        loop={"Item": value, "Index": 0, "First": True, "Last": True, "Length": 1},
    )

    try:
        text = compile_template("{{" + soup).render(scope)
    except TemplateError as error:
        text = str(error).removeprefix("failed to parse template: template: cmd:")

    assert isinstance(text, str)


@given(value=ANYTHING, pattern=st.text("%+-# 0123456789.*[]vTdsqxXtcUeEfFgGbopz", max_size=8))
def test_printf_formats_anything_by_anything(value: Any, pattern: str) -> None:
    text = rendered("{{printf .inputs.p .inputs.x .inputs.x}}", p=pattern, x=value)

    assert isinstance(text, str)


@given(text=st.text(max_size=60))
def test_compiling_any_text_gives_a_template(text: str) -> None:
    template = compile_template("{{" + text)

    assert template.text == "{{" + text
