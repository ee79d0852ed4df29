"""What a plain YAML scalar means: the rules of the original tool's reader, not YAML 1.1's.
Called by yaml_source.

`yes` and `on` stay text, `010` is 8, `1:30` is text. Pure; never raises for a plain scalar, unknown shapes are text.
"""

from __future__ import annotations

import binascii
import math
import re
from base64 import b64decode
from datetime import UTC, date, datetime, timedelta, timezone

NULLS = frozenset({"", "~", "null", "Null", "NULL"})
BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|0[0-7]*|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_NAN = frozenset({".nan", ".NaN", ".NAN"})
_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_TIME = re.compile(_DATE.pattern + r"([Tt ])(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d+))?(Z|[-+]\d\d:\d\d)?")


def plain_value(text: str) -> object:
    """The value of an unquoted, untagged scalar: None, bool, int, float or text. Dates come out as text."""
    if text in NULLS:
        return None
    if text in BOOLS:
        return BOOLS[text]
    if text[0] in "+-.0123456789":
        return _number_or_date(text)
    return text


def tagged_value(tag: str, text: str) -> object:
    """The value of a scalar with an explicit `!!` tag. Raises ValueError where the text does not fit the tag."""
    if tag == "tag:yaml.org,2002:str":
        return text
    if tag == "tag:yaml.org,2002:binary":
        return _binary(text)
    value = plain_value(text)
    if tag == "tag:yaml.org,2002:float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _number_or_date(text: str) -> object:
    moment = _date_text(text)
    if moment is not None:
        return moment
    if _INFINITY.fullmatch(text):
        return -math.inf if text[0] == "-" else math.inf
    if text in _NAN:
        return math.nan
    digits = text.replace("_", "")
    whole = _whole_number(digits)
    if whole is not None:
        return whole
    if _FLOAT.fullmatch(digits) and math.isfinite(float(digits)):
        return float(digits)
    return text


def _whole_number(digits: str) -> int | float | None:
    match = _INT.fullmatch(digits)
    if match is None:
        return None
    sign, body = match.groups()
    octal = body[0] == "0" and body.isdigit() and len(body) > 1
    number = int(body, 8) if octal else int(body, 0)
    number = -number if sign == "-" else number
    # Beyond 64 bits the original reader goes on in floating point.
    return number if -(2**63) <= number < 2**64 else float(number)


def _date_text(text: str) -> str | None:
    """A date as the original tool prints it, `2024-01-01 00:00:00 +0000 UTC`; None where `text` is none."""
    try:
        if match := _DATE.fullmatch(text):
            day = date(*(int(part) for part in match.groups()))
            return f"{day.isoformat()} 00:00:00 +0000 UTC"
        if match := _TIME.fullmatch(text):
            return _time_text(match)
    except ValueError:
        return None
    return None


def _time_text(match: re.Match[str]) -> str | None:
    year, month, day, separator, hour, minute, second, fraction, zone = match.groups()
    if (separator == " ") != (zone is None):
        return None
    offset = _offset(zone)
    moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=timezone(offset))
    decimals = (fraction or "").rstrip("0")
    point = "." if decimals else ""
    name = "UTC" if zone in (None, "Z") else moment.strftime("%z")
    return moment.strftime("%Y-%m-%d %H:%M:%S") + point + decimals + moment.strftime(" %z ") + name


def _offset(zone: str | None) -> timedelta:
    if zone in (None, "Z"):
        return UTC.utcoffset(None)
    assert zone is not None
    sign = -1 if zone[0] == "-" else 1
    return sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))


def _binary(text: str) -> str:
    try:
        return b64decode(text, validate=False).decode("utf-8", "replace")
    except binascii.Error as exc:
        raise ValueError(f"{text[:40]!r} is not base64") from exc
