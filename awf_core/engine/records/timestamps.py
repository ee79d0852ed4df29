"""Moments as the records write them: RFC 3339 in UTC, as exact as the clock was. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

UNSET = "0001-01-01T00:00:00Z"
"""How a moment is written that has not come yet."""

_FRACTION = re.compile(r"(\.\d{1,6})\d*")


def written(epoch_s: float) -> str:
    """`epoch_s` with a fraction as long as it needs; 0 is a moment that has not come."""
    if not epoch_s:
        return UNSET
    whole, _, fraction = datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="microseconds")[:-6].partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"


def read(text: str) -> float:
    """The epoch seconds of a written moment, whatever its zone; 0 for an unset one. Raises ValueError."""
    if text.startswith("0001-01-01T"):
        return 0.0
    return datetime.fromisoformat(_FRACTION.sub(r"\1", text.replace("Z", "+00:00"))).timestamp()
