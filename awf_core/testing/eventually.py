"""Wait for a condition, never for a time. Used by the kit and by plugins' tests; the only place that polls."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

POLL_S = 0.01


def eventually(condition: Callable[[], T], within_s: float = 10.0, *, what: str = "") -> T:
    """The first truthy value of `condition`, asked every 10 ms.

    Raises AssertionError naming `what` and the last value when `within_s` seconds brought none. Be generous with
    `within_s`: it costs time only when the test fails.
    """
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s{': ' + what if what else ''}; last value: {value!r}")
        time.sleep(POLL_S)
    return value
