"""The errors of expressions, and how they are shown.

Raised by every module of this package; callers outside meet the two public classes only. A `Fault` is the inner form: a
message and a place, turned into a public error (with the text and a caret under the place) by `expression.py`.
"""

from __future__ import annotations

from awf_core.errors import ExecutionError, WorkflowError


class ExpressionError(WorkflowError):
    """An expression that does not compile. The message names line and column and shows the text."""


class ExpressionEvalError(ExecutionError):
    """An expression that compiled and failed on its values. Message as in ExpressionError."""


class Fault(Exception):
    """A failure inside the language; `at` is the offset into the text (characters, from 0), None = not known yet."""

    def __init__(self, message: str, at: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.at = at


def locate(text: str, fault: Fault) -> str:
    """The message of `fault` followed by line, column, the line itself and a caret.

    A place on an empty line, or no place at all, leaves the bare message.
    """
    at = min(fault.at or 0, len(text))
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", start)
    line = text[start:] if end < 0 else text[start:end]
    if not line:
        return fault.message
    row, column = text.count("\n", 0, at) + 1, at - start
    shown = line.replace("\t", " ")
    return f"{fault.message} ({row}:{column + 1})\n | {shown}\n | {'.' * column}^"
