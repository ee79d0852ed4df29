"""Literals to values: escapes in strings, and numbers as the original's number parser reads them.

Called by the lexer and the parser. Pure; never raises anything but Fault.
"""

from __future__ import annotations

import re

from awf_core.lang.expressions.errors import Fault
from awf_core.lang.go.numbers import INT_MAX, is_decimal, parse_float, parse_int
from awf_core.lang.go.quoting import quoted

_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-fA-F]+)\}|[xuU]([0-9a-fA-F]+)|([0-7]{3})|(.))", re.DOTALL)
_FIXED_LENGTHS = {"x": 2, "u": 4, "U": 8}


def unescape(body: str, at: int) -> str:
    """The value of a quoted literal without its quotes; `at` is where an error points to."""
    body = body.replace("\r\n", "\n").replace("\r", "\n")
    if "\\" not in body:
        return body
    parts, position = [], 0
    while (slash := body.find("\\", position)) >= 0:
        parts.append(body[position:slash])
        value, position = _escaped(body, slash, at)
        parts.append(value)
    return "".join(parts) + body[position:]


def _escaped(body: str, slash: int, at: int) -> tuple[str, int]:
    kind = body[slash + 1]
    if kind in _FIXED_LENGTHS and body[slash + 2 : slash + 3] != "{":
        end = slash + 2 + _FIXED_LENGTHS[kind]
        return _character(int(body[slash + 2 : end], 16), at), end
    match = _ESCAPE.match(body, slash)
    assert match is not None
    if match[1]:
        return _character(int(match[1], 16), at), match.end()
    if match[3]:
        if match[3][0] > "3":
            raise Fault("unable to unescape string", at)
        return chr(int(match[3], 8)), match.end()
    return _SIMPLE.get(kind, kind), match.end()


def _character(code: int, at: int) -> str:
    if code > 0x10FFFF:
        raise Fault("unable to unescape string", at)
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code)


def number_literal(text: str, at: int) -> int | float:
    """The value of a number token. Raises Fault at `at` when it is malformed or does not fit."""
    digits = text.replace("_", "")
    lower = digits.lower()
    if lower.startswith("0x"):
        return _based(digits, 16, "hex", at)
    if "." in lower or "e" in lower:
        return _float_literal(digits, at)
    if lower.startswith("0b"):
        return _based(digits, 2, "binary", at)
    if lower.startswith("0o"):
        return _based(digits, 8, "octal", at)
    value = parse_int(digits)
    if value is None:
        raise Fault(f"invalid integer literal: {_number_problem('ParseInt', digits, malformed=False)}", at)
    return value


def _float_literal(digits: str, at: int) -> float:
    value = parse_float(digits)
    if value is None:
        malformed = not is_decimal(digits)
        raise Fault(f"invalid float literal: {_number_problem('ParseFloat', digits, malformed=malformed)}", at)
    return value


def _based(digits: str, base: int, name: str, at: int) -> int:
    try:
        value = int(digits[2:], base)
    except ValueError:
        problem = _number_problem("ParseInt", digits, malformed=True)
        raise Fault(f"invalid {name} literal: {problem}", at) from None
    if value > INT_MAX:
        raise Fault(f"invalid {name} literal: {_number_problem('ParseInt', digits, malformed=False)}", at)
    return value


def _number_problem(parser: str, digits: str, *, malformed: bool) -> str:
    reason = "invalid syntax" if malformed else "value out of range"
    return f"strconv.{parser}: parsing {quoted(digits)}: {reason}"
