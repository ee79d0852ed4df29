"""Where a workflow inserts a value from a message into shell text as it is: for `awf validate`.

Called by `lint`. Each place is a warning: whether a worker refuses a message there depends on what it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from awf_core.lang.lint_references import Written
from awf_core.lang.model import Workflow
from awf_core.lang.problems import Problem
from awf_core.lang.shell.cursor import Value
from awf_core.lang.shell.survey import may_be_syntax
from awf_core.lang.shell_places import shell_templates
from awf_core.lang.shell_text import advice
from awf_core.lang.templates import Template
from awf_core.lang.templates.insertions import Insertion
from awf_core.lang.untrusted import Untrusted

_PLACEHOLDER = "x"


def shell_problems(workflow: Workflow, written: Iterable[Written]) -> Iterator[Problem]:
    """A warning for each value that a shell may read as syntax; none where the workflow allows that."""
    if workflow.allows_unsafe_inputs:
        return
    untrusted = _untrusted(workflow)
    for template, one in shell_templates(workflow, written):
        yield from _of_text(template, one.path, one.line, untrusted)


def _of_text(template: Template, path: str, line: int, untrusted: Untrusted) -> Iterator[Problem]:
    text, insertions = "", dict[int, Insertion]()
    for piece in template.pieces():
        if isinstance(piece, str):
            text += piece
        else:
            if piece.is_from(untrusted, template.text, ""):
                insertions[len(text)] = piece
            text += _PLACEHOLDER
    values = [Value(at, at + len(_PLACEHOLDER), is_escaped=each.is_escaped) for at, each in insertions.items()]
    for value, place in may_be_syntax(text, values):
        insertion = insertions[value.start]
        shown = f"{{{{{insertion.pipeline.text()}}}}}"
        message = (
            f"{path}: {shown} stands {place}: a worker refuses a message whose value a shell reads as syntax there"
        )
        yield Problem(message=message, line=line, severity="warning", hint=f"{advice(insertion).capitalize()}.")


def _untrusted(workflow: Workflow) -> Untrusted:
    """All that a message may give: every declared input, and what loops make of them."""
    own = Untrusted(inputs=frozenset(definition.name for definition in workflow.inputs))
    items = [getattr(state.spec, "items", None) for state in workflow.states.values()]
    has_items = any(isinstance(each, Template) and "inputs" in each.text for each in items)
    return Untrusted(inputs=own.inputs, has_items=has_items)
