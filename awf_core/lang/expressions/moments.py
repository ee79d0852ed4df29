"""Times and durations as values, with the methods expressions can call on them.

Immutable; made by `now`, `date`, `duration`. Times are kept to the nanosecond. Years run from 1 to 9999; a text without
a date is read in year 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.literals import INT_MAX, INT_MIN

if TYPE_CHECKING:
    from collections.abc import Callable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND, _MINUTE, _HOUR = 10**9, 60 * 10**9, 3600 * 10**9


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A duration in nanoseconds."""

    nanoseconds: int

    @property
    def type_name(self) -> str:
        """Its name in error messages."""
        return "time.Duration"

    def times(self, factor: int | float) -> Span:
        """The duration `factor` times over, cut to nanoseconds."""
        return Span(max(INT_MIN, min(INT_MAX, int(self.nanoseconds * factor))))

    def __str__(self) -> str:
        total = abs(self.nanoseconds)
        sign = "-" if self.nanoseconds < 0 else ""
        if total < _SECOND:
            return sign + _small(total)
        hours, rest = divmod(total, _HOUR)
        minutes, rest = divmod(rest, _MINUTE)
        lead = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
        return f"{sign}{lead}{_fraction(rest, _SECOND)}s"


def _small(nanoseconds: int) -> str:
    for unit, size in (("ms", 10**6), ("µs", 10**3)):
        if nanoseconds >= size:
            return _fraction(nanoseconds, size) + unit
    return f"{nanoseconds}ns" if nanoseconds else "0s"


def _fraction(amount: int, size: int) -> str:
    whole, rest = divmod(amount, size)
    digits = str(rest).zfill(len(str(size)) - 1).rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time; two are equal when they are the same instant, whatever their zones."""

    nanoseconds: int
    zone: tzinfo = UTC

    @property
    def type_name(self) -> str:
        """Its name in error messages."""
        return "time.Time"

    @property
    def local(self) -> datetime:
        """The instant in its zone, cut to microseconds. Raises Fault outside the years 1 to 9999."""
        try:
            return (_EPOCH + timedelta(microseconds=self.nanoseconds // 1000)).astimezone(self.zone)
        except OverflowError:
            raise Fault("the time is outside the years 1 to 9999") from None

    def plus(self, span: Span) -> Moment:
        """The moment `span` later."""
        return Moment(self.nanoseconds + span.nanoseconds, self.zone)

    def since(self, earlier: Moment) -> Span:
        """The duration from `earlier` to this moment."""
        return Span(max(INT_MIN, min(INT_MAX, self.nanoseconds - earlier.nanoseconds)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Moment) and self.nanoseconds == other.nanoseconds

    def __hash__(self) -> int:
        return hash(self.nanoseconds)

    def __lt__(self, other: Moment) -> bool:
        return self.nanoseconds < other.nanoseconds

    def __gt__(self, other: Moment) -> bool:
        return self.nanoseconds > other.nanoseconds

    def __le__(self, other: Moment) -> bool:
        return self.nanoseconds <= other.nanoseconds

    def __ge__(self, other: Moment) -> bool:
        return self.nanoseconds >= other.nanoseconds


def moment_of(when: datetime, extra_nanoseconds: int = 0) -> Moment:
    """The moment of an aware `when`, plus what its microseconds can't hold."""
    delta = when - _EPOCH
    micros = (delta.days * 86400 + delta.seconds) * 10**6 + delta.microseconds
    return Moment(micros * 1000 + extra_nanoseconds, when.tzinfo or UTC)


SPAN_METHODS: dict[str, Callable[[Span], object]] = {
    "Hours": lambda span: span.nanoseconds / _HOUR,
    "Minutes": lambda span: span.nanoseconds / _MINUTE,
    "Seconds": lambda span: span.nanoseconds / _SECOND,
    "Milliseconds": lambda span: int(span.nanoseconds / 10**6),
    "Microseconds": lambda span: int(span.nanoseconds / 10**3),
    "Nanoseconds": lambda span: span.nanoseconds,
    "String": str,
}

MOMENT_METHODS: dict[str, Callable[[Moment], object]] = {
    "Year": lambda moment: moment.local.year,
    "Month": lambda moment: moment.local.month,
    "Day": lambda moment: moment.local.day,
    "Hour": lambda moment: moment.local.hour,
    "Minute": lambda moment: moment.local.minute,
    "Second": lambda moment: moment.local.second,
    "Nanosecond": lambda moment: moment.nanoseconds % _SECOND,
    "YearDay": lambda moment: moment.local.timetuple().tm_yday,
    "Weekday": lambda moment: moment.local.isoweekday() % 7,
    "Unix": lambda moment: moment.nanoseconds // _SECOND,
    "UnixMilli": lambda moment: moment.nanoseconds // 10**6,
    "UnixMicro": lambda moment: moment.nanoseconds // 10**3,
    "UnixNano": lambda moment: moment.nanoseconds,
    "UTC": lambda moment: Moment(moment.nanoseconds, UTC),
    "IsZero": lambda moment: moment.nanoseconds == -62135596800 * _SECOND,
}

MOMENT_METHODS_1: dict[str, tuple[type, Callable[[Moment, object], object]]] = {
    "Before": (Moment, lambda moment, other: moment < other),  # type: ignore[operator]
    "After": (Moment, lambda moment, other: moment > other),  # type: ignore[operator]
    "Equal": (Moment, lambda moment, other: moment == other),
    "Sub": (Moment, lambda moment, other: moment.since(other)),  # type: ignore[arg-type]
    "Add": (Span, lambda moment, other: moment.plus(other)),  # type: ignore[arg-type]
}
