"""Numbers as a template writes them, with Go's rules for what is an integer, a float or too large.

Called by the parser only. Raises ValueError in Go's words and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from awf_core.lang.go.numbers import INT_MAX, INT_MIN, UINT_MAX, parse_float
from awf_core.lang.go.quoting import quoted, unquote_char

_OCTAL = re.compile(r"[+-]?0[0-7_]*")
_PREFIXED = re.compile(r"[+-]?0[xXoObB]")
_COMPLEX = re.compile(r"(?P<real>[+-]?.+?(?<![eEpP]))(?P<imaginary>[+-].+)i")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number literal. `overflows`: an integer that fits no `int`, which is an error only when it is used."""

    text: str
    value: int | float | complex
    overflows: bool = False


def read_number(text: str, *, kind: str) -> Number:
    """The number of a token of `kind` number, complex or character."""
    if kind == "character":
        return Number(text=text, value=unquote_char(text))
    if kind == "complex":
        return Number(text=text, value=_read_complex(text))
    if text.endswith("i"):
        return Number(text=text, value=_imaginary(text))
    integer = _integer(text)
    if integer is None:
        return Number(text=text, value=_read_float(text))
    if not INT_MIN <= integer <= UINT_MAX or (integer > INT_MAX and text[0] in "+-"):
        raise ValueError(f"{'illegal number syntax' if _PREFIXED.match(text) else 'integer overflow'}: {quoted(text)}")
    return Number(text=text, value=integer, overflows=integer > INT_MAX)


def _integer(text: str) -> int | None:
    try:
        if _OCTAL.fullmatch(text):
            return int(text, 8)
        return int(text, 0)
    except ValueError:
        return None


def _read_float(text: str) -> float:
    value = parse_float(text)
    if value is None:
        raise ValueError(f"illegal number syntax: {quoted(text)}")
    if not any(char in text for char in ".eEpP"):
        raise ValueError(f"integer overflow: {quoted(text)}")
    return value


def _imaginary(text: str) -> complex:
    value = parse_float(text[:-1])
    if value is None:
        raise ValueError(f"illegal number syntax: {quoted(text)}")
    return complex(0, value)


def _read_complex(text: str) -> complex:
    match = _COMPLEX.fullmatch(text)
    parts = (parse_float(match["real"]), parse_float(match["imaginary"])) if match else (None, None)
    if parts[0] is None or parts[1] is None:
        raise ValueError("syntax error scanning complex number")
    return complex(parts[0], parts[1])
