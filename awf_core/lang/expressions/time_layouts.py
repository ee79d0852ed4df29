"""Layouts of times (`2006-01-02 15:04:05`): reading a text by one, writing a time by one.

Called by the time builtins. A layout is a sample of the moment 2006-01-02 15:04:05; its parts say what stands where.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from awf_core.lang.expressions.moments import Moment, moment_of

STANDARD = (
    "2006-01-02",
    "15:04:05",
    "2006-01-02 15:04:05",
    "2006-01-02T15:04:05Z07:00",
    "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 MST",
)

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_PART = re.compile(
    r"2006|January|Jan|Monday|Mon|MST|Z07:00|Z0700|-07:00|-0700|-07|[.,](?:0+|9+)(?![0-9])"
    r"|01|02|03|04|05|06|15|_2|PM|pm|[12345]"
)
_PATTERNS = {
    "2006": r"(?P<year>\d{4})",
    "06": r"(?P<short_year>\d{2})",
    "January": rf"(?P<month_name>{'|'.join(_MONTHS)})",
    "Jan": rf"(?P<month_name>{'|'.join(name[:3] for name in _MONTHS)})",
    "01": r"(?P<month>\d{2})",
    "1": r"(?P<month>\d{1,2})",
    "Monday": rf"(?:{'|'.join(_DAYS)})",
    "Mon": rf"(?:{'|'.join(name[:3] for name in _DAYS)})",
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


def read(layout: str, text: str, zone: tzinfo = UTC) -> Moment | None:
    """The moment `text` names by `layout`, in `zone` where it says none; None when it doesn't fit."""
    try:
        match = _pattern(layout).fullmatch(text)
    except re.error:
        return None
    if match is None:
        return None
    found = {name: value for name, value in match.groupdict().items() if value is not None}
    try:
        return _moment(found, zone)
    except (ValueError, OverflowError):
        return None


def _pattern(layout: str) -> re.Pattern[str]:
    parts, position = [], 0
    for part in _PART.finditer(layout):
        parts.append(re.escape(layout[position : part.start()]))
        parts.append("" if part[0][0] in ".," else _PATTERNS[part[0]])
        position = part.end()
    return re.compile("".join(parts) + re.escape(layout[position:]), re.ASCII)


def _moment(found: dict[str, str], zone: tzinfo) -> Moment:
    if "offset" in found:
        zone = _offset(found["offset"])
    fraction = int(found.get("fraction", "0").ljust(9, "0"))
    when = datetime(
        _year(found),
        _month(found),
        int(found.get("day", "1")),
        _hour(found),
        int(found.get("minute", "0")),
        int(found.get("second", "0")),
        fraction // 1000,
        tzinfo=zone,
    )
    return moment_of(when, fraction % 1000)


def _year(found: dict[str, str]) -> int:
    if "short_year" in found:
        short = int(found["short_year"])
        return short + (1900 if short >= 69 else 2000)
    return int(found.get("year", "1"))


def _month(found: dict[str, str]) -> int:
    name = found.get("month_name")
    if name is None:
        return int(found.get("month", "1"))
    return next(number for number, full in enumerate(_MONTHS, 1) if full.startswith(name))


def _hour(found: dict[str, str]) -> int:
    hour = int(found.get("hour", "0"))
    if "half" not in found:
        return hour
    return hour % 12 + (12 if found["half"].upper() == "PM" else 0)


def _offset(text: str) -> timezone:
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def write(layout: str, moment: Moment) -> str:
    """`moment` written by `layout`."""
    when = moment.local
    return _PART.sub(lambda part: _written(part[0], when, moment.nanoseconds % 10**9), layout)


def _written(part: str, when: datetime, nanoseconds: int) -> str:
    if part[0] in ".,":
        digits = f"{nanoseconds:09d}"[: len(part) - 1]
        digits = digits.rstrip("0") if part[1] == "9" else digits
        return part[0] + digits if digits else ""
    if part.startswith(("Z", "-")):
        return _written_offset(part, when)
    plain = {
        "2006": f"{when.year:04d}",
        "06": f"{when.year % 100:02d}",
        "January": _MONTHS[when.month - 1],
        "Jan": _MONTHS[when.month - 1][:3],
        "Monday": _DAYS[when.weekday()],
        "Mon": _DAYS[when.weekday()][:3],
        "MST": when.tzname() or "UTC",
        "_2": f"{when.day:2d}",
        "15": f"{when.hour:02d}",
        "PM": "PM" if when.hour >= 12 else "AM",
        "pm": "pm" if when.hour >= 12 else "am",
    }
    numbers = {"1": when.month, "2": when.day, "3": when.hour % 12 or 12, "4": when.minute, "5": when.second}
    if part in plain:
        return plain[part]
    number = numbers[part[-1]]
    return f"{number:02d}" if part[0] == "0" else str(number)


def _written_offset(part: str, when: datetime) -> str:
    minutes = int((when.utcoffset() or timedelta()).total_seconds() // 60)
    if part[0] == "Z" and minutes == 0:
        return "Z"
    sign, minutes = "-" if minutes < 0 else "+", abs(minutes)
    if part == "-07":
        return f"{sign}{minutes // 60:02d}"
    colon = ":" if ":" in part else ""
    return f"{sign}{minutes // 60:02d}{colon}{minutes % 60:02d}"
