"""Where a workflow inserts a value from a message into shell text as it is: for `awf validate`.

Called by `lint`. Each place is a warning: whether a worker refuses a message there depends on what it holds. Reads the
scripts that a workflow names, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from awf_core.lang.lint_references import Written
from awf_core.lang.model import Workflow
from awf_core.lang.problems import Problem
from awf_core.lang.shell.cursor import Value
from awf_core.lang.shell.survey import may_be_syntax
from awf_core.lang.shell_text import advice
from awf_core.lang.step_types import COMMAND_TYPES
from awf_core.lang.templates import Template, compile_template
from awf_core.lang.templates.insertions import Insertion
from awf_core.lang.untrusted import Untrusted

_PLACEHOLDER = "x"
_MAX_SCRIPT_BYTES = 1024 * 1024


def shell_problems(workflow: Workflow, written: Iterable[Written]) -> Iterator[Problem]:
    """A warning for each value that a shell may read as syntax; none where the workflow allows that."""
    if workflow.allows_unsafe_inputs:
        return
    untrusted = _untrusted(workflow)
    for one in written:
        if one.key == "command" and (one.hook or (one.state is not None and one.state.type.lower() in COMMAND_TYPES)):
            yield from _of_text(one.template, one.path, one.line, untrusted)
        elif one.key == "script_file" and (script := _script(workflow, one.template)) is not None:
            yield from _of_text(script, one.path, one.line, untrusted)


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


def _script(workflow: Workflow, name: Template) -> Template | None:
    """The content of a script that is named outright; None for one that can't be read here, or is for no shell."""
    if "{{" in name.text or name.text.startswith("~"):
        return None
    path = workflow.source.parent / Path(name.text)
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_SCRIPT_BYTES).decode("utf-8", "surrogateescape")
    except (OSError, ValueError):
        return None
    return None if content.startswith("#!") and "sh" not in content.partition("\n")[0] else compile_template(content)
