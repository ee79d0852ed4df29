"""The Go view of values: which kind a value is, what its type is called, whether it counts as true.

Called all over this package. Plain Python values stand for Go's (`dict` is `map[string]interface {}`, `None` a nil
interface); classes here stand for what Python has no plain value for. It never changes a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from awf_core.lang.go.text import TYPE_NAMES, Int64, StringList, Uint8, has_text_keys, map_type_name

Value: TypeAlias = Any
"""A value of a template: whatever a scope holds, or one of the classes below."""


class Kind:
    """Go's kinds of types, as far as templates distinguish them."""

    NIL, BOOL, INT, UINT, FLOAT, COMPLEX, STRING, SLICE, MAP, STRUCT, POINTER, OTHER = range(12)


class _Mark:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"


Wanted = Literal["any", "value", "string", "strings"]
"""Types of parameters: `interface {}`, Go's `reflect.Value` (which has no value beside nil), `string`, `[]string`."""

INVALID: Final = _Mark("no value")
"""Go's zero reflect.Value: what is left of a nil that was read from. Prints as `<no value>`."""
MISSING: Final = _Mark("missing")
"""No value at all: a pipeline's first command has no previous one; a map has no such key."""


@dataclass(slots=True, eq=False)
class MapView:
    """A Go map whose elements have a type of their own. Never changed once made.

    `zero` is what `index` gives for a key that is not there; `wrap` makes an element of what `data` holds.
    """

    # Not frozen, nor are Struct and Pointer: one is made for every access, and a frozen one takes thrice as long.
    data: Mapping[Any, Any]
    type_name: str
    zero: Value = None
    wrap: Callable[[Any], Value] | None = None
    is_nil: bool = field(default=False, kw_only=True)

    def get(self, key: Value) -> Value:
        """The element at `key`, or MISSING."""
        try:
            value = self.data.get(key, MISSING)
        except ValueError:  # os.environ looks up no name that can't be one
            return MISSING
        return value if self.wrap is None or value is MISSING else self.wrap(value)


NIL_MAP: Final = MapView({}, "map[string]interface {}", is_nil=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method of a Go type: kinds of its parameters, and what it does with the receiver and them."""

    call: Callable[..., Value]
    params: tuple[Wanted, ...] = ()


NO_METHODS: Final[Mapping[str, Method]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a struct; `zero` stands where the data has nothing, `wrap` makes the value of what it has.

    `wraps_nil`: there is no zero, nothing is wrapped too.
    """

    zero: Value = None
    wrap: Callable[[Any], Value] | None = None
    wraps_nil: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StructType:
    """A struct type of the original tool: fields by name, in order. `is_comparable`: whether `eq` accepts it."""

    name: str
    fields: Mapping[str, Field]
    methods: Mapping[str, Method] = field(default_factory=dict)
    is_comparable: bool = True


@dataclass(slots=True, eq=False)
class Struct:
    """A value of a struct type, over the mapping that holds its data. Never changed once made."""

    type: StructType
    data: Mapping[str, Any]

    def get(self, name: str) -> Value:
        """The value of one of the type's fields."""
        known = self.type.fields[name]
        value = self.data.get(name)
        if value is None and not known.wraps_nil:
            return known.zero
        return value if known.wrap is None else known.wrap(value)


@dataclass(slots=True, eq=False)
class Pointer:
    """A pointer to a struct; `target=None` is the nil pointer of that type. Never changed once made."""

    type: StructType
    target: Struct | None


class Opaque:
    """Base of the values that print as a text of their own (Go's Stringers). Subclasses set the class variables."""

    __slots__ = ()
    type_name: str = ""
    methods: Mapping[str, Method] = NO_METHODS
    hidden_fields: tuple[str, ...] = ()

    def go_string(self) -> str:
        """What `String()` returns."""
        raise NotImplementedError

    def hidden_values(self) -> tuple[Value, ...]:
        """The values of `hidden_fields`, which only `printf` of unfitting verbs ever shows."""
        return ()


_KINDS: Final[dict[type, int]] = {
    **dict.fromkeys((type(None), _Mark), Kind.NIL),
    **dict.fromkeys((int, Int64), Kind.INT),
    **dict.fromkeys((list, tuple, StringList), Kind.SLICE),
    **dict.fromkeys((dict, MapView), Kind.MAP),
    bool: Kind.BOOL,
    Uint8: Kind.UINT,
    float: Kind.FLOAT,
    complex: Kind.COMPLEX,
    str: Kind.STRING,
    Struct: Kind.STRUCT,
    Pointer: Kind.POINTER,
}
_FAMILIES: Final[tuple[tuple[type, int, str], ...]] = (
    (bool, Kind.BOOL, "bool"),
    (int, Kind.INT, "int"),
    (float, Kind.FLOAT, "float64"),
    (str, Kind.STRING, "string"),
    (Mapping, Kind.MAP, ""),
    (Opaque, Kind.STRUCT, ""),
)
"""Kinds and names of subclasses that are not known themselves."""


def kind_of(value: Value) -> int:
    """The kind of `value`, one of the constants above."""
    known = _KINDS.get(type(value))
    return known if known is not None else _kind_of_other(value)


def register_kind(kind: type, number: int) -> None:
    """Make `kind`, a class of this package, known as of that kind."""
    _KINDS[kind] = number


def _kind_of_other(value: Value) -> int:
    for family, kind, _ in _FAMILIES:
        if isinstance(value, family):
            return kind
    return Kind.SLICE if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)) else Kind.OTHER


def type_name(value: Value) -> str:
    """Go's name of the type of `value`."""
    known = TYPE_NAMES.get(type(value))
    if known is not None:
        return known
    if isinstance(value, (MapView, Opaque)):
        return value.type_name
    if isinstance(value, Struct):
        return value.type.name
    if isinstance(value, Pointer):
        return "*" + value.type.name
    if isinstance(value, Mapping):
        return map_type_name(value)
    return _NAMES_BY_KIND.get(kind_of(value)) or type(value).__name__


_NAMES_BY_KIND: Final = {kind: name for _, kind, name in _FAMILIES} | {
    Kind.NIL: "interface {}",
    Kind.SLICE: "[]interface {}",
}


def is_true(value: Value) -> bool:
    """Go's truth: not nil, zero or empty. Structs are always true."""
    kind = kind_of(value)
    if kind in (Kind.STRUCT, Kind.OTHER):
        return True
    if kind == Kind.POINTER:
        return value.target is not None
    if kind == Kind.NIL:
        return False
    return bool(length_of(value)) if kind in (Kind.MAP, Kind.SLICE) else bool(value)


def length_of(value: Value) -> int:
    """The number of elements of a map or list."""
    return len(value.data) if type(value) is MapView else len(value)


def map_get(value: Value, key: Value) -> Value:
    """The element of a map at `key`, or MISSING."""
    try:
        return value.get(key, MISSING) if type(value) is dict else _map_get(value, key)
    except TypeError:  # a key that can't be hashed is in no map
        return MISSING


def _map_get(value: Value, key: Value) -> Value:
    return value.get(key, MISSING) if isinstance(value, Mapping) else value.get(key)


def map_items(value: Value) -> Iterator[tuple[Value, Value]]:
    """Keys and elements of a map in Go's order."""
    data = value.data if type(value) is MapView else value
    keys = sorted(data) if has_text_keys(data) else sorted(data, key=_key_order)
    return ((key, map_get(value, key)) for key in keys)


def _key_order(key: Value) -> tuple[int, bool, float, str]:
    kind = kind_of(key)
    number = float(key) if kind in (Kind.BOOL, Kind.FLOAT) else 0.0
    if kind == Kind.INT:
        number = float(max(min(key, 2**63), -(2**63)))
    return kind, number != number, number if number == number else 0.0, str(key)
