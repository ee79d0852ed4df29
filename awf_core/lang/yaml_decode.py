"""YAML nodes read as the type of a field: text, integer, flag, or the type that the value itself has.

Called by `fields.py` and by readers of untyped YAML. It follows the original tool's library, oddities included:
a float in an integer field is cut, and `yes` is a flag in a flag field only. Pure.

`re_encoded` marks values inside a state: the original decodes each state, encodes it and decodes it again, so that an
unquoted `1.0` reaches a text field as `1` and a date in normal form.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

from awf_core.lang.go.numbers import float_text
from awf_core.lang.go.quoting import quoted
from awf_core.yaml.nodes import Node, YamlError, pairs, read_nodes
from awf_core.yaml.scalars import Timestamp, resolve, timestamp

MAX_BYTES = 4 * 1024 * 1024
MAX_SHOWN = 20
"""Duplicate keys named in one error."""

_TRUE_WORDS = frozenset({"y", "Y", "yes", "Yes", "YES", "on", "On", "ON"})
_FALSE_WORDS = frozenset({"n", "N", "no", "No", "NO", "off", "Off", "OFF"})
_INT64_MIN = -(1 << 63)
_INT64_LIMIT = 1 << 63
_SHOWN_BYTES = 10


class WrongShape(YamlError):
    """A value that can't be read as what the field wants."""

    def __init__(self, node: Node, wanted: str) -> None:
        super().__init__(
            f"unmarshal errors:\n  line {node.line}: cannot unmarshal {_shown(node)} into {wanted}", line=node.line
        )


def read_yaml(data: bytes) -> Node | None:
    """The root node of the first document in `data`, None when there is none. Raises YamlError."""
    if len(data) > MAX_BYTES:
        raise YamlError(f"file of {len(data)} bytes is larger than the {MAX_BYTES} bytes allowed")
    root, duplicates = read_nodes(data)
    if duplicates:
        lines = (
            f"\n  line {one.line}: mapping key {quoted(one.key)} already defined at line {one.first_line}"
            for one in duplicates[:MAX_SHOWN]
        )
        raise YamlError(f"unmarshal errors:{''.join(lines)}", line=duplicates[0].line)
    return root


def scalar_value(node: Node) -> object:
    """The value of a scalar by its tag, or by its spelling when plain. Raises YamlError for a tag that doesn't fit."""
    if node.tag == "!!str" or (not node.tag and not node.plain):
        return node.value
    if node.tag == "!!binary":
        return _binary(node)
    value = timestamp(node.value) if node.tag == "!!timestamp" else resolve(node.value)
    if node.tag == "!!float" and type(value) is int:
        return float(value)
    found = _tag_of(value)
    if node.tag in ("", found):
        return value
    raise YamlError(f"cannot decode {found} `{node.value}` as a {node.tag}", line=node.line)


def _binary(node: Node) -> str:
    try:
        return base64.b64decode(node.value, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        raise YamlError("!!binary value contains invalid base64 data", line=node.line) from None


def _tag_of(value: object) -> str:
    match value:
        case None:
            return "!!null"
        case bool():
            return "!!bool"
        case int():
            return "!!int"
        case float():
            return "!!float"
        case Timestamp():
            return "!!timestamp"
        case _:
            return "!!str"


def is_null(node: Node) -> bool:
    """Whether `node` is null: empty, `~` or `null`."""
    return node.kind == "scalar" and scalar_value(node) is None


def as_text(node: Node, *, re_encoded: bool) -> str:
    """The text of a scalar, empty for null. Raises WrongShape for lists and mappings."""
    if node.kind != "scalar":
        raise WrongShape(node, "string")
    value = scalar_value(node)
    if value is None:
        return ""
    if node.tag == "!!binary":
        return str(value)
    return _encoded(value) if re_encoded else node.value


def _encoded(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float() if math.isnan(value):
            return ".nan"
        case float() if math.isinf(value):
            return ".inf" if value > 0 else "-.inf"
        case float():
            return float_text(value)
        case Timestamp():
            return value.rfc3339
        case _:
            return str(value)


def as_integer(node: Node) -> int | None:
    """A whole number of 64 bits, floats cut toward zero; None for null. Raises WrongShape."""
    match scalar_value(node) if node.kind == "scalar" else node:
        case None:
            return None
        case bool():
            pass
        case int() as number if number < _INT64_LIMIT:
            return number
        # The original converts through the machine, where everything below the range comes out as the smallest.
        case float() as number if number <= _INT64_LIMIT:
            return int(number) if _INT64_MIN < number < _INT64_LIMIT else _INT64_MIN
    raise WrongShape(node, "int")


def as_number(node: Node) -> float | None:
    """An integer or float as float; None for null. Raises WrongShape."""
    match scalar_value(node) if node.kind == "scalar" else node:
        case None:
            return None
        case bool():
            pass
        case int() | float() as number:
            return float(number)
    raise WrongShape(node, "float64")


def as_flag(node: Node) -> bool:
    """A boolean, the words yes/no/on/off/y/n among them; False for null. Raises WrongShape."""
    match scalar_value(node) if node.kind == "scalar" else node:
        case None:
            return False
        case bool() as flag:
            return flag
        case str() as word if word in _TRUE_WORDS:
            return True
        case str() as word if word in _FALSE_WORDS:
            return False
    raise WrongShape(node, "bool")


def as_any(node: Node, *, re_encoded: bool) -> Any:
    """The value as it stands: None, bool, int, float, text, list or dict. Every call makes new containers."""
    if node.kind == "seq":
        return [as_any(child, re_encoded=re_encoded) for child in node.children]
    if node.kind == "map":
        return {_key(key): as_any(value, re_encoded=re_encoded) for key, value in pairs(node)}
    value = scalar_value(node)
    if re_encoded and isinstance(value, float) and math.isfinite(value):
        return resolve(float_text(value))
    return value


def _key(node: Node) -> object:
    if node.kind != "scalar":
        raise YamlError("invalid map key: a list or a mapping", line=node.line)
    return scalar_value(node)


def _shown(node: Node) -> str:
    if node.kind != "scalar":
        return node.tag or f"!!{node.kind}"
    tag = node.tag or _tag_of(scalar_value(node))
    raw = node.value.encode()
    text = raw[: _SHOWN_BYTES - 3].decode("utf-8", "ignore") + "..." if len(raw) > _SHOWN_BYTES else node.value
    return f"{tag} `{text}`"
