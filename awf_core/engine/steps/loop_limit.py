"""How often a loop may go round: `max_iterations` read from the file, and worked out where it is a text.

Called by the loop steps. Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from awf_core.errors import AwfError
from awf_core.lang.expressions import compile_expression
from awf_core.lang.go.quoting import quoted
from awf_core.lang.go.text import trim_space
from awf_core.lang.problems import StepProblem
from awf_core.lang.scope import Scope
from awf_core.lang.templates import Template, compile_template

if TYPE_CHECKING:
    from awf_core.lang.fields import StateFields

DEFAULT_MAX_ITERATIONS = 100
MAX_ITERATIONS = 10_000
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_OPERATORS = frozenset("+-*/%")


class LimitProblem(Exception):
    """A `max_iterations` that gives no usable number; the text says why, in the words of the workflow language."""


def read_limit(fields: StateFields) -> int | Template:
    """The number written, or the text that will give one. Raises StepProblem for a number out of range.

    Absent, 0, an empty text and anything else count as the default.
    """
    written: Any = fields.raw("max_iterations")
    if isinstance(written, str) and written:
        return compile_template(written)
    if not isinstance(written, int) or isinstance(written, bool) or written == 0:
        return DEFAULT_MAX_ITERATIONS
    if written < 0:
        raise StepProblem("loop config: max_iterations must be non-negative", key="max_iterations")
    if written > MAX_ITERATIONS:
        raise StepProblem(
            "loop config: max_iterations exceeds maximum allowed limit",
            key="max_iterations",
            hint=f"The limit is {MAX_ITERATIONS}.",
        )
    return written


def resolve_limit(limit: int | Template, scope: Scope) -> int:
    """The number of iterations, 1 to MAX_ITERATIONS. Raises LimitProblem."""
    if isinstance(limit, int):
        return limit
    try:
        text = trim_space(limit.render(scope))
    except AwfError as problem:
        raise LimitProblem(f"resolve max_iterations expression: {problem.message}") from problem
    value = _integer(text)
    if value < 1:
        raise LimitProblem(f"max_iterations value {value} must be at least 1")
    if value > MAX_ITERATIONS:
        raise LimitProblem(f"max_iterations value {value} exceeds maximum allowed limit of {MAX_ITERATIONS}")
    return value


def _integer(text: str) -> int:
    if _INTEGER.fullmatch(text) and abs(value := int(text)) < 1 << 63:
        return value
    if not _OPERATORS & set(text):
        raise LimitProblem(f"max_iterations value {quoted(text)} is invalid: must be an integer")
    try:
        return compile_expression(text, mode="int").evaluate_int(Scope())
    except AwfError as problem:
        raise LimitProblem(
            f"max_iterations expression {quoted(text)} evaluation failed: {problem.message}"
        ) from problem
