"""Patterns of `matches`: RE2, with failures as Faults. Called by the checker and by emitted code. Thread-safe."""

from __future__ import annotations

from awf_core.lang import patterns
from awf_core.lang.expressions.errors import Fault


def found(pattern: str, text: str) -> bool:
    """Whether `pattern` matches anywhere in `text`. Raises Fault for a malformed pattern."""
    try:
        return patterns.matches(pattern, text)
    except patterns.PatternError as error:
        raise Fault(str(error)) from None


def check_pattern(pattern: str, at: int) -> None:
    """Raises Fault at `at` when `pattern` is malformed."""
    try:
        found(pattern, "")
    except Fault as fault:
        raise Fault(fault.message, at) from None
