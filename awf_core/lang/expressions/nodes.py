"""The syntax tree. Built by the parser, read by the checker, the folder and the emitter; never changed in place.

`at` is the offset of the token that errors about a node point to. Nodes compare by identity, so they can be keys.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """Any piece of an expression."""

    at: int = 0

    def children(self) -> tuple[Node, ...]:
        """The nodes directly below, in the order they are written."""
        return ()


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

    def children(self) -> tuple[Node, ...]:
        """The operand."""
        return (self.operand,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Binary(Node):
    """An operator between two operands."""

    op: str
    left: Node
    right: Node

    def children(self) -> tuple[Node, ...]:
        """Left, right."""
        return (self.left, self.right)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Member(Node):
    """`base.name`, `base[key]` and their `?.` forms; a dotted name is a constant key."""

    base: Node
    key: Node
    optional: bool = False

    def children(self) -> tuple[Node, ...]:
        """Base, key."""
        return (self.base, self.key)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chain(Node):
    """The extent a `?.` that met nil skips; the whole chain is then nil."""

    body: Node

    def children(self) -> tuple[Node, ...]:
        """The chained accesses."""
        return (self.body,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slice(Node):
    """`base[start:stop]`; None = from the start, to the end."""

    base: Node
    start: Node | None = None
    stop: Node | None = None

    def children(self) -> tuple[Node, ...]:
        """Base and the bounds that are written."""
        return tuple(node for node in (self.base, self.start, self.stop) if node is not None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call(Node):
    """A call of something that is not a builtin: a function of the environment or a method."""

    callee: Node
    arguments: tuple[Node, ...]

    def children(self) -> tuple[Node, ...]:
        """Callee, arguments."""
        return (self.callee, *self.arguments)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Builtin(Node):
    """A call of a builtin; predicates among its arguments are `Predicate` nodes."""

    name: str
    arguments: tuple[Node, ...]

    def children(self) -> tuple[Node, ...]:
        """The arguments."""
        return self.arguments


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predicate(Node):
    """The closure given to `filter`, `all`, ...: `# > 1` or `{# > 1}`."""

    body: Node

    def children(self) -> tuple[Node, ...]:
        """The body."""
        return (self.body,)


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

    def children(self) -> tuple[Node, ...]:
        """Value, body."""
        return (self.value, self.body)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sequence(Node):
    """`a; b; c`: all are evaluated, the last one counts."""

    items: tuple[Node, ...]

    def children(self) -> tuple[Node, ...]:
        """The expressions."""
        return self.items


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conditional(Node):
    """`test ? then : otherwise` and `if test { then } else { otherwise }`."""

    test: Node
    then: Node
    otherwise: Node

    def children(self) -> tuple[Node, ...]:
        """Test, then, otherwise."""
        return (self.test, self.then, self.otherwise)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrayLiteral(Node):
    """`[a, b]`."""

    items: tuple[Node, ...]

    def children(self) -> tuple[Node, ...]:
        """The elements."""
        return self.items


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapLiteral(Node):
    """`{key: value}`; keys are constants or expressions in parentheses."""

    pairs: tuple[tuple[Node, Node], ...]

    def children(self) -> tuple[Node, ...]:
        """Keys and values in turn."""
        return tuple(node for pair in self.pairs for node in pair)
