"""Durations as people write them: `30s`, `1m30s`, `250ms`, `24h`, or a plain number of seconds.

Used by every settings model, a backend's included, so that one spelling holds everywhere. The workflow language has
durations of its own (`lang/durations.py`), which follow the original tool to the nanosecond.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
MAX_SPAN_S = 10 * 365 * 86_400.0
"""The longest delay or expiry a queue keeps, ten years; beyond it a number is a mistake."""
ALLOWED = 'a duration such as "250ms", "30s", "1m30s", "24h" or a number of seconds'


def parse_duration_s(value: object) -> float:
    """Seconds of `value`: a text with units, or a non-negative number of seconds.

    Raises ValueError naming the value and what is allowed.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        seconds = _text_s(value.strip())
    else:
        raise ValueError(f"{value!r} is not {ALLOWED}")
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{value!r} is not {ALLOWED}")
    return seconds


def _text_s(text: str) -> float:
    if _WHOLE.fullmatch(text):
        return sum(float(number) * _UNIT_S[unit] for number, unit in _PART.findall(text))
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not {ALLOWED}") from None


def format_duration(seconds: float) -> str:
    """`seconds` in the shortest of the spellings `parse_duration_s` takes: 90 -> `1m30s`, 0.25 -> `250ms`."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms" if seconds else "0s"
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{hours:g}h" if hours else "", f"{minutes:g}m" if minutes else "", f"{rest:g}s" if rest else ""]
    return "".join(parts)


def span_ms(seconds: float) -> int:
    """`seconds` in whole milliseconds, rounded up: a delay is never cut short. Negative counts as 0.

    For brokers that count in milliseconds. Raises ValueError or OverflowError for what is no finite number.
    """
    whole = int(seconds * 1000)
    return max(0, whole if whole >= seconds * 1000 else whole + 1)


DurationS = Annotated[float, BeforeValidator(parse_duration_s)]
"""A settings field that holds seconds and reads a duration."""
