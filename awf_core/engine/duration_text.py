"""Elapsed time as the workflow language writes it: `1.5s`, `250ms`, `1m2.5s`.

Used for `workflow.Duration`. Pure.
"""

from __future__ import annotations

_UNITS = ((1_000_000, "ms"), (1_000, "µs"))


def duration_text(seconds: float) -> str:
    """`seconds` to the nanosecond, in the largest unit that leaves a number of at least one."""
    total_ns = round(seconds * 1_000_000_000)
    if total_ns == 0:
        return "0s"
    if total_ns < 1_000_000_000:
        for unit_ns, name in _UNITS:
            if total_ns >= unit_ns:
                return _decimal(total_ns, unit_ns) + name
        return f"{total_ns}ns"
    minutes, rest_ns = divmod(total_ns, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{head}{_decimal(rest_ns, 1_000_000_000)}s"


def _decimal(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    digits = str(rest).zfill(len(str(unit)) - 1).rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
