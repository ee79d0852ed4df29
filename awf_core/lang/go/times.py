"""Go's `time.Time` and `time.Duration` as values.

Templates reach a time through `.workflow.StartedAt`, expressions through `now`, `date` and `duration`. Times are kept
to the nanosecond, in the years 1 to 9999. Pure: nothing here reads the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import total_ordering

from awf_core.lang.go.durations import HOUR_NS, MINUTE_NS, SECOND_NS, duration_text
from awf_core.lang.go.numbers import INT_MAX, INT_MIN

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the zone is added to what is computed from it
_ZERO_NS = -62_135_596_800 * SECOND_NS
"""The first moment of the year 1, which is what Go holds in a time that was never set."""


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A duration in nanoseconds."""

    nanoseconds: int

    @property
    def type_name(self) -> str:
        """Its name in error messages."""
        return "time.Duration"

    def times(self, factor: int | float) -> Duration:
        """The duration `factor` times over, cut to nanoseconds."""
        return _clamped(int(self.nanoseconds * factor))

    def __str__(self) -> str:
        return duration_text(self.nanoseconds)


def _clamped(nanoseconds: int) -> Duration:
    return Duration(max(INT_MIN, min(INT_MAX, nanoseconds)))


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Time:
    """A point in time, in nanoseconds since 1970. Equal times are one instant, whatever their zones."""

    nanoseconds: int = _ZERO_NS
    zone: tzinfo = UTC

    @property
    def type_name(self) -> str:
        """Its name in error messages."""
        return "time.Time"

    @property
    def local(self) -> datetime:
        """The instant in its zone, cut to microseconds. Raises OverflowError outside the years 1 to 9999."""
        since_epoch = timedelta(microseconds=self.nanoseconds // 1000)
        if isinstance(self.zone, timezone):
            # Not by way of UTC, where the first hours of the year 1 in the east lie before the year 1.
            return (_EPOCH + (since_epoch + self.zone.utcoffset(None))).replace(tzinfo=self.zone)
        return (_EPOCH.replace(tzinfo=UTC) + since_epoch).astimezone(self.zone)

    @property
    def has_date(self) -> bool:
        """Whether the instant is in the years 1 to 9999 of its zone."""
        try:
            return bool(self.local)
        except OverflowError:
            return False

    @property
    def is_zero(self) -> bool:
        """Whether the time was never set."""
        return self.nanoseconds == _ZERO_NS

    def plus(self, duration: Duration) -> Time:
        """The time `duration` later."""
        return Time(self.nanoseconds + duration.nanoseconds, self.zone)

    def since(self, earlier: Time) -> Duration:
        """The duration from `earlier` to this time."""
        return _clamped(self.nanoseconds - earlier.nanoseconds)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Time) and self.nanoseconds == other.nanoseconds

    def __hash__(self) -> int:
        return hash(self.nanoseconds)

    def __lt__(self, other: Time) -> bool:
        return self.nanoseconds < other.nanoseconds


def time_of(local: datetime, *, extra_ns: int = 0) -> Time:
    """The time of an aware `local`, plus what its microseconds can't hold."""
    since_epoch = local - _EPOCH.replace(tzinfo=UTC)
    micros = (since_epoch.days * 86400 + since_epoch.seconds) * 10**6 + since_epoch.microseconds
    return Time(micros * 1000 + extra_ns, local.tzinfo or UTC)


DURATION_READERS: dict[str, Callable[[Duration], object]] = {
    "Hours": lambda duration: duration.nanoseconds / HOUR_NS,
    "Minutes": lambda duration: duration.nanoseconds / MINUTE_NS,
    "Seconds": lambda duration: duration.nanoseconds / SECOND_NS,
    "Milliseconds": lambda duration: int(duration.nanoseconds / 10**6),
    "Microseconds": lambda duration: int(duration.nanoseconds / 10**3),
    "Nanoseconds": lambda duration: duration.nanoseconds,
    "String": str,
}
"""The methods of a duration, none of which takes arguments."""

TIME_READERS: dict[str, Callable[[Time], int]] = {
    "Year": lambda time: time.local.year,
    "Month": lambda time: time.local.month,
    "Day": lambda time: time.local.day,
    "Hour": lambda time: time.local.hour,
    "Minute": lambda time: time.local.minute,
    "Second": lambda time: time.local.second,
    "Nanosecond": lambda time: time.nanoseconds % SECOND_NS,
    "YearDay": lambda time: time.local.timetuple().tm_yday,
    "Weekday": lambda time: time.local.isoweekday() % 7,
    "Unix": lambda time: time.nanoseconds // SECOND_NS,
    "UnixMilli": lambda time: time.nanoseconds // 10**6,
    "UnixMicro": lambda time: time.nanoseconds // 10**3,
    "UnixNano": lambda time: time.nanoseconds,
    "IsZero": lambda time: time.is_zero,
}
"""The methods of a time that take no arguments and give plain numbers and flags."""
