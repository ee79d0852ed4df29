"""The state of one rendering: its output so far, its variables, its current node and its budget.

Made by `Template.render`, used by every node. Belongs to one thread. It limits the output
size, the steps and the depth of templates within templates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn, Protocol

from awf_core.lang.go.quoting import quoted
from awf_core.lang.templates.errors import LimitError, check_size, execution_error, place_of
from awf_core.lang.templates.namespaces import Root
from awf_core.lang.templates.values import Value

MAX_STEPS = 1_000_000
MAX_DEPTH = 100


class Located(Protocol):
    """What an error can point at."""

    @property
    def position(self) -> int:
        """Its offset in the text."""

    def text(self) -> str:
        """The node as it would be written."""


class Runnable(Protocol):
    """The body of a template."""

    def run(self, state: State, dot: Value) -> int:
        """Write what the body yields for `dot`."""


class State:
    """The state of one rendering. `variables` are [name, value] pairs, the innermost last.

    `inserted` None = it is not asked for: start, end and pipeline of what was printed, and whether that stood at the
    root of the data.
    """

    __slots__ = (
        "depth",
        "inserted",
        "name",
        "node",
        "parts",
        "root",
        "size",
        "source",
        "steps_left",
        "templates",
        "variables",
    )

    def __init__(self, source: str, templates: Mapping[str, Runnable], root: Root) -> None:
        self.source = source
        self.templates = templates
        self.root = root
        self.name = "cmd"
        self.node: Located | None = None
        self.variables: list[list[Value]] = [["$", root]]
        self.parts: list[str] = []
        self.inserted: list[tuple[int, int, Located, bool]] | None = None
        self.size = 0
        self.depth = 0
        self.steps_left = MAX_STEPS

    def write(self, text: str) -> None:
        """Append to the output. Raises LimitError beyond its largest size."""
        self.size += len(text)
        check_size(self.size)
        self.parts.append(text)

    def spend(self, steps: int) -> None:
        """Account for work about to be done. Raises LimitError when a rendering does too much."""
        self.steps_left -= steps
        if self.steps_left < 0:
            raise LimitError(f"the template takes more than {MAX_STEPS} steps")

    def variable(self, name: str) -> list[Value]:
        """The innermost variable of that name."""
        pair = next((pair for pair in reversed(self.variables) if pair[0] == name), None)
        if pair is None:
            self.fail(f"undefined variable: {name}")
        return pair

    def fail(self, reason: str, *, variable: str | None = None) -> NoReturn:
        """Raise the error of the node the rendering is at."""
        position = self.node.position if self.node else 0
        context = self.node.text() if self.node else ""
        place = place_of(self.source, position)
        where = f"template: cmd:{place.line}:{place.byte}: executing {quoted(self.name)} at <{context}>"
        raise execution_error(f"{where}: {reason}", place, variable)
