"""The builtins that change representation: type, string, JSON, Base64. Called by the table. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.evaluation import Budget
from awf_core.lang.expressions.natures import ANY, TEXT
from awf_core.lang.expressions.signatures import BuiltinFunction, takes
from awf_core.lang.expressions.values import (
    AnyMap,
    NilMap,
    as_text,
    is_array,
    time_text,
    type_name,
    value_bounds,
    value_text,
)
from awf_core.lang.go import layouts
from awf_core.lang.go.json import json_float, json_string
from awf_core.lang.go.text import Uint8
from awf_core.lang.go.times import Duration, Time

_string_of = partial(json_string, keeps_bytes=True)
_KINDS = {bool: "bool", Uint8: "uint", float: "float", str: "string"}


def _type(values: Sequence[object], _: Budget) -> object:
    value = values[0]
    if value is None:
        return "nil"
    if type(value) in _KINDS:
        return _KINDS[type(value)]
    if isinstance(value, int):
        return "int"
    if is_array(value):
        return "array"
    return "map" if isinstance(value, dict) else "func" if callable(value) else type_name(value)


def _from_json(values: Sequence[object], budget: Budget) -> object:
    text = as_text(values[0])
    budget.spend(text.count(",") + 1)
    try:
        return json.loads(text, parse_int=_finite, parse_float=_finite, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        reason = "too deeply nested" if isinstance(error, RecursionError) else str(error)
        raise Fault(f"fromJSON: {reason}") from None


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"number {digits} is too large")
    return value


def _refuse(name: str) -> object:
    raise ValueError(f"invalid value {name}")


def _to_base64(values: Sequence[object], _: Budget) -> object:
    return base64.b64encode(as_text(values[0]).encode(errors="surrogateescape")).decode()


def _from_base64(values: Sequence[object], _: Budget) -> object:
    # Line breaks are skipped by the original, anything else outside the alphabet is an error.
    text = as_text(values[0]).replace("\n", "").replace("\r", "")
    try:
        return base64.b64decode(text, validate=True).decode(errors="surrogateescape")
    except (binascii.Error, ValueError):
        raise Fault("fromBase64: illegal base64 data") from None


def _string(values: Sequence[object], _: Budget) -> object:
    return value_text(values[0])


def _to_json(values: Sequence[object], _: Budget) -> object:
    """JSON indented by two spaces, keys sorted. Raises Fault for what JSON can't say."""
    return _json(values[0], "\n", value_bounds(), 0)


def _json(value: object, newline: str, check: Callable[[object, int], None], depth: int) -> str:
    check(value, depth)
    inner = newline + "  "
    if is_array(value):
        return _block("[", [_json(item, inner, check, depth + 1) for item in value], "]", newline)
    if not isinstance(value, Mapping) or isinstance(value, NilMap):
        return _json_scalar(value)
    if isinstance(value, AnyMap) or not all(isinstance(key, str) for key in value):
        raise Fault(f"json: unsupported type: {type_name(value)}")
    pairs = [f"{_string_of(str(key))}: {_json(value[key], inner, check, depth + 1)}" for key in sorted(value, key=str)]
    return _block("{", pairs, "}", newline)


def _json_scalar(value: object) -> str:
    match value:
        case None | NilMap():
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _string_of(value)
        case float():
            return _json_float(value)
        case int():
            return str(int(value))
        case Time():
            return _string_of(time_text(layouts.RFC3339, value))
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


DATA_BUILTINS = (
    BuiltinFunction(name="type", compute=_type, overloads=(takes(ANY, gives=TEXT),)),
    BuiltinFunction(name="string", compute=_string, overloads=(takes(ANY, gives=TEXT),)),
    BuiltinFunction(name="toJSON", compute=_to_json, overloads=(takes(ANY, gives=TEXT),)),
    BuiltinFunction(name="fromJSON", compute=_from_json, overloads=(takes(TEXT, gives=ANY),)),
    BuiltinFunction(name="toBase64", compute=_to_base64, overloads=(takes(TEXT, gives=TEXT),)),
    BuiltinFunction(name="fromBase64", compute=_from_base64, overloads=(takes(TEXT, gives=TEXT),)),
)
