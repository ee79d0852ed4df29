"""What one plain YAML scalar means: the resolution rules of the original tool's YAML library.

YAML 1.2 words (`yes` is text), with the numbers of 1.1 (`007` is octal, `1_000` a thousand) and timestamps. Called by
the readers of configuration and of workflow files. Pure.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone

_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_DOT_FLOAT = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+)?")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO]?(?P<oct>[0-7]+)|(?P<dec>0|[1-9][0-9]*))"
)
_BASES = {"hex": 16, "bin": 2, "oct": 8, "dec": 10}
_TIMESTAMP = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d?)-(?P<day>\d\d?)"
    r"(?:(?P<t>[Tt ])(?P<hour>\d\d?):(?P<minute>\d\d?):(?P<second>\d\d?)(?:[.,](?P<fraction>\d+))?"
    r"(?P<zone>Z|[-+]\d\d:\d\d)?)?",
    re.ASCII,
)
MAX_DIGITS = 400
"""Longer numbers stay text; no float has more, and turning them into integers would cost more than reading the file."""


class Timestamp(str):
    """A YAML timestamp. As text it is what a template prints (`2024-01-01 00:00:00 +0000 UTC`)."""

    __slots__ = ("rfc3339",)
    rfc3339: str

    @classmethod
    def of(cls, moment: datetime, fraction: str) -> Timestamp:
        """`moment` carries the zone; `fraction` is the digits of the second's fraction, nanoseconds at most."""
        digits = fraction[:9].rstrip("0")
        dotted = f".{digits}" if digits else ""
        offset = moment.strftime("%z")
        is_utc = offset == "+0000"
        local = moment.replace(tzinfo=None)
        made = cls(f"{local.isoformat(' ')}{dotted} {offset} {'UTC' if is_utc else offset}")
        made.rfc3339 = f"{local.isoformat()}{dotted}{'Z' if is_utc else f'{offset[:3]}:{offset[3:]}'}"
        return made


def resolve(text: str) -> object:
    """The value of an untagged plain scalar: None, bool, int, float, Timestamp or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    head = text[0]
    if head == ".":
        number = _float(text) if _DOT_FLOAT.fullmatch(text) else None
        return text if number is None else number
    if head in "+-0123456789":
        if (moment := timestamp(text)) is not None:
            return moment
        number = _number(text.replace("_", "")) if len(text) <= MAX_DIGITS else None
        return text if number is None else number
    return text


def _number(plain: str) -> int | float | None:
    if (match := _INTEGER.fullmatch(plain)) is not None:
        number = _integer(match)
        if -(1 << 63) <= number < (1 << 63) or (number < (1 << 64) and not match["sign"]):
            return number
    return _float(plain) if _FLOAT.fullmatch(plain) else None


def _integer(match: re.Match[str]) -> int:
    group = match.lastgroup or "dec"
    magnitude = int(match[group], _BASES[group])
    return -magnitude if match["sign"] == "-" else magnitude


def _float(plain: str) -> float | None:
    number = float(plain)
    return None if math.isinf(number) else number


def timestamp(text: str) -> Timestamp | None:
    """The timestamp `text` spells in one of the four accepted notations, else None."""
    match = _TIMESTAMP.fullmatch(text)
    # With a `T` a zone is required, with a space none is allowed.
    if match is None or (match["t"] is not None and (match["t"] == " ") == (match["zone"] is not None)):
        return None
    try:
        year, month, day = (int(match[part]) for part in ("year", "month", "day"))
        hour, minute, second = (int(match[part] or 0) for part in ("hour", "minute", "second"))
        moment = datetime(year, month, day, hour, minute, second, tzinfo=_zone(match["zone"]))
    except ValueError:
        return None
    return Timestamp.of(moment, match["fraction"] or "")


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[4:6])
    if int(text[4:6]) > 59 or minutes >= 24 * 60:
        raise ValueError(text)
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
