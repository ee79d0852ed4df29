"""Values to text: as `string()` writes them, and as JSON. Called by builtins and error texts. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal

from awf_core.lang.expressions.budget import MAX_WALK, Budget
from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.moments import Moment, Span
from awf_core.lang.expressions.time_layouts import write
from awf_core.lang.expressions.values import AnyMap, NilMap, is_array, type_name
from awf_core.lang.go_numbers import float_text

_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_MAX_DEPTH = 200


def value_text(value: object) -> str:
    """`value` as `string()` gives it: `[a b]`, `map[k:v]`, `<nil>`, floats in their shortest form."""
    return _text(value, Budget(MAX_WALK), 0)


def _text(value: object, budget: Budget, depth: int) -> str:
    _check(value, budget, depth)
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return float_text(value)
    if is_array(value):
        return "[" + " ".join(_text(item, budget, depth + 1) for item in value) + "]"
    if isinstance(value, Mapping):
        pairs = [(_text(key, budget, depth + 1), item) for key, item in value.items()]
        pairs.sort(key=lambda pair: pair[0])
        return "map[" + " ".join(f"{key}:{_text(item, budget, depth + 1)}" for key, item in pairs) + "]"
    return write("2006-01-02 15:04:05.999999999 -0700 MST", value) if isinstance(value, Moment) else str(value)


def json_text(value: object) -> str:
    """`value` as JSON, indented by two spaces, keys sorted. Raises Fault for what JSON can't say."""
    return _json(value, "\n", Budget(MAX_WALK), 0)


def _json(value: object, newline: str, budget: Budget, depth: int) -> str:
    _check(value, budget, depth)
    if is_array(value):
        return _block("[", [_json(item, newline + "  ", budget, depth + 1) for item in value], "]", newline)
    if isinstance(value, Mapping) and not isinstance(value, NilMap):
        return _block("{", _json_pairs(value, newline + "  ", budget, depth), "}", newline)
    return _json_scalar(value)


def _json_pairs(value: Mapping[object, object], newline: str, budget: Budget, depth: int) -> list[str]:
    if isinstance(value, AnyMap) or not all(isinstance(key, str) for key in value):
        raise Fault(f"json: unsupported type: {type_name(value)}")
    return [
        f"{_json_string(str(key))}: {_json(value[key], newline, budget, depth + 1)}" for key in sorted(value, key=str)
    ]


def _json_scalar(value: object) -> str:
    match value:
        case None | NilMap():
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _json_string(value)
        case float():
            return _json_float(value)
        case int():
            return str(int(value))
        case Moment():
            return _json_string(write("2006-01-02T15:04:05.999999999Z07:00", value))
        case Span():
            return str(value.nanoseconds)
        case _:
            raise Fault(f"json: unsupported type: {type_name(value)}")


def _block(opening: str, parts: list[str], closing: str, newline: str) -> str:
    if not parts:
        return opening + closing
    inner = newline + "  "
    return opening + inner + f",{inner}".join(parts) + newline + closing


def _json_string(text: str) -> str:
    written = json.dumps(text, ensure_ascii=False)
    for char, escaped in _HTML.items():
        written = written.replace(char, escaped)
    return written


def _json_float(value: float) -> str:
    if not math.isfinite(value):
        raise Fault(f"json: unsupported value: {float_text(value)}")
    if value != 0 and not 1e-6 <= abs(value) < 1e21:
        mantissa, _, exponent = float_text(value).partition("e")
        return f"{mantissa}e{exponent[0]}{exponent[1:].lstrip('0')}"
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _check(value: object, budget: Budget, depth: int) -> None:
    # A text counts by its length: many references to one long text would add up to more than memory holds.
    budget.spend(1 + len(value) // 64 if isinstance(value, str) else 1)
    if depth > _MAX_DEPTH:
        raise Fault("recursion depth exceeded")
