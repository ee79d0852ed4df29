"""The names a template is certain to look up whenever it is rendered. Called by `awf validate`. Pure.

A branch of an `if`, the body of a `range` and a template of its own may never be evaluated, so references in them are
left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from awf_core.lang.templates.calls import Command, Operand
from awf_core.lang.templates.namespaces import ROOT_NAMES
from awf_core.lang.templates.operands import Chain, Identifier, Path, Pipeline, Variable
from awf_core.lang.templates.statements import Action, Body, Choice, Include, Range

_LAZY = frozenset({"and", "or"})
"""Functions that may not evaluate their later arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A chain of names from the root: `.inputs.name`, or without the first dot as `is_dotless`."""

    names: tuple[str, ...]
    is_dotless: bool = False

    @property
    def text(self) -> str:
        """The reference as it is written."""
        return ("" if self.is_dotless else ".") + ".".join(self.names)


def certain_references(body: Body) -> Iterator[Reference]:
    """The references of a template's main body, in order, those that end in a value of the root's parts."""
    for statement in body.statements:
        if isinstance(statement, (Action, Range)):
            yield from _of_pipeline(statement.pipeline)
        elif isinstance(statement, Choice):
            yield from _of_pipeline(statement.branches[0][0])
        elif isinstance(statement, Include) and statement.pipeline is not None:
            yield from _of_pipeline(statement.pipeline)


def _of_pipeline(pipeline: Pipeline) -> Iterator[Reference]:
    for command in pipeline.commands:
        yield from _of_command(command)


def _of_command(command: Command) -> Iterator[Reference]:
    yield from _of_word(command.first)
    is_lazy = isinstance(command.first, Identifier) and command.first.name in _LAZY
    for word in command.rest[:1] if is_lazy else command.rest:
        yield from _of_word(word)


def _of_word(word: Operand) -> Iterator[Reference]:
    match word:
        case Path(names=names):
            yield Reference(names=names)
        case Variable(name="$", names=names) if names:
            yield Reference(names=names)
        case Chain(start=Identifier(name=name), names=names) if name in ROOT_NAMES:
            yield Reference(names=(name, *names), is_dotless=True)
        case Chain(start=Pipeline() as inner):
            yield from _of_pipeline(inner)
        case Pipeline():
            yield from _of_pipeline(word)
