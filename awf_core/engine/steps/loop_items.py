"""What a `for_each` goes through: the text of `items` taken apart. Called by the loop steps. Pure."""

from __future__ import annotations

import json
import math
from typing import Any

from awf_core.lang.go.text import trim_space


def parse_items(text: str) -> list[Any]:
    """The elements of a JSON array (none for `null`), else the parts between commas, trimmed."""
    try:
        found = json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_refuse)
    except (ValueError, RecursionError):
        found = ""
    if found is None:
        return []
    if isinstance(found, list):
        return found
    return [trim_space(part) for part in text.split(",")]


def _number(written: str) -> float:
    number = float(written)
    if math.isinf(number):
        raise ValueError(written)
    return number


def _refuse(written: str) -> float:
    raise ValueError(written)
