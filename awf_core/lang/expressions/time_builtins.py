"""The builtins on times: now, date, duration, timezone. Called by the table. `now` reads the machine's clock."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.evaluation import Budget
from awf_core.lang.expressions.natures import DURATION, LOCATION, TEXT, TIME, Nature
from awf_core.lang.expressions.signatures import BuiltinFunction, takes
from awf_core.lang.expressions.values import as_text
from awf_core.lang.go import layouts
from awf_core.lang.go.durations import go_duration_ns
from awf_core.lang.go.quoting import quoted
from awf_core.lang.go.times import Duration, Time


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A time zone as a value."""

    zone: tzinfo

    @property
    def type_name(self) -> str:
        """Its name in error messages."""
        return "*time.Location"


def _now(values: Sequence[object], _: Budget) -> object:
    zone = values[0].zone if values and isinstance(values[0], Location) else UTC
    return Time(time.time_ns(), zone)


def _duration(values: Sequence[object], _: Budget) -> object:
    text = as_text(values[0])
    try:
        return Duration(go_duration_ns(text))
    except ValueError:
        raise Fault(f"time: invalid duration {quoted(text)}") from None


def _timezone(values: Sequence[object], _: Budget) -> object:
    return Location(zone=_zone(as_text(values[0])))


def _zone(name: str) -> tzinfo:
    if name in {"", "UTC"}:
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Fault(f"unknown time zone {name}") from None


def _date(values: Sequence[object], _: Budget) -> object:
    zone: tzinfo = UTC
    if isinstance(values[0], Location):
        zone, values = values[0].zone, values[1:]
    if not values:
        raise Fault("invalid number of arguments (expected at least 1, got 0)")
    text = as_text(values[0])
    if len(values) == 3:
        zone = _zone(as_text(values[2]))
    wanted = layouts.STANDARD if len(values) == 1 else (as_text(values[1]),)
    for layout in wanted:
        found = layouts.read(layout, text, zone)
        if found is not None:
            return found
    if len(values) == 1:
        raise Fault(f"invalid date {text}")
    raise Fault(f"parsing time {quoted(text)} as {quoted(wanted[0])}: cannot parse")


def _check_now(arguments: Sequence[Nature]) -> Nature:
    if not arguments or (len(arguments) == 1 and arguments[0].kind == "location"):
        return TIME
    raise Fault(f"invalid number of arguments (expected 0, got {len(arguments)})")


def _check_date(arguments: Sequence[Nature]) -> Nature:
    if not arguments:
        raise Fault("invalid number of arguments (expected at least 1, got 0)")
    rest = arguments[1:] if arguments[0].kind == "location" else arguments
    if len(rest) > 3:
        raise Fault(f"invalid number of arguments (expected at most 3, got {len(rest)})")
    return TIME


TIME_BUILTINS = (
    BuiltinFunction(name="now", compute=_now, result_of=_check_now),
    BuiltinFunction(name="duration", compute=_duration, overloads=(takes(TEXT, gives=DURATION),)),
    BuiltinFunction(name="date", compute=_date, result_of=_check_date),
    BuiltinFunction(name="timezone", compute=_timezone, overloads=(takes(TEXT, gives=LOCATION),)),
)
