"""Go's durations: texts such as `1m30s` read and written.

Called by the readers of workflow fields, by the builtin `duration` and by what shows elapsed time. Pure.
"""

from __future__ import annotations

import re

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, micro sign
    "μs": 1_000,  # U+03BC, mu of the Greek alphabet
    "ms": 1_000_000,
    "s": SECOND_NS,
    "m": MINUTE_NS,
    "h": HOUR_NS,
}
_MAX_NS = (1 << 63) - 1
_PART = re.compile(r"(?P<whole>[0-9]*)(?P<dot>\.?)(?P<fraction>[0-9]*)(?P<unit>[^.0-9]*)")
_SECONDS = re.compile(r"[-+]?[0-9]+")
_MAX_TEXT = 100
"""Characters; longer texts are refused before their digits are counted."""


def parse_duration_ns(text: str) -> int:
    """Nanoseconds of `text`, negative ones included.

    Raises ValueError with Go's sentence (`time: unknown unit "d" in duration "1d"`).
    """
    try:
        return go_duration_ns(text)
    except ValueError:
        if len(text) > _MAX_TEXT or not _SECONDS.fullmatch(text) or abs(int(text)) > _MAX_NS // SECOND_NS:
            raise
        return int(text) * SECOND_NS


def duration_text(duration_ns: int) -> str:
    """The duration in the largest unit that leaves a number of at least one: `250ms`, `1.5s`, `1m2.5s`, `0s`."""
    total = abs(duration_ns)
    sign = "-" if duration_ns < 0 else ""
    if total < SECOND_NS:
        return sign + _part_of_second(total)
    hours, rest = divmod(total, HOUR_NS)
    minutes, rest = divmod(rest, MINUTE_NS)
    lead = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{lead}{_decimal(rest, SECOND_NS)}s"


def _part_of_second(duration_ns: int) -> str:
    for unit in ("ms", "µs"):
        if duration_ns >= _UNIT_NS[unit]:
            return _decimal(duration_ns, _UNIT_NS[unit]) + unit
    return f"{duration_ns}ns" if duration_ns else "0s"


def _decimal(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    digits = str(rest).zfill(len(str(unit)) - 1).rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def whole_seconds(duration_ns: int) -> int:
    """Seconds, cut toward zero: 1.9 s is 1, 500 ms is 0."""
    return _cut(duration_ns, SECOND_NS)


def whole_milliseconds(duration_ns: int) -> int:
    """Milliseconds, cut toward zero."""
    return _cut(duration_ns, _UNIT_NS["ms"])


def _cut(duration_ns: int, unit_ns: int) -> int:
    return duration_ns // unit_ns if duration_ns >= 0 else -(-duration_ns // unit_ns)


def go_duration_ns(text: str) -> int:
    """Nanoseconds of `text` as Go reads it, which wants a unit. Raises ValueError with Go's sentence."""
    invalid = ValueError(f"time: invalid duration {_go_quoted(text)}")
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    if not rest or len(text) > _MAX_TEXT:
        raise invalid
    total_ns = 0
    while rest:
        match = _PART.match(rest)
        if match is None or not (match["whole"] or match["fraction"]):
            raise invalid
        total_ns += _part_ns(match, text)
        rest = rest[match.end() :]
    # The smallest number of 64 bits has no positive twin.
    if total_ns > _MAX_NS + (text[0] == "-"):
        raise invalid
    return -total_ns if text[0] == "-" else total_ns


def _part_ns(match: re.Match[str], text: str) -> int:
    unit = match["unit"]
    if not unit:
        raise ValueError(f"time: missing unit in duration {_go_quoted(text)}")
    if unit not in _UNIT_NS:
        raise ValueError(f"time: unknown unit {_go_quoted(unit)} in duration {_go_quoted(text)}")
    fraction = match["fraction"]
    fraction_ns = int(fraction or 0) * _UNIT_NS[unit] // int(10 ** len(fraction))
    return int(match["whole"] or 0) * _UNIT_NS[unit] + fraction_ns


def _go_quoted(text: str) -> str:
    """Go's time package quotes byte by byte, unlike the rest of Go."""
    escaped = (
        f"\\{chr(byte)}" if byte in b'"\\' else chr(byte) if 0x20 <= byte < 0x80 else f"\\x{byte:02x}"
        for byte in text.encode("utf-8", "surrogatepass")
    )
    return '"' + "".join(escaped) + '"'
