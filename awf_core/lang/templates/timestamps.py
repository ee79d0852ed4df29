"""Go's time.Time as far as templates can reach it: printing, `Format` and the plain getters.

Called through `.workflow.StartedAt`. Pure; it never asks what time it is.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

from awf_core.lang.templates.values import INT, STRUCT, Int64, Method, Opaque, register_kind

if TYPE_CHECKING:
    from collections.abc import Callable

_RFC3339 = re.compile(
    r"(?P<base>\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,9})\d*)?(?P<zone>[Zz]|[+-]\d\d:\d\d)?",
    re.ASCII,
)
_LAYOUT = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|002|0[1-6]|15|1|2006|2|__2|_2(?!006)|3|4|5|PM|pm"
    r"|[-Z]07(?:0000|:00:00|00|:00)?|[.,](?:0+|9+)(?!\d)"
)
_YEAR_ONE: Final = datetime(1, 1, 1, tzinfo=UTC)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
STRING_LAYOUT = "2006-01-02 15:04:05.999999999 -0700 MST"


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
    names = ("", *(datetime(2000, month, 1, tzinfo=UTC).strftime("%B") for month in range(1, 13)))


class Weekday(_Named):
    """A day of the week, Sunday is 0."""

    __slots__ = ()
    type_name = "time.Weekday"
    names = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


class Timestamp(Opaque):
    """A moment with nanoseconds and a zone."""

    __slots__ = ("nanosecond", "second")
    type_name = "time.Time"
    hidden_fields = ("wall", "ext", "loc")

    def __init__(self, second: datetime, nanosecond: int) -> None:
        self.second = second
        self.nanosecond = nanosecond

    def go_string(self) -> str:
        """The moment as Go prints it."""
        return self.format(STRING_LAYOUT)

    def format(self, layout: str) -> str:
        """The moment by a Go layout, which is how `Mon Jan 2 15:04:05 MST 2006` would look."""
        return _LAYOUT.sub(lambda match: self._chunk(match[0]), layout)

    def rfc3339(self) -> str:
        """The moment as JSON holds it."""
        return self.format("2006-01-02T15:04:05.999999999Z07:00")

    def epoch_ns(self) -> int:
        """Nanoseconds since 1970."""
        return (self.second - _EPOCH) // timedelta(seconds=1) * 10**9 + self.nanosecond

    def utc(self) -> Timestamp:
        """The same moment in UTC."""
        try:
            return Timestamp(self.second.astimezone(UTC), self.nanosecond)
        except OverflowError:  # the zero time of a zone east of Greenwich lies before the year 1
            return ZERO_TIME

    def weekday(self) -> Weekday:
        """The day of the week."""
        return Weekday(self.second.isoweekday() % 7)

    def _chunk(self, chunk: str) -> str:
        if chunk[0] in ".,":
            return self._fraction(chunk)
        if chunk[1:3] == "07":
            return _zone(self.second, chunk)
        return _CHUNKS[chunk](self)

    def _fraction(self, chunk: str) -> str:
        digits = f"{self.nanosecond:09d}"[: len(chunk) - 1].ljust(len(chunk) - 1, "0")
        if chunk[1] == "9":
            digits = digits.rstrip("0")
        return chunk[0] + digits if digits else ""


def _zone(moment: datetime, chunk: str) -> str:
    offset_s = int((moment.utcoffset() or timedelta()).total_seconds())
    if chunk[0] == "Z" and offset_s == 0:
        return "Z"
    sign, offset_s = "-" if offset_s < 0 else "+", abs(offset_s)
    parts = [f"{offset_s // 3600:02d}", f"{offset_s // 60 % 60:02d}", f"{offset_s % 60:02d}"]
    wanted = {3: 1, 5: 2, 6: 2, 7: 3, 9: 3}[len(chunk)]
    return sign + (":" if ":" in chunk else "").join(parts[:wanted])


def _zone_name(moment: Timestamp) -> str:
    return _zone(moment.second, "-0700") if moment.second.utcoffset() else "UTC"


def _month(moment: Timestamp) -> str:
    return Month(moment.second.month).go_string()


_CHUNKS: Final[dict[str, Callable[[Timestamp], str]]] = {
    "January": _month,
    "Jan": lambda t: _month(t)[:3],
    "Monday": lambda t: t.weekday().go_string(),
    "Mon": lambda t: t.weekday().go_string()[:3],
    "MST": _zone_name,
    "002": lambda t: f"{t.second.timetuple().tm_yday:03d}",
    "__2": lambda t: f"{t.second.timetuple().tm_yday:3d}",
    "01": lambda t: f"{t.second.month:02d}",
    "1": lambda t: str(t.second.month),
    "02": lambda t: f"{t.second.day:02d}",
    "_2": lambda t: f"{t.second.day:2d}",
    "2": lambda t: str(t.second.day),
    "15": lambda t: f"{t.second.hour:02d}",
    "03": lambda t: f"{t.second.hour % 12 or 12:02d}",
    "3": lambda t: str(t.second.hour % 12 or 12),
    "04": lambda t: f"{t.second.minute:02d}",
    "4": lambda t: str(t.second.minute),
    "05": lambda t: f"{t.second.second:02d}",
    "5": lambda t: str(t.second.second),
    "06": lambda t: f"{t.second.year % 100:02d}",
    "2006": lambda t: f"{t.second.year:04d}",
    "PM": lambda t: "PM" if t.second.hour >= 12 else "AM",
    "pm": lambda t: "pm" if t.second.hour >= 12 else "am",
}

Timestamp.methods = {
    "Format": Method(call=Timestamp.format, params=("string",)),
    "String": Method(call=Timestamp.go_string),
    "Year": Method(call=lambda t: t.second.year),
    "Month": Method(call=lambda t: Month(t.second.month)),
    "Day": Method(call=lambda t: t.second.day),
    "Hour": Method(call=lambda t: t.second.hour),
    "Minute": Method(call=lambda t: t.second.minute),
    "Second": Method(call=lambda t: t.second.second),
    "Nanosecond": Method(call=lambda t: t.nanosecond),
    "Weekday": Method(call=Timestamp.weekday),
    "YearDay": Method(call=lambda t: t.second.timetuple().tm_yday),
    "Unix": Method(call=lambda t: Int64(t.epoch_ns() // 10**9)),
    "UnixMilli": Method(call=lambda t: Int64(t.epoch_ns() // 10**6)),
    "UnixMicro": Method(call=lambda t: Int64(t.epoch_ns() // 10**3)),
    "UnixNano": Method(call=lambda t: Int64(t.epoch_ns())),
    "UTC": Method(call=Timestamp.utc),
    "IsZero": Method(call=lambda t: t.second == _YEAR_ONE and not t.nanosecond),
}
_Named.methods = {"String": Method(call=_Named.go_string)}

ZERO_TIME: Final = Timestamp(_YEAR_ONE, 0)
register_kind(Timestamp, STRUCT)
register_kind(Month, INT)
register_kind(Weekday, INT)


def read_timestamp(value: object) -> Timestamp:
    """The moment of an RFC 3339 text or a datetime; the zero time where it is neither."""
    if isinstance(value, datetime):
        value = value.isoformat()
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return ZERO_TIME
    try:
        base = datetime.strptime(match["base"].upper().replace(" ", "T"), "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007
        moment = base.replace(tzinfo=_read_zone(match["zone"]))
    except ValueError:
        return ZERO_TIME
    return Timestamp(moment, int((match["fraction"] or "0").ljust(9, "0")))


def _read_zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return timezone(-offset if text[0] == "-" else offset)
