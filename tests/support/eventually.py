"""Wait for a condition, never for a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def eventually(condition: Callable[[], T], within_s: float = 10.0, *, what: str = "") -> T:
    """The first truthy value of `condition`, asked every 10 ms; fails with the last value after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s{': ' + what if what else ''}; last value: {value!r}")
        time.sleep(0.01)
    return value
