"""Durations of the workflow language: `1m30s` as Go reads it, else a whole number of seconds.

Called by the loader. Exact to the nanosecond; settings of this project use `awf_core.units` instead. Pure.
"""

from __future__ import annotations

import re

_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, micro sign
    "μs": 1_000,  # U+03BC, Greek letter mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
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
        return _go_duration_ns(text)
    except ValueError:
        if len(text) > _MAX_TEXT or not _SECONDS.fullmatch(text) or abs(int(text)) > _MAX_NS // _UNIT_NS["s"]:
            raise
        return int(text) * _UNIT_NS["s"]


def whole_seconds(duration_ns: int) -> int:
    """Seconds, cut toward zero: 1.9 s is 1, 500 ms is 0."""
    return _cut(duration_ns, _UNIT_NS["s"])


def whole_milliseconds(duration_ns: int) -> int:
    """Milliseconds, cut toward zero."""
    return _cut(duration_ns, _UNIT_NS["ms"])


def _cut(duration_ns: int, unit_ns: int) -> int:
    return duration_ns // unit_ns if duration_ns >= 0 else -(-duration_ns // unit_ns)


def _go_duration_ns(text: str) -> int:
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
