"""Go's time.Time as templates reach it, through `.workflow.StartedAt`: printing, `Format`, plain getters. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from awf_core.lang.go import layouts
from awf_core.lang.go.text import Int64
from awf_core.lang.go.times import TIME_READERS, Time
from awf_core.lang.templates.values import Kind, Method, Opaque, register_kind

_RFC3339 = re.compile(
    r"(?P<base>\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,9})\d*)?(?P<zone>[Zz]|[+-]\d\d:\d\d)?",
    re.ASCII,
)


class _Named(Opaque, int):
    __slots__ = ()
    names: tuple[str, ...] = ()

    def go_string(self) -> str:
        """The name Go prints for the number."""
        return self.names[self]


class Month(_Named):
    """A month from 1 to 12."""

    __slots__ = ()
    type_name = "time.Month"
    names = ("", *layouts.MONTHS)


class Weekday(_Named):
    """A day of the week, Sunday is 0."""

    __slots__ = ()
    type_name = "time.Weekday"
    names = layouts.DAYS


@dataclass(frozen=True, slots=True, eq=False)
class Timestamp(Opaque):
    """A time as a value of a template."""

    type_name = "time.Time"
    hidden_fields = ("wall", "ext", "loc")
    time: Time

    def go_string(self) -> str:
        """The time as Go prints it."""
        return self.format(layouts.STRING)

    def format(self, layout: str) -> str:
        """The time by a Go layout, a sample of how `Mon Jan 2 15:04:05 MST 2006` is to be written."""
        return layouts.write(layout, self.time)

    def utc(self) -> Timestamp:
        """The same time in UTC; the zero time where that is outside the years 1 to 9999."""
        time = Time(self.time.nanoseconds)
        return Timestamp(time) if time.has_date else ZERO_TIME


ZERO_TIME: Final = Timestamp(Time())
register_kind(Timestamp, Kind.STRUCT)
register_kind(Month, Kind.INT)
register_kind(Weekday, Kind.INT)

_TYPES: dict[str, Callable[[int], object]] = {
    "Month": Month,
    "Weekday": Weekday,
    **dict.fromkeys(("Unix", "UnixMilli", "UnixMicro", "UnixNano"), Int64),
}
"""What the getters of other types than `int` give."""


def _getter(name: str, read: Callable[[Time], int]) -> Method:
    typed = _TYPES.get(name)
    if typed is None:
        return Method(call=lambda timestamp: read(timestamp.time))
    return Method(call=lambda timestamp: typed(read(timestamp.time)))


Timestamp.methods = {
    "Format": Method(call=Timestamp.format, params=("string",)),
    "String": Method(call=Timestamp.go_string),
    "UTC": Method(call=Timestamp.utc),
    **{name: _getter(name, read) for name, read in TIME_READERS.items()},
}
_Named.methods = {"String": Method(call=_Named.go_string)}


def read_timestamp(value: object) -> Timestamp:
    """The time of an RFC 3339 text or a datetime; the zero time where it is neither."""
    if isinstance(value, datetime):
        value = value.isoformat()
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return ZERO_TIME
    try:
        zone = layouts.offset_zone(match["zone"] or "Z")
    except ValueError:
        return ZERO_TIME
    text = f"{match['base'].upper().replace(' ', 'T')}.{match['fraction'] or 0}"
    time = layouts.read("2006-01-02T15:04:05", text, zone)
    return ZERO_TIME if time is None else Timestamp(time)
