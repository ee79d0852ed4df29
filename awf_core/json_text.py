"""JSON of untrusted producers: its depth before it is parsed, its numbers after. Pure.

Called by the decoder of messages, and by whatever writes JSON that another program reads. JSON has no NaN and no
infinity, and Python reads and writes both; a number such as `1e999` becomes one.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_INTEGER_DIGITS = 308
"""The longest integer: a longer one has no value as a floating-point number."""
MAX_NOTED_DEPTH = 32

# The closing quote is optional and the body possessive, so that an unterminated string is one match to the end of the
# text: otherwise every escaped quote in it would start a scan of its own, and a 1 MiB body of them takes hours.
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{\]}]', re.DOTALL)
# An exponent that is not negative, or many digits: only then is a number too large possible.
_MAYBE_TOO_LARGE = re.compile(r"[0-9][eE]\+?[0-9]|[0-9]{100}")
_LARGEST = 10**MAX_INTEGER_DIGITS
_TOO_LARGE = f"a number is too large: at most {MAX_INTEGER_DIGITS} digits, or 1.7e308 with a decimal point or exponent"


def depth_of(text: str, limit: int) -> int:
    """How deep `[` and `{` nest in JSON `text`; stops counting just past `limit`. Linear, without recursion."""
    if text.count("[") + text.count("{") <= limit:
        return 0
    depth = deepest = 0
    for token in _STRUCTURE.finditer(text):
        first = token.group()[0]
        if first in "[{":
            depth += 1
            if depth > deepest:
                deepest = depth
                if deepest > limit:
                    return deepest
        elif first in "]}":
            depth -= 1
    return deepest


def strict_json(text: str) -> Any:
    """The value of JSON `text`. Raises ValueError for what is no JSON, for NaN and for a number that is too large."""
    try:
        document = _decode(text)
    except ValueError as problem:
        # Python's own limit for the digits of an integer: its text speaks to a programmer.
        if str(problem).startswith("Exceeds the limit"):
            raise ValueError(_TOO_LARGE) from problem
        raise
    if _MAYBE_TOO_LARGE.search(text) and not is_finite(document):
        raise ValueError(_TOO_LARGE)
    return document


def json_or_none(text: str) -> Any:
    """The value of JSON `text`; None where it is no JSON, or nested deeper than MAX_NOTED_DEPTH.

    For what is noted on a message, as histories and headers: any client may have written it.
    """
    if depth_of(text, MAX_NOTED_DEPTH) > MAX_NOTED_DEPTH:
        return None
    try:
        return strict_json(text)
    except (ValueError, RecursionError):
        return None


def is_finite(document: object) -> bool:
    """Whether all numbers in a value of JSON have a finite value. Without recursion."""
    left = [document]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, (list, tuple)):
            left.extend(value)
        elif isinstance(value, float):
            if not math.isfinite(value):
                return False
        elif isinstance(value, int) and not -_LARGEST < value < _LARGEST:
            return False
    return True


def finite(value: Any) -> Any:
    """`value` with null for each number that has no finite value: what a reader of strict JSON can be given."""
    return value if is_finite(value) else _finite(value)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value if is_finite(value) else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


# Made once: json.loads with an option would make a decoder for every message.
_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode
