"""Fill in a template whose text goes to a shell, and refuse what a message may not put there.

Called by command steps and hooks, by others to know whether a message is in a text. Without a message it only renders.
The decision is that of `awf_core.lang.shell`; this module says which parts of the text come from the message, and what
to do about a refusal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from awf_core.config.shells import POSIX_SHELLS
from awf_core.errors import InputError
from awf_core.lang.go.quoting import quoted
from awf_core.lang.scope import Scope
from awf_core.lang.shell.context import not_plain
from awf_core.lang.shell.cursor import Value
from awf_core.lang.shell.tokenizer import first_unsafe
from awf_core.lang.templates import Template
from awf_core.lang.templates.insertions import Insertion
from awf_core.lang.untrusted import UNSAFE_INPUT

_ALLOW = "`unsafe_inputs: allow` in the workflow, or `mq.unsafe_inputs: allow`, turns this check off"
_INTERPRETER = re.compile(r"#![ \t]*(?P<program>\S+)(?P<rest>[^\n]*)")


class UnsafeInput(InputError):
    """A value from a message that a shell would read as more than a value."""

    def __init__(self, insertion: Insertion, why: str, advice: str) -> None:
        action = f"{{{{{insertion.pipeline.text()}}}}}"
        super().__init__(f"unsafe_input: {action} {why}; {advice}", hint=_ALLOW, code=UNSAFE_INPUT)


def render_shell(template: Template, scope: Scope) -> str:
    """The text for a POSIX shell. Raises TemplateError, and UnsafeInput."""
    text, insertions = _rendered(template, scope)
    _check_shell(text, insertions)
    return text


def render_script(template: Template, scope: Scope) -> str:
    """The content of a script, which its first line gives to an interpreter; without such a line it is shell text.

    Raises TemplateError, and UnsafeInput.
    """
    text, insertions = _rendered(template, scope)
    head = text.partition("\n")[0] if text.startswith("#!") else ""
    for insertion in insertions:
        if insertion.start < len(head):
            raise UnsafeInput(insertion, "stands in the line that names the interpreter", "write that line out")
    if head and not _is_shell(head):
        _check_plain(text, insertions, where="in a script that is not for a POSIX shell")
    else:
        _check_shell(text, insertions)
    return text


def render_script_name(template: Template, scope: Scope) -> str:
    """The path of a script: a message may choose a name in it, no directory. Raises TemplateError, and UnsafeInput."""
    text, insertions = _rendered(template, scope)
    for insertion in insertions:
        value = text[insertion.start : insertion.end]
        if "/" in value or ".." in value:
            raise UnsafeInput(insertion, 'holds "/" or ".." in the path of a script', "let the message choose a name")
    return text


def render_traced(template: Template, scope: Scope) -> tuple[str, bool]:
    """The text, and whether something in it comes from a message. Raises TemplateError."""
    untrusted = scope.untrusted
    if untrusted is None:
        return template.render(scope), False
    text, insertions = template.render_inserted(scope)
    return text, any(
        insertion.is_from(untrusted, template.text, text[insertion.start : insertion.end]) for insertion in insertions
    )


def _rendered(template: Template, scope: Scope) -> tuple[str, list[Insertion]]:
    """The text, and what a message has inserted into it; nothing where that is allowed."""
    untrusted = scope.untrusted
    if untrusted is None or untrusted.is_allowed:
        return template.render(scope), []
    text, insertions = template.render_inserted(scope)
    return text, [
        insertion
        for insertion in insertions
        if insertion.start < insertion.end
        and insertion.is_from(untrusted, template.text, text[insertion.start : insertion.end])
    ]


def _check_shell(text: str, insertions: Sequence[Insertion]) -> None:
    check_values(text, [(Value(each.start, each.end, is_escaped=each.is_escaped), each) for each in insertions])


def check_values(text: str, values: Sequence[tuple[Value, Insertion]]) -> None:
    """Raises UnsafeInput for the first of `values` that is not harmless in `text`; each with what inserted it."""
    refusal = first_unsafe(text, [value for value, _ in values])
    if refusal is None:
        return
    insertion = next(insertion for value, insertion in values if value.start == refusal.value.start)
    holds = f"holds {quoted(refusal.char)}" if refusal.char else "stands"
    why = f"{holds} {refusal.place}, where a shell reads it as syntax"
    raise UnsafeInput(insertion, why, advice(insertion))


def _check_plain(text: str, insertions: Sequence[Insertion], *, where: str) -> None:
    for insertion in insertions:
        char = not_plain(text[insertion.start : insertion.end])
        if char:
            raise UnsafeInput(insertion, f"holds {quoted(char)} {where}", "read the input from the environment there")


def advice(insertion: Insertion) -> str:
    """What to write instead."""
    if insertion.is_escaped:
        return "write it outside of quotes, as a word of its own"
    return f"write {{{{escape {_as_argument(insertion)}}}}} outside of quotes"


def _as_argument(insertion: Insertion) -> str:
    pipeline = insertion.pipeline
    is_word = len(pipeline.commands) == 1 and not pipeline.commands[0].rest
    return pipeline.text() if is_word else f"({pipeline.text()})"


def _is_shell(head: str) -> bool:
    """Whether the first line of a script names a POSIX shell, by itself or for `env`."""
    found = _INTERPRETER.match(head)
    if found is None:
        return False
    program = found["program"].rpartition("/")[2]
    return (next(_arguments(found["rest"]), "") if program == "env" else program) in POSIX_SHELLS


def _arguments(rest: str) -> Iterator[str]:
    return (word.rpartition("/")[2] for word in rest.split() if not word.startswith("-") and "=" not in word)
