"""Fill in what of a template is known before a run: inputs, environment, directories. Pure but for `readFile`.

What states, loops and errors give is known only while the run goes on. Actions that read it stay as they are written;
a template that decides something by it stays as a whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from awf_core.errors import AwfError
from awf_core.lang.expressions import Expression
from awf_core.lang.scope import Scope
from awf_core.lang.templates import Template, compile_template

_ACTION = re.compile(r"(\{\{.*?\}\})", re.DOTALL)
_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`")
_LATER = re.compile(
    r"(?<![\w.])\.?(?:(?:states|loop|error)\b|workflow\.(?:ID|StartedAt|Duration|id|started_at|duration)\b)"
)
_BOUND = re.compile(r"\{\{-|-\}\}|:=|\$\w|\{\{\s*(?:if|else|end|range|with|define|block|template|break|continue)\b")
"""What ties actions together: trim markers, variables, control structures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A template as far as it is known.

    is_complete   whether all of it is
    problem       why every run that reaches it fails there, empty = nothing is known to be wrong
    """

    text: str
    is_complete: bool = True
    problem: str = ""


def resolve(template: Template, scope: Scope) -> Resolved:
    """`template` with what `scope` gives. Never raises."""
    if template.error is not None:
        return Resolved(text=template.text, is_complete=False, problem=template.error.message)
    if not is_known_later(template.text):
        return _rendered(template, scope)
    if _BOUND.search(template.text):
        return Resolved(text=template.text, is_complete=False)
    parts = []
    for piece in _ACTION.split(template.text):
        found = Resolved(text=piece) if is_known_later(piece) else _rendered(compile_template(piece), scope)
        if found.problem:
            return Resolved(text=template.text, is_complete=False, problem=found.problem)
        parts.append(found.text)
    return Resolved(text="".join(parts), is_complete=False)


def verdict(condition: Expression, scope: Scope) -> bool | None:
    """Whether `condition` holds in every such run, None where only the run can say."""
    if _LATER.search(_LITERAL.sub("''", condition.text)):
        return None
    try:
        return condition.evaluate_bool(scope)
    except AwfError:
        return None


def is_known_later(text: str) -> bool:
    """Whether an action in `text` reads what only the run knows."""
    return any(_LATER.search(_LITERAL.sub('""', action)) for action in _ACTION.findall(text))


def _rendered(template: Template, scope: Scope) -> Resolved:
    try:
        return Resolved(text=template.render(scope))
    except AwfError as problem:
        return Resolved(text=template.text, is_complete=False, problem=problem.message)
