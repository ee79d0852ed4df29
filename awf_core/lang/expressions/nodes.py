"""The syntax tree. Built by the parser, read by the checker, the folder and the emitter; never changed in place.

`at` is the offset of the token that errors about a node point to. Nodes compare by identity, so they can be keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from awf_core.lang.expressions import grammar
from awf_core.lang.expressions.errors import Fault

T = TypeVar("T", bound="Node")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """Any piece of an expression."""

    at: int = 0

    def children(self) -> Iterator[Node]:
        """The nodes directly below, in the order they are written."""
        return _nodes_in(tuple(getattr(self, name) for name in _parts(self)))

    def with_children(self: T, change: Callable[[Node], Node]) -> T:
        """The same node with every child replaced by what `change` makes of it."""
        changes = {name: _changed(getattr(self, name), change) for name in _parts(self)}
        return replace(self, **changes) if changes else self


def _parts(node: Node) -> tuple[str, ...]:
    """The fields of `node` that hold nodes."""
    kind = type(node).__name__
    if kind not in _PARTS:
        _PARTS[kind] = tuple(field.name for field in fields(node) if "Node" in str(field.type))
    return _PARTS[kind]


_PARTS: dict[str, tuple[str, ...]] = {}


def _nodes_in(part: object) -> Iterator[Node]:
    if isinstance(part, Node):
        yield part
    elif isinstance(part, tuple):
        for item in part:
            yield from _nodes_in(item)


def _changed(part: object, change: Callable[[Node], Node]) -> Any:
    if isinstance(part, Node):
        return change(part)
    return tuple(_changed(item, change) for item in part) if isinstance(part, tuple) else part


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Constant(Node):
    """A value known from the text: None, bool, int, float, str, or a list of the last four."""

    value: object


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Name(Node):
    """A variable."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unary(Node):
    """`!x`, `not x`, `-x`, `+x`."""

    op: str
    operand: Node


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Binary(Node):
    """An operator between two operands."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Member(Node):
    """`base.name`, `base[key]` and their `?.` forms; a dotted name is a constant key."""

    base: Node
    key: Node
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chain(Node):
    """The part that is skipped when a `?.` in it meets nil; the whole chain is then nil."""

    body: Node


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slice(Node):
    """`base[start:stop]`; None = from the start, to the end."""

    base: Node
    start: Node | None = None
    stop: Node | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call(Node):
    """A call of something that is not a builtin: a function of the environment or a method."""

    callee: Node
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Builtin(Node):
    """A call of a builtin; predicates among its arguments are `Predicate` nodes."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predicate(Node):
    """The closure given to `filter`, `all`, ...: `# > 1` or `{# > 1}`."""

    body: Node


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pointer(Node):
    """`#`, `#index` or `#acc` inside a predicate; `name` is what follows the hash."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Let(Node):
    """`let name = value; body`."""

    name: str
    value: Node
    body: Node


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sequence(Node):
    """`a; b; c`: all are evaluated, the last one counts."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conditional(Node):
    """`test ? then : otherwise` and `if test { then } else { otherwise }`."""

    test: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrayLiteral(Node):
    """`[a, b]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapLiteral(Node):
    """`{key: value}`; keys are constants or expressions in parentheses."""

    pairs: tuple[tuple[Node, Node], ...]


def check_size(tree: Node) -> None:
    """Raises Fault when `tree` is too large or too deep to be walked recursively. Shared nodes count each time."""
    count, pending = 0, [(tree, 1)]
    while pending:
        node, depth = pending.pop()
        count += 1
        if count > grammar.MAX_NODES:
            raise Fault("compilation failed: expression exceeds maximum allowed nodes", node.at)
        if depth > grammar.MAX_TREE_DEPTH:
            raise Fault(f"the expression nests or chains more than {grammar.MAX_TREE_DEPTH} operations", node.at)
        pending.extend((child, depth + 1) for child in node.children())
