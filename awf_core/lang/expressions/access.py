"""Reading a part of a value: a key of a map, an element of an array, a slice, a method. Pure.

Called by the emitter and by the builtins `get`, `first`, `last`. Texts are indexed and sliced by bytes of UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.moments import MOMENT_METHODS, MOMENT_METHODS_1, SPAN_METHODS, Moment, Span
from awf_core.lang.expressions.render import value_text
from awf_core.lang.expressions.time_layouts import write
from awf_core.lang.expressions.values import (
    AnyMap,
    Byte,
    TextArray,
    as_text,
    asserted,
    is_array,
    to_int,
    type_name,
)


def fetch(base: object, key: object) -> object:
    """`base[key]`; a missing key of a map is None. Raises Fault when there is nothing to read, or out of range."""
    if isinstance(base, Mapping):
        return base.get(map_key(base, key))
    if is_array(base):
        return base[_position(base, key)]
    if isinstance(base, str):
        content = base.encode(errors="surrogateescape")
        return Byte(content[_position(content, key)])
    method = _method(base, key)
    if method is None:
        raise Fault(f"cannot fetch {value_text(key)} from {type_name(base)}")
    return method


def fetch_or_nil(base: object, key: object) -> object:
    """Like `fetch`, but None where that finds nothing. Raises Fault for a key of the wrong type."""
    if is_array(base) or isinstance(base, str):
        position = to_int(key)
        length = len(base) if is_array(base) else len(str(base).encode(errors="surrogateescape"))
        return fetch(base, position) if -length <= position < length else None
    return fetch(base, key) if isinstance(base, Mapping) else _method(base, key)


def map_key(base: Mapping[object, object], key: object) -> object:
    """The key to look up in `base`. Raises Fault when maps of its type can't have such a key."""
    if isinstance(key, str):
        return key
    if isinstance(base, AnyMap):
        return hashable(key)
    if key is None:
        return ""
    raise Fault(f"reflect.Value.MapIndex: value of type {type_name(key)} is not assignable to type string")


def hashable(key: object) -> object:
    """`key`, which has to be usable as the key of a map of anything. Raises Fault otherwise."""
    if is_array(key) or isinstance(key, Mapping):
        raise Fault(f"runtime error: hash of unhashable type {type_name(key)}")
    return key


def _position(items: Sequence[object], key: object) -> int:
    index, length = to_int(key), len(items)
    position = index + length if index < 0 else index
    if 0 <= position < length:
        return position
    raise Fault(f"index out of range: {position} (array length is {length})")


def slice_of(base: object, start: object, stop: object) -> object:
    """`base[start:stop]` of an array or a text; bounds beyond the ends are cut. None = the ends themselves."""
    if isinstance(base, str):
        content = base.encode(errors="surrogateescape")
        first, last = _bounds(len(content), start, stop)
        return content[first:last].decode(errors="surrogateescape")
    if is_array(base):
        first, last = _bounds(len(base), start, stop)
        part = base[first:last]
        return TextArray(part) if isinstance(base, TextArray) else part
    if stop is None and not isinstance(base, Mapping):
        raise Fault(f"invalid argument for len (type {type_name(base)})")
    raise Fault(f"cannot slice {value_text(0 if start is None else start)}")


def _bounds(length: int, start: object, stop: object) -> tuple[int, int]:
    first = 0 if start is None else to_int(start)
    last = length if stop is None else to_int(stop)
    first = max(first + length, 0) if first < 0 else first
    last = max(last + length, 0) if last < 0 else min(last, length)
    return min(first, last), last


def _method(base: object, key: object) -> Callable[[Sequence[object]], object] | None:
    if not isinstance(key, str):
        return None
    if isinstance(base, Span) and key in SPAN_METHODS:
        of_span = SPAN_METHODS[key]
        return lambda arguments: of_span(base) if not arguments else _too_many(key)
    if isinstance(base, Moment):
        return _moment_method(base, key)
    return None


def _moment_method(moment: Moment, name: str) -> Callable[[Sequence[object]], object] | None:
    if name in MOMENT_METHODS:
        return lambda arguments: MOMENT_METHODS[name](moment) if not arguments else _too_many(name)
    if name in MOMENT_METHODS_1:
        wanted, compute = MOMENT_METHODS_1[name]
        return lambda arguments: compute(moment, _argument(name, arguments, wanted))
    if name == "Format":
        return lambda arguments: write(as_text(_argument(name, arguments, str)), moment)
    return None


def _argument(name: str, arguments: Sequence[object], wanted: type) -> object:
    if len(arguments) != 1:
        raise Fault(f"{'not enough' if not arguments else 'too many'} arguments to call {name}")
    if not isinstance(arguments[0], wanted):
        raise asserted(arguments[0], {Moment: "time.Time", Span: "time.Duration"}.get(wanted, "string"))
    return arguments[0]


def _too_many(name: str) -> object:
    raise Fault(f"too many arguments to call {name}")
