"""The errors of templates in the original tool's words, and the largest text a template may make.

Called by the parser, the execution state and everything that makes texts. The other bounds stand where they are kept:
steps and depth in `state.py`, nesting in `pipelines.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from awf_core.errors import ExecutionError

PREFIX = "failed to parse template: "
MAX_TEXT_CHARS = 32 * 1024 * 1024
MAX_PIECES = 1_000_000
UNDEFINED_HINT = "no value has this name at this point of the run; give an optional input a default"


class TemplateError(ExecutionError):
    """A template that can't be read, or that failed while it was filled in.

    line, column  where, both counted from 1 in characters; they are also in `hint`
    variable      what the original tool calls undefined, None where the failure is another
    """

    def __init__(self, message: str, *, line: int, column: int, advice: str = "", variable: str | None = None) -> None:
        place = f"template line {line}, column {column}"
        super().__init__(message, hint=f"{place}: {advice}" if advice else place)
        self.line = line
        self.column = column
        self.advice = advice
        self.variable = variable

    def again(self) -> TemplateError:
        """An equal error with a traceback of its own: one compiled template is used by many threads."""
        return TemplateError(
            self.message, line=self.line, column=self.column, advice=self.advice, variable=self.variable
        )


class FunctionError(Exception):
    """A template function or method that refuses its arguments; `variable` if that is because of a missing name."""

    def __init__(self, reason: str, *, variable: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.variable = variable


class LimitError(Exception):
    """A bound of this implementation was reached; the text says which and how large it is."""


def check_size(chars: int) -> None:
    """Raise LimitError when a text of so many characters is more than a template may make."""
    if chars > MAX_TEXT_CHARS:
        raise LimitError(f"the text grows beyond {MAX_TEXT_CHARS} characters")


def check_pieces(pieces: int) -> None:
    """Raise LimitError when a text of so many values and separators is more than a template may make."""
    if pieces > MAX_PIECES:
        raise LimitError(f"the text is made of more than {MAX_PIECES} pieces")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A position in a template: `line` and `column` from 1 for people, `byte` from 0 as Go counts it."""

    line: int
    column: int
    byte: int


def place_of(text: str, position: int) -> Place:
    """The place of the character `position` of `text`."""
    start = text.rfind("\n", 0, position) + 1
    head = text[start:position]
    return Place(
        line=text.count("\n", 0, position) + 1,
        column=len(head) + 1,
        byte=len(head.encode("utf-8", "surrogatepass")),
    )


def fail_parse(text: str, position: int, reason: str) -> NoReturn:
    """Raise the error of a template whose syntax is wrong at the character `position`."""
    place = place_of(text, position)
    message = f"{PREFIX}template: cmd:{place.line}: {reason}"
    raise TemplateError(message, line=place.line, column=place.column)


def execution_error(go_text: str, place: Place, variable: str | None = None) -> TemplateError:
    """The error the original makes of what its template engine says: a missing name, or the text itself."""
    missing = _undefined(go_text)
    if missing is not None:
        message, variable, advice = f"undefined variable: {missing}", missing, UNDEFINED_HINT
    else:
        message, advice = PREFIX + go_text, UNDEFINED_HINT if variable else ""
    return TemplateError(message, line=place.line, column=place.column, advice=advice, variable=variable)


def _undefined(go_text: str) -> str | None:
    # The original cuts the name out of the engine's sentence; for a missing key it takes all between the first and
    # the last quotation mark. Users match on these texts, so the cut is kept as it is.
    if "map has no entry for key" in go_text:
        start, end = go_text.find('"'), go_text.rfind('"')
        if end > start >= 0:
            return go_text[start + 1 : end]
    if not any(sign in go_text for sign in ("nil pointer", "can't evaluate field", "is not a struct")):
        return None
    _, found, rest = go_text.partition("field ")
    name, space, _ = rest.partition(" ")
    return name if found and space else "unknown"
