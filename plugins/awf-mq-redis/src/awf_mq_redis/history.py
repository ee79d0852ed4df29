"""A message's history as it is stored: a JSON object a line, oldest first. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def history_text(history: Sequence[Mapping[str, object]]) -> str:
    """The lines to store."""
    return "\n".join(json.dumps(dict(entry), default=str) for entry in history)


def history_of(lines: str) -> list[dict[str, object]]:
    """The entries, without the lines that aren't JSON objects: any client can write them."""
    parsed = (_parsed(line) for line in lines.split("\n") if line)
    return [entry for entry in parsed if isinstance(entry, dict)]


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
