"""Values to text: as `string()` writes them, and as JSON. Called by builtins and error texts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.evaluation import MAX_WALK, Budget
from awf_core.lang.expressions.values import AnyMap, NilMap, is_array, time_text, type_name
from awf_core.lang.go import layouts
from awf_core.lang.go.json import json_float, json_string
from awf_core.lang.go.text import printed
from awf_core.lang.go.times import Duration, Time

_MAX_DEPTH = 200
_string = partial(json_string, keeps_bytes=True)


def value_text(value: object) -> str:
    """`value` as `string()` gives it: `[a b]`, `map[k:v]`, `<nil>`, floats in their shortest form."""
    return printed(value, check=_bounds(), other=_other)


def _other(value: object) -> str:
    return time_text(layouts.STRING, value) if isinstance(value, Time) else str(value)


def json_text(value: object) -> str:
    """`value` as JSON, indented by two spaces, keys sorted. Raises Fault for what JSON can't say."""
    return _json(value, "\n", _bounds(), 0)


def _bounds() -> Callable[[object, int], None]:
    budget = Budget(MAX_WALK)

    def check(value: object, depth: int) -> None:
        # A text counts by its length: many references to one long text would add up to more than memory holds.
        budget.spend(1 + len(value) // 64 if isinstance(value, str) else 1)
        if depth > _MAX_DEPTH:
            raise Fault("recursion depth exceeded")

    return check


def _json(value: object, newline: str, check: Callable[[object, int], None], depth: int) -> str:
    check(value, depth)
    inner = newline + "  "
    if is_array(value):
        return _block("[", [_json(item, inner, check, depth + 1) for item in value], "]", newline)
    if not isinstance(value, Mapping) or isinstance(value, NilMap):
        return _json_scalar(value)
    if isinstance(value, AnyMap) or not all(isinstance(key, str) for key in value):
        raise Fault(f"json: unsupported type: {type_name(value)}")
    pairs = [f"{_string(str(key))}: {_json(value[key], inner, check, depth + 1)}" for key in sorted(value, key=str)]
    return _block("{", pairs, "}", newline)


def _json_scalar(value: object) -> str:
    match value:
        case None | NilMap():
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case float():
            return _json_float(value)
        case int():
            return str(int(value))
        case Time():
            return _string(time_text(layouts.RFC3339, value))
        case Duration():
            return str(value.nanoseconds)
        case _:
            raise Fault(f"json: unsupported type: {type_name(value)}")


def _json_float(value: float) -> str:
    try:
        return json_float(value)
    except ValueError as error:
        raise Fault(str(error)) from None


def _block(opening: str, parts: list[str], closing: str, newline: str) -> str:
    if not parts:
        return opening + closing
    inner = newline + "  "
    return opening + inner + f",{inner}".join(parts) + newline + closing
