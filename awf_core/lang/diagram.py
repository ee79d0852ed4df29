"""A workflow as a drawing: Mermaid or DOT text. Called by `awf diagram`. Pure.

Both notations draw the same nodes and edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from awf_core.lang.model import INLINE_ERROR_PREFIX, State, TerminalSpec, Workflow

Kind = Literal["next", "failure", "condition", "inside"]
Direction = Literal["TB", "LR", "BT", "RL"]

MAX_LABEL_CHARS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A state. `ends`: whether it is a terminal, and how; empty for others."""

    name: str
    type: str
    ends: Literal["", "success", "failure"] = ""
    is_missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An edge from one state to another. `inside`: the other one runs inside the first."""

    source: str
    target: str
    kind: Kind
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The states in the order of the file, and all edges between them."""

    name: str
    initial: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph_of(workflow: Workflow) -> Graph:
    """What there is to draw. A state that others name and that isn't there is drawn too, as missing."""
    nodes = [_node(state) for state in workflow.states.values()]
    edges = tuple(edge for state in workflow.states.values() for edge in _edges(state))
    named = dict.fromkeys(edge.target for edge in edges)
    missing = [Node(name=name, type="", is_missing=True) for name in named if name not in workflow.states]
    return Graph(name=workflow.name, initial=workflow.initial, nodes=(*nodes, *missing), edges=edges)


def _node(state: State) -> Node:
    ends = state.spec.status if isinstance(state.spec, TerminalSpec) else ""
    return Node(name=state.name, type=state.type, ends=ends)


def _edges(state: State) -> Iterator[Edge]:
    for name in (*getattr(state.spec, "branches", ()), *getattr(state.spec, "body", ())):
        yield Edge(source=state.name, target=name, kind="inside")
    for transition in state.transitions:
        when = transition.when
        yield Edge(
            source=state.name,
            target=transition.goto,
            kind="condition",
            label="otherwise" if when is None else when.text,
        )
    onward = getattr(state.spec, "on_complete", None) or state.on_success
    if onward:
        yield Edge(source=state.name, target=onward, kind="next")
    if state.on_failure:
        yield Edge(source=state.name, target=state.on_failure, kind="failure", label="failure")


def mermaid(graph: Graph, *, direction: Direction = "TB") -> str:
    """The graph as a Mermaid flowchart."""
    ids = {node.name: f"s{number}" for number, node in enumerate(graph.nodes)}
    lines = [f"flowchart {direction}", "    start(( )) --> " + ids.get(graph.initial, "start")]
    lines += [f"    {ids[node.name]}{_mermaid_shape(node)}" for node in graph.nodes]
    lines += [f"    {ids[edge.source]} {_mermaid_arrow(edge)} {ids[edge.target]}" for edge in graph.edges]
    failed = [ids[node.name] for node in graph.nodes if node.ends == "failure" or node.is_missing]
    if failed:
        lines += ["    classDef failure stroke:#c00,stroke-width:2px", f"    class {','.join(failed)} failure"]
    return "\n".join(lines)


_MERMAID_SHAPES: Mapping[str, tuple[str, str]] = {
    "terminal": ("([", "])"),
    "parallel": ("{{", "}}"),
    "for_each": ("[/", "/]"),
    "while": ("[/", "/]"),
    "call_workflow": ("[[", "]]"),
    "operation": ("[(", ")]"),
    "agent": (">", "]"),
}


def _mermaid_shape(node: Node) -> str:
    left, right = _MERMAID_SHAPES.get(node.type, ("[", "]"))
    return f'{left}"{_mermaid_text(_title(node))}"{right}'


def _mermaid_arrow(edge: Edge) -> str:
    label = f'|"{_mermaid_text(_short(edge.label))}"|' if edge.label else ""
    return {"next": "-->", "failure": "-.->", "condition": "-->", "inside": "--o"}[edge.kind] + label


def _mermaid_text(text: str) -> str:
    for raw, safe in (("#", "#35;"), ("&", "#amp;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("\n", " ")):
        text = text.replace(raw, safe)
    return text


def dot(graph: Graph, *, direction: Direction = "TB") -> str:
    """The graph in Graphviz's language."""
    ids = {node.name: _dot_text(node.name) for node in graph.nodes}
    lines = [f"digraph {_dot_text(graph.name)} {{", f"  rankdir={direction};", '  "" [shape=point];']
    lines += [f"  {ids[node.name]} [{_dot_shape(node)}];" for node in graph.nodes]
    lines += [f'  "" -> {ids[graph.initial]};'] if graph.initial in ids else []
    lines += [f"  {ids[edge.source]} -> {ids[edge.target]}{_dot_style(edge)};" for edge in graph.edges]
    return "\n".join([*lines, "}"])


_DOT_SHAPES: Mapping[str, str] = {
    "terminal": "oval",
    "parallel": "diamond",
    "for_each": "hexagon",
    "while": "hexagon",
    "call_workflow": "folder",
    "operation": "box3d",
    "agent": "component",
}


def _dot_shape(node: Node) -> str:
    shape = f"label={_dot_text(_title(node))}, shape={_DOT_SHAPES.get(node.type, 'box')}"
    if node.is_missing:
        return f"{shape}, style=dotted, color=red"
    return f"{shape}, peripheries=2, color=red" if node.ends == "failure" else shape


def _dot_style(edge: Edge) -> str:
    style = {"next": [], "condition": [], "failure": ["style=dashed"], "inside": ["style=dotted", "arrowhead=odot"]}
    given = [*style[edge.kind], *([f"label={_dot_text(_short(edge.label))}"] if edge.label else [])]
    return f" [{', '.join(given)}]" if given else ""


def _dot_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'


def _title(node: Node) -> str:
    if node.is_missing:
        return f"{node.name} (missing)"
    is_inline = node.ends == "failure" and node.name.startswith(INLINE_ERROR_PREFIX)
    return node.name.removeprefix(INLINE_ERROR_PREFIX) + " fails" if is_inline else node.name


def _short(text: str) -> str:
    return text if len(text) <= MAX_LABEL_CHARS else text[: MAX_LABEL_CHARS - 1] + "…"


DRAWINGS: Mapping[str, Callable[..., str]] = {"mermaid": mermaid, "dot": dot}
"""The languages a graph can be written in."""
