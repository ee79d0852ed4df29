"""Values spelled as Go spells them: names of types, default printing, white space.

Called wherever a text of the workflow language shows a value. Pure; takes the values that YAML and JSON give, and the
few more that Go distinguishes and Python does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from awf_core.lang.go.numbers import INT_MAX, float_text

SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""White space to Go: without the ASCII separators 0x1c to 0x1f, which Python's strip() takes too."""


class Int64(int):
    """An integer whose type is `int64`, not `int`."""

    __slots__ = ()


class Uint8(int):
    """A byte, as indexing a text gives."""

    __slots__ = ()


class StringList(list[Any]):
    """A Go `[]string`, as only `split` makes them; YAML and JSON lists are `[]interface {}`."""

    __slots__ = ()


TYPE_NAMES: dict[type, str] = {
    bool: "bool", int: "int", Int64: "int64", Uint8: "uint8", float: "float64", complex: "complex128", str: "string",
    list: "[]interface {}", tuple: "[]interface {}", StringList: "[]string",
}  # fmt: skip
"""Names of the types that say all by themselves."""


def map_type_name(value: Mapping[object, object]) -> str:
    """The name of a map's type, which is that of its keys."""
    return f"map[{'string' if has_text_keys(value) else 'interface {}'}]interface {{}}"


def has_text_keys(value: Mapping[object, object]) -> bool:
    """Whether all keys of a plain mapping are texts."""
    return all(isinstance(key, str) for key in value)


def type_name(value: object) -> str:
    """The name of the type of a value from YAML or JSON: `string`, `int`, `[]interface {}`, …, `<nil>` for None."""
    if value is None:
        return "<nil>"
    if isinstance(value, Mapping):
        return map_type_name(value)
    if type(value) is int and value > INT_MAX:
        return "uint64"
    return TYPE_NAMES.get(type(value), "string")


def printed(
    value: object,
    *,
    check: Callable[[object, int], None] = lambda _value, _depth: None,
    other: Callable[[object], str] = str,
    depth: int = 0,
) -> str:
    """`value` in default printing: `[a b]`, `map[k:1]` with sorted keys, `<nil>`, `true`.

    `check` is called for every value with its depth and may raise, to bound the work; `depth` is that of `value`.
    `other` prints what neither YAML nor JSON gives.
    """

    def inner(part: object) -> str:
        return printed(part, check=check, other=other, depth=depth + 1)

    check(value, depth)
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return float_text(value)
        case list() | tuple() | range():
            return f"[{' '.join(map(inner, value))}]"
        case Mapping():
            pairs = sorted([(inner(key), item) for key, item in value.items()], key=lambda pair: pair[0])
            return f"map[{' '.join(f'{key}:{inner(item)}' for key, item in pairs)}]"
        case _:
            return other(value)


def trim_space(text: str) -> str:
    """`text` without white space at either end, by Go's idea of white space."""
    return text.strip(SPACES)
