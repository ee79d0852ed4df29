"""Columns that hold JSON, read leniently: a foreign client may have written anything. Pure.

Called by `claim.py`, `browse.py` and `settle.py`.
"""

from __future__ import annotations

import json


def read_headers(text: str | None) -> dict[str, str]:
    """The headers in a row; none if it isn't a JSON object; a value that isn't text becomes its JSON."""
    found = _parsed(text)
    if not isinstance(found, dict):
        return {}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}


def read_history(text: str | None) -> list[dict[str, object]]:
    """The history in a row, oldest first; what isn't a list of objects counts as none."""
    found = _parsed(text)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _parsed(text: str | None) -> object:
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
