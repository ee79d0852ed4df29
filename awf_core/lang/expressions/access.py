"""Reading a part of a value: a key of a map, an element of an array, a slice, a method. Pure.

Called by the emitter and by the builtins `get`, `first`, `last`. Texts are indexed and sliced by bytes of UTF-8.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.values import (
    OUTSIDE_CALENDAR,
    AnyMap,
    asserted,
    is_array,
    time_text,
    to_int,
    type_name,
    value_text,
)
from awf_core.lang.go.text import StringList, Uint8
from awf_core.lang.go.times import DURATION_READERS, TIME_READERS, Duration, Time


def fetch(base: object, key: object) -> object:
    """`base[key]`; a missing key of a map is None. Raises Fault when there is nothing to read, or out of range."""
    if isinstance(base, Mapping):
        return base.get(map_key(base, key))
    if is_array(base):
        return base[_position(base, key)]
    if isinstance(base, str):
        content = base.encode(errors="surrogateescape")
        return Uint8(content[_position(content, key)])
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
        return StringList(part) if isinstance(base, StringList) else part
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
    if isinstance(base, Duration) and key in DURATION_READERS:
        of_duration = DURATION_READERS[key]
        return lambda arguments: of_duration(base) if not arguments else _too_many(key)
    return _time_method(base, key) if isinstance(base, Time) else None


def _time_method(time: Time, name: str) -> Callable[[Sequence[object]], object] | None:
    if name in _TIME_READERS:
        return lambda arguments: _read(time, name) if not arguments else _too_many(name)
    if name in _TIME_METHODS:
        wanted, compute = _TIME_METHODS[name]
        return lambda arguments: compute(time, _argument(name, arguments, wanted))
    return None


_TIME_READERS: Mapping[str, Callable[[Time], object]] = {
    **TIME_READERS,
    "UTC": lambda time: Time(time.nanoseconds),
}
_TIME_METHODS: Mapping[str, tuple[type, Callable[[Time, Any], object]]] = {
    "Before": (Time, operator.lt),
    "After": (Time, operator.gt),
    "Equal": (Time, operator.eq),
    "Sub": (Time, Time.since),
    "Add": (Duration, Time.plus),
    "Format": (str, lambda time, layout: time_text(layout, time)),
}


def _read(time: Time, name: str) -> object:
    try:
        return _TIME_READERS[name](time)
    except OverflowError:
        raise Fault(OUTSIDE_CALENDAR) from None


def _argument(name: str, arguments: Sequence[object], wanted: type) -> object:
    if len(arguments) != 1:
        raise Fault(f"{'not enough' if not arguments else 'too many'} arguments to call {name}")
    if not isinstance(arguments[0], wanted):
        raise asserted(arguments[0], {Time: "time.Time", Duration: "time.Duration"}.get(wanted, "string"))
    return arguments[0]


def _too_many(name: str) -> object:
    raise Fault(f"too many arguments to call {name}")
