"""What a template has inserted into its text, and which of it comes from a message.

Called where the text goes to a shell. It reads the pipelines as they are written: a value counts as from a message when
the pipeline names an input that the message gave, an item of a loop over such an input, or a variable or a dot that may
hold one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from awf_core.lang.templates.calls import Operand
from awf_core.lang.templates.operands import Chain, Dot, Identifier, Path, Pipeline, Variable
from awf_core.lang.untrusted import Untrusted

_LOOP_ITEMS = frozenset({"item", "parent"})
"""The parts of `.loop` that hold items; the others are numbers and flags."""
_NAMES_INPUTS = re.compile(
    r"inputs|loop|\{\{-?\s*(?:range|with|template|block|\$\w+(?:\s*,\s*\$\w+)?\s*:?=)[^}]*?[\s(=](?:\.|\$)(?=[\s})|-])"
)
"""Templates in which a variable or a dot may hold an input: they name some, or hand on the whole data."""
ANYTHING = "*"
"""Stands for every name of a part."""


@dataclass(frozen=True, slots=True)
class Insertion:
    """The text from `start` to `end`, which `pipeline` printed.

    `is_at_root`: `.` and `$` are the root of the data there, not what a `range` or `with` has made of them.
    """

    start: int
    end: int
    pipeline: Pipeline
    is_at_root: bool

    @property
    def is_escaped(self) -> bool:
        """Whether it is what `escape` returned."""
        return ends_in_escape(self.pipeline)

    def is_from(self, untrusted: Untrusted, template: str, printed: str) -> bool:
        """Whether it comes from a message: by what is written in `template`, or because `printed` holds its text."""
        names_inputs = bool(_NAMES_INPUTS.search(template))
        return untrusted.is_echoed(printed) or any(
            _is_untrusted(source, untrusted, names_inputs=names_inputs) for source in sources(self)
        )


def _is_untrusted(source: tuple[str, str], untrusted: Untrusted, *, names_inputs: bool) -> bool:
    root, name = source
    if root == "inputs":
        return bool(untrusted.inputs) if name == ANYTHING else name in untrusted.inputs
    if root == "loop":
        return untrusted.has_items and (name == ANYTHING or name.lower() in _LOOP_ITEMS)
    return root == ANYTHING and names_inputs and bool(untrusted.inputs or untrusted.has_items)


def ends_in_escape(pipeline: Pipeline) -> bool:
    """Whether the last thing that makes the value of `pipeline` is `escape`."""
    last = pipeline.commands[-1]
    if isinstance(last.first, Pipeline) and not last.rest and len(pipeline.commands) == 1:
        return ends_in_escape(last.first)
    return isinstance(last.first, Identifier) and last.first.name == "escape"


def sources(insertion: Insertion) -> set[tuple[str, str]]:
    """What the pipeline reads: the part of the data and a name in it, either of which may be ANYTHING."""
    return set(_of(insertion.pipeline, is_at_root=insertion.is_at_root))


def _of(word: Operand, *, is_at_root: bool) -> Iterator[tuple[str, str]]:
    match word:
        case Pipeline(commands=commands):
            for command in commands:
                for each in (command.first, *command.rest):
                    yield from _of(each, is_at_root=is_at_root)
        case Dot() | Variable(name="$", names=()) if is_at_root:
            yield "inputs", ANYTHING  # the whole data
        case Path(names=names) | Variable(name="$", names=names):
            yield _source(names) if is_at_root else (ANYTHING, ANYTHING)
        case Chain(start=Identifier(name=name), names=names):
            yield _source((name, *names))
        case Chain(start=start):
            yield from _of(start, is_at_root=is_at_root)
        case Identifier(name=name):
            yield _source((name,))
        case Dot() | Variable():
            yield ANYTHING, ANYTHING


def _source(names: tuple[str, ...]) -> tuple[str, str]:
    if not names:
        return ANYTHING, ANYTHING
    return names[0], names[1] if len(names) > 1 else ANYTHING
