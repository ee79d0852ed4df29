"""A compiled template, and its rendering.

Made once when a workflow loads, rendered many times by many threads at once. Rendering reads files only where the
template calls `readFile`, and changes nothing. `references` are what `awf validate` checks: the names that every
rendering looks up. A branch of an `if`, the body of a `range` and a template of its own may never be evaluated, so
references in them are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from awf_core.lang.scope import Scope
from awf_core.lang.templates.calls import Command, Operand
from awf_core.lang.templates.errors import PREFIX, LimitError, TemplateError
from awf_core.lang.templates.insertions import Insertion
from awf_core.lang.templates.namespaces import ROOT_NAMES, Root
from awf_core.lang.templates.operands import Chain, Identifier, Path, Pipeline, Variable
from awf_core.lang.templates.parser import MAIN, parse
from awf_core.lang.templates.state import State
from awf_core.lang.templates.statements import Action, Body, Choice, Include, Range, Text

MAX_TEMPLATE_CHARS = 2 * 1024 * 1024


class Template:
    """A text with `{{…}}` in it. Thread-safe.

    text    the template as it was written
    error   what is wrong with its syntax, None if nothing is
    """

    __slots__ = ("_templates", "error", "text")

    def __init__(
        self, text: str, templates: Mapping[str, Body] | None = None, error: TemplateError | None = None
    ) -> None:
        self.text = text
        self.error = error
        self._templates = templates

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def render(self, scope: Scope) -> str:
        """The text filled in from `scope`. Raises TemplateError, and nothing else."""
        if self.error is not None:
            raise self.error.again()
        if self._templates is None:
            return self.text
        return self._rendered(self._templates, scope, None)

    def render_inserted(self, scope: Scope) -> tuple[str, list[Insertion]]:
        """The same, with what was inserted, in order. Raises as `render`."""
        if self.error is not None or self._templates is None:
            return self.render(scope), []
        inserted: list[tuple[int, int, Any, bool]] = []
        text = self._rendered(self._templates, scope, inserted)
        return text, [Insertion(*each) for each in inserted]

    def _rendered(self, templates: Mapping[str, Body], scope: Scope, inserted: list[Any] | None) -> str:
        root = Root(scope)
        state = State(self.text, templates, root)
        state.inserted = inserted
        try:
            templates[MAIN].run(state, root)
        except LimitError as error:
            state.fail(str(error))
        except RecursionError:
            state.fail("the values are nested too deeply")
        return "".join(state.parts)

    def pieces(self) -> Iterator[str | Insertion]:
        """The template as it is written: text, and what is inserted, in order, branches and bodies one after another.

        Insertions have no extent. Nothing for a template that does not compile.
        """
        if self._templates is not None:
            yield from _pieces(self._templates[MAIN], is_at_root=True)
        elif self.error is None:
            yield self.text

    def references(self) -> Iterator[Reference]:
        """What every rendering looks up; nothing for a template that does not compile."""
        if self._templates is not None:
            yield from certain_references(self._templates[MAIN])


def compile_template(text: str) -> Template:
    """`text` ready to be rendered; what is wrong with it is in `Template.error`. Never raises."""
    if "{{" not in text:
        return Template(text)
    if len(text) > MAX_TEMPLATE_CHARS:
        reason = f"longer than {MAX_TEMPLATE_CHARS} characters"
        return Template(text, error=TemplateError(f"{PREFIX}template: cmd:1: {reason}", line=1, column=1))
    try:
        return Template(text, parse(text))
    except TemplateError as error:
        return Template(text, error=error.again())
    except RecursionError:  # called from a deep stack; the parser's own bound is far below Python's
        reason = "nested too deeply"
        return Template(text, error=TemplateError(f"{PREFIX}template: cmd:1: {reason}", line=1, column=1))


def _pieces(body: Body, *, is_at_root: bool) -> Iterator[str | Insertion]:
    for statement in body.statements:
        match statement:
            case Text(content=content):
                yield content
            case Action(pipeline=pipeline) if not pipeline.names:
                yield Insertion(0, 0, pipeline, is_at_root)
            case Choice(branches=branches, otherwise=otherwise, moves_dot=moves_dot):
                for _, inner in branches:
                    yield from _pieces(inner, is_at_root=is_at_root and not moves_dot)
                if otherwise is not None:
                    yield from _pieces(otherwise, is_at_root=is_at_root)
            case Range(body=inner, otherwise=otherwise):
                yield from _pieces(inner, is_at_root=False)
                if otherwise is not None:
                    yield from _pieces(otherwise, is_at_root=is_at_root)


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
