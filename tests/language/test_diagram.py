"""Drawings of workflows: what is in them, and that no name or condition breaks their syntax."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awf_core.cli.main import main
from awf_core.engine.steps import builtin_step_types
from awf_core.lang.diagram import Direction, Edge, Graph, Node, dot, graph_of, mermaid
from awf_core.lang.load import parse_workflow

if TYPE_CHECKING:
    from collections.abc import Callable

STATES = """
  initial: a
  a: {type: step, command: x, on_success: b, on_failure: {message: no}}
  b: {type: for_each, items: x, body: [c], on_complete: p, on_failure: bad}
  c: {type: step, command: x, on_success: b}
  p: {type: parallel, parallel: [x, lost], transitions: [{when: 'states.a.Output == "q"', goto: done}, {goto: bad}]}
  x: {type: call_workflow, workflow: other}
  bad: {type: terminal, status: failure}
  done: {type: terminal}
"""


def graph(states: str = STATES) -> Graph:
    text = f"name: w\nstates:{states}"
    return graph_of(parse_workflow(text.encode(), source=Path("w.yaml"), step_types=builtin_step_types()))


def test_every_way_between_states_is_an_edge_of_its_kind() -> None:
    assert {(edge.source, edge.target, edge.kind) for edge in graph().edges} == {
        ("a", "b", "next"),
        ("a", "__inline_error_a", "failure"),
        ("b", "c", "inside"),
        ("b", "p", "next"),
        ("b", "bad", "failure"),
        ("c", "b", "next"),
        ("p", "x", "inside"),
        ("p", "lost", "inside"),
        ("p", "done", "condition"),
        ("p", "bad", "condition"),
    }


def test_terminals_and_states_that_are_not_there_are_marked() -> None:
    nodes = {node.name: node for node in graph().nodes}

    assert {name for name, node in nodes.items() if node.ends == "failure"} == {"bad", "__inline_error_a"}
    assert {name for name, node in nodes.items() if node.is_missing} == {"lost"}
    assert nodes["done"].ends == "success"


def test_mermaid_draws_each_state_once_and_each_edge() -> None:
    lines = mermaid(graph(), direction="LR").splitlines()

    assert lines[0] == "flowchart LR"
    assert lines[1].endswith("--> s0")
    assert '    s0["a"]' in lines
    assert '    s1[/"b"/]' in lines
    assert '    s3{{"p"}}' in lines
    assert '    s8(["a fails"])' in lines or '    s7(["a fails"])' in lines
    assert any(line.strip().startswith('s3 -->|"states.a.Output == #quot;q#quot;"| s') for line in lines)
    assert sum("-->" in line or "-.->" in line or "--o" in line for line in lines) == 1 + len(graph().edges)
    assert lines[-1].startswith("    class ")


def test_dot_draws_each_state_once_and_each_edge() -> None:
    text = dot(graph())

    assert text.startswith('digraph "w" {\n  rankdir=TB;')
    assert text.endswith("}")
    assert '  "p" -> "done" [label="states.a.Output == \\"q\\""];' in text
    assert '  "a" -> "__inline_error_a" [style=dashed, label="failure"];' in text
    assert '  "lost" [label="lost (missing)", shape=box, style=dotted, color=red];' in text
    assert text.count(" -> ") == 1 + len(graph().edges)


NAMES = st.text(min_size=1, max_size=12)


@given(names=st.lists(NAMES, min_size=2, max_size=4, unique=True), label=st.text(max_size=80))
def test_no_name_and_no_condition_breaks_a_drawing(names: list[str], label: str) -> None:
    nodes = tuple(Node(name=name, type="step") for name in names)
    edge = Edge(source=names[0], target=names[1], kind="condition", label=label)
    drawn = Graph(name=names[0], initial=names[0], nodes=nodes, edges=(edge,))

    for number, line in enumerate(dot(drawn).split("\n")):
        quoted = re.sub(r'"(?:[^"\\]|\\.)*"', "", line)
        assert '"' not in quoted, number
    shapes = [line for line in mermaid(drawn).split("\n") if '["' in line]
    assert all(line.count('"') == 2 for line in shapes)
    assert len(shapes) >= len(names)


@pytest.fixture
def draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    (tmp_path / ".awf/workflows").mkdir(parents=True)
    (tmp_path / ".awf/workflows/w.yaml").write_text(f"name: w\nstates:{STATES}")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["diagram", *arguments])
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return call


def test_the_command_prints_mermaid_and_on_request_dot(draw: Callable[..., Any]) -> None:
    assert draw("w") == (0, mermaid(graph()) + "\n", "")
    direction: Direction = "RL"
    assert draw("w", "--format", "dot", "--direction", "RL") == (0, dot(graph(), direction=direction) + "\n", "")


def test_the_command_names_a_workflow_that_is_not_there(draw: Callable[..., Any]) -> None:
    code, out, err = draw("nope")

    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert "nope" in err
