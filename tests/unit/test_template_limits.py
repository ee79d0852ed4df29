"""No template runs away: text, steps, nesting and depth are bounded, and each bound says what it is."""

from __future__ import annotations

import time
from typing import Any

import pytest

from awf_core.lang.scope import Scope
from awf_core.lang.templates import TemplateError, compile_template


def failure(template: str, **inputs: Any) -> str:
    with pytest.raises(TemplateError) as caught:
        compile_template(template).render(Scope(inputs=inputs))
    return str(caught.value)


def aliased(levels: int) -> list[Any]:
    """A value of `levels` lists that stands for 10 ** levels items, as YAML aliases can make."""
    value: list[Any] = ["x"] * 10
    for _ in range(levels):
        value = [value] * 10
    return value


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def test_a_template_that_includes_itself_stops_at_a_depth() -> None:
    text = failure('{{define "a"}}{{template "a"}}{{end}}{{template "a"}}')

    assert text.endswith('executing "a" at <{{template "a"}}>: exceeded maximum template depth (100)')


def test_an_endless_loop_stops_after_so_many_steps() -> None:
    assert failure("{{range 1000000000}}{{end}}").endswith("the template takes more than 1000000 steps")


def test_templates_that_double_at_each_level_stop_too() -> None:
    parts = "".join(f'{{{{define "t{n}"}}}}{f"{{{{template `t{n + 1}`}}}}" * 2}{{{{end}}}}' for n in range(60))

    text = failure(parts + '{{define "t60"}}{{end}}{{template "t0"}}')

    assert text.endswith("the template takes more than 1000000 steps")


def test_a_text_that_doubles_stops_at_a_size() -> None:
    doubling = "{{$x = print $x $x}}" * 40

    assert failure('{{$x := "0123456789"}}' + doubling).endswith("the text grows beyond 33554432 characters")


@pytest.mark.parametrize("call", ["json .inputs.x", ".inputs.x"])
def test_aliases_of_aliases_stop_after_so_many_pieces(call: str) -> None:
    assert failure("{{" + call + "}}", x=aliased(9)).endswith("the text is made of more than 1000000 pieces")


@pytest.mark.parametrize("call", ["len (print .inputs.x)", "json .inputs.x", ".inputs.x"])
def test_values_nested_without_end_are_refused(call: str) -> None:
    assert failure("{{" + call + "}}", x=nested(100_000)).endswith("the values are nested too deeply")


def test_work_on_large_texts_counts_as_steps() -> None:
    text = failure("{{range 1000000}}{{$y := len $.inputs.x}}{{end}}", x="é" * 1_000_000)

    assert text.endswith("the template takes more than 1000000 steps")


def test_split_makes_no_more_than_a_million_items() -> None:
    assert failure('{{split .inputs.x ""}}', x="a" * 1_000_001).endswith("split makes more than 1000000 items")


@pytest.mark.parametrize(
    "template",
    ["{{" + "(" * 101 + "1" + ")" * 101 + "}}", "{{if 1}}" * 101 + "{{end}}" * 101],
)
def test_nesting_in_a_template_is_bounded(template: str) -> None:
    assert failure(template) == "failed to parse template: template: cmd:1: nested more than 100 levels deep"


def test_nesting_up_to_the_bound_works() -> None:
    deep = "{{range 1}}" * 50 + "{{" + "(" * 50 + "7" + ")" * 50 + "}}" + "{{end}}" * 50

    assert compile_template(deep).render(Scope()) == "7"


def test_a_long_chain_of_else_if_is_no_nesting() -> None:
    chain = "{{if 0}}" + "".join(f"{{{{else if eq .inputs.n {n}}}}}{n}" for n in range(500)) + "{{end}}"

    assert compile_template(chain).render(Scope(inputs={"n": 499})) == "499"


def test_variables_in_scope_are_bounded() -> None:
    template = "".join(f"{{{{$v{n} := 1}}}}" for n in range(1001))

    assert failure(template).endswith("more than 1000 variables at once")


def test_a_template_of_more_than_two_mebi_characters_is_refused() -> None:
    assert failure("{{1}}" + "x" * 2**21) == (
        "failed to parse template: template: cmd:1: longer than 2097152 characters"
    )


@pytest.mark.parametrize(
    "piece",
    ["{{.inputs.x}}\n", "{{/* c */ -}} ", "{{if 1}}{{end}}", "{{`a", "{{(", "{{ -", "}}", '{{"\\"', "{{1 | "],
)
def test_reading_a_template_takes_linear_time(piece: str) -> None:
    def seconds(repeats: int) -> float:
        text = "{{1}}" + piece * repeats
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            compile_template(text)
            best = min(best, time.process_time() - start)
        return best

    small, large = seconds(250), seconds(2000)

    # Eight times the text; quadratic would be 64 times the time.
    assert large < 25 * small + 0.02
