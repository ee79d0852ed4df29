"""Go's layouts of times (`2006-01-02 15:04:05`): a text read by one, a time written by one.

Called by both languages. A layout is a sample of the moment Mon Jan 2 15:04:05 MST 2006; its parts say what stands
where. The two languages know different parts and name zones differently, so both are parameters. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

from awf_core.lang.go.times import Time, time_of

STRING = "2006-01-02 15:04:05.999999999 -0700 MST"
"""What Go prints a time by."""
RFC3339 = "2006-01-02T15:04:05.999999999Z07:00"
"""What Go writes a time by in JSON."""
STANDARD = (
    "2006-01-02",
    "15:04:05",
    "2006-01-02 15:04:05",
    "2006-01-02T15:04:05Z07:00",
    "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 MST",
)
"""Tried in turn where no layout is given."""

ALL_PARTS = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|002|0[1-6]|15|1|2006|2|__2|_2(?!006)|3|4|5|PM|pm"
    r"|[-Z]07(?:0000|:00:00|00|:00)?|[.,](?:0+|9+)(?!\d)"
)
"""Everything that Go takes for a part of a layout."""
READABLE_PARTS = re.compile(
    r"2006|January|Jan|Monday|Mon|MST|Z07:00|Z0700|-07:00|-0700|-07|[.,](?:0+|9+)(?![0-9])"
    r"|01|02|03|04|05|06|15|_2|PM|pm|[12345]"
)
"""What `read` knows; expressions also write by these alone."""

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_PATTERNS = {
    "2006": r"(?P<year>\d{4})",
    "06": r"(?P<short_year>\d{2})",
    "January": rf"(?P<month_name>{'|'.join(MONTHS)})",
    "Jan": rf"(?P<month_name>{'|'.join(name[:3] for name in MONTHS)})",
    "01": r"(?P<month>\d{2})",
    "1": r"(?P<month>\d{1,2})",
    "Monday": rf"(?:{'|'.join(DAYS)})",
    "Mon": rf"(?:{'|'.join(name[:3] for name in DAYS)})",
    "02": r"(?P<day>\d{2})",
    "_2": r" ?(?P<day>\d{1,2})",
    "2": r"(?P<day>\d{1,2})",
    "15": r"(?P<hour>\d{2})",
    "03": r"(?P<hour>\d{2})",
    "3": r"(?P<hour>\d{1,2})",
    "04": r"(?P<minute>\d{2})",
    "4": r"(?P<minute>\d{1,2})",
    "05": r"(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?",
    "5": r"(?P<second>\d{1,2})(?:[.,](?P<fraction>\d{1,9}))?",
    "PM": r"(?P<half>AM|PM)",
    "pm": r"(?P<half>am|pm)",
    "MST": r"(?P<zone_name>[A-Z]{3,4})",
    "Z07:00": r"(?P<offset>Z|[+-]\d{2}:\d{2})",
    "Z0700": r"(?P<offset>Z|[+-]\d{4})",
    "-07:00": r"(?P<offset>[+-]\d{2}:\d{2})",
    "-0700": r"(?P<offset>[+-]\d{4})",
    "-07": r"(?P<offset>[+-]\d{2})",
}


def read(layout: str, text: str, zone: tzinfo = UTC) -> Time | None:
    """The time `text` names by `layout`, in `zone` where it says none; None when it does not fit."""
    try:
        match = _pattern(layout).fullmatch(text)
    except re.error:
        return None
    if match is None:
        return None
    found = {name: value for name, value in match.groupdict().items() if value is not None}
    try:
        return _time(found, zone)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=64)
def _pattern(layout: str) -> re.Pattern[str]:
    parts, position = [], 0
    for part in READABLE_PARTS.finditer(layout):
        parts.append(re.escape(layout[position : part.start()]))
        parts.append("" if part[0][0] in ".," else _PATTERNS[part[0]])
        position = part.end()
    return re.compile("".join(parts) + re.escape(layout[position:]), re.ASCII)


def _time(found: dict[str, str], zone: tzinfo) -> Time:
    local = datetime(
        _year(found),
        _month(found),
        int(found.get("day", "1")),
        _hour(found),
        int(found.get("minute", "0")),
        int(found.get("second", "0")),
        tzinfo=offset_zone(found["offset"]) if "offset" in found else zone,
    )
    return time_of(local, extra_ns=int(found.get("fraction", "0").ljust(9, "0")))


def _year(found: dict[str, str]) -> int:
    if "short_year" in found:
        short = int(found["short_year"])
        return short + (1900 if short >= 69 else 2000)
    return int(found.get("year", "1"))


def _month(found: dict[str, str]) -> int:
    name = found.get("month_name")
    if name is None:
        return int(found.get("month", "1"))
    return next(number for number, full in enumerate(MONTHS, 1) if full.startswith(name))


def _hour(found: dict[str, str]) -> int:
    hour = int(found.get("hour", "0"))
    if "half" not in found:
        return hour
    return hour % 12 + (12 if found["half"].upper() == "PM" else 0)


def offset_zone(text: str) -> timezone:
    """The zone of `Z`, `+02`, `+0200` or `+02:00`. Raises ValueError for a day and more."""
    if text in "Zz":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def offset_name(local: datetime) -> str:
    """The name Go gives a zone of which it knows the offset alone."""
    return _offset(local, "-0700") if local.utcoffset() else "UTC"


def known_name(local: datetime) -> str:
    """The name that the database of zones has, `UTC+02:00` for an offset alone."""
    return local.tzname() or "UTC"


def write(
    layout: str,
    time: Time,
    *,
    parts: re.Pattern[str] = ALL_PARTS,
    zone_name: Callable[[datetime], str] = offset_name,
) -> str:
    """`time` written by `layout`. Raises OverflowError outside the years 1 to 9999."""
    local, nanosecond = time.local, time.nanoseconds % 10**9

    def written(match: re.Match[str]) -> str:
        part = match[0]
        if part[0] in ".,":
            return _fraction(part, nanosecond)
        if part[1:3] == "07":
            return _offset(local, part)
        return zone_name(local) if part == "MST" else _PARTS[part](local)

    return parts.sub(written, layout)


def _fraction(part: str, nanosecond: int) -> str:
    digits = f"{nanosecond:09d}"[: len(part) - 1].ljust(len(part) - 1, "0")
    if part[1] == "9":
        digits = digits.rstrip("0")
    return part[0] + digits if digits else ""


def _offset(local: datetime, part: str) -> str:
    offset_s = int((local.utcoffset() or timedelta()).total_seconds())
    if part[0] == "Z" and offset_s == 0:
        return "Z"
    sign, offset_s = "-" if offset_s < 0 else "+", abs(offset_s)
    fields = [f"{offset_s // 3600:02d}", f"{offset_s // 60 % 60:02d}", f"{offset_s % 60:02d}"]
    wanted = {3: 1, 5: 2, 6: 2, 7: 3, 9: 3}[len(part)]
    return sign + (":" if ":" in part else "").join(fields[:wanted])


_PARTS: dict[str, Callable[[datetime], str]] = {
    "January": lambda local: MONTHS[local.month - 1],
    "Jan": lambda local: MONTHS[local.month - 1][:3],
    "Monday": lambda local: DAYS[local.isoweekday() % 7],
    "Mon": lambda local: DAYS[local.isoweekday() % 7][:3],
    "002": lambda local: f"{local.timetuple().tm_yday:03d}",
    "__2": lambda local: f"{local.timetuple().tm_yday:3d}",
    "01": lambda local: f"{local.month:02d}",
    "1": lambda local: str(local.month),
    "02": lambda local: f"{local.day:02d}",
    "_2": lambda local: f"{local.day:2d}",
    "2": lambda local: str(local.day),
    "15": lambda local: f"{local.hour:02d}",
    "03": lambda local: f"{local.hour % 12 or 12:02d}",
    "3": lambda local: str(local.hour % 12 or 12),
    "04": lambda local: f"{local.minute:02d}",
    "4": lambda local: str(local.minute),
    "05": lambda local: f"{local.second:02d}",
    "5": lambda local: str(local.second),
    "06": lambda local: f"{local.year % 100:02d}",
    "2006": lambda local: f"{local.year:04d}",
    "PM": lambda local: "PM" if local.hour >= 12 else "AM",
    "pm": lambda local: "pm" if local.hour >= 12 else "am",
}
