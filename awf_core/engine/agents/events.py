"""The events agents write, one JSON object a line. Pure. Lines that are no JSON object are passed over.

Called by the providers that run a command line.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from awf_core.engine.agents.cli_dialect import Usage

Event = dict[str, Any]


def events(text: str) -> Iterator[Event]:
    """Every event in `text`, in order."""
    for line in text.split("\n"):
        if (event := parse_event(line)) is not None:
            yield event


def parse_event(line: str) -> Event | None:
    """The event of one line, None where it is none."""
    stripped = line.strip()
    if not stripped.startswith("{"):
        return None
    try:
        event = json.loads(stripped, strict=False)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def first_event(text: str, kind: str) -> Event:
    """The first event of type `kind`, an empty one where there is none."""
    return next((event for event in events(text) if event.get("type") == kind), {})


def last_event(text: str, kind: str) -> Event:
    """The last event of type `kind`, an empty one where there is none."""
    found: Event = {}
    for event in events(text):
        if event.get("type") == kind:
            found = event
    return found


def joined(text: str, said: Callable[[Event], str]) -> str:
    """What all events say, a line each."""
    return "\n".join(part for event in events(text) if (part := said(event)))


def inner(event: Event, *path: str) -> Event:
    """The mapping at `path` inside `event`, an empty one where there is none."""
    for key in path:
        found = event.get(key)
        if not isinstance(found, dict):
            return {}
        event = found
    return event


def text_at(event: Event, key: str) -> str:
    """The text at `key`, empty where it is none."""
    value = event.get(key)
    return value if isinstance(value, str) else ""


def count_at(event: Event, key: str) -> int:
    """The whole number at `key`, 0 where it is none."""
    value = event.get(key)
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0


def usage_of(counts: Event, *, input_key: str, output_key: str, total_key: str = "") -> Usage | None:
    """The usage that `counts` tells of, None where it tells of nothing."""
    from awf_core.engine.agents.cli_dialect import Usage

    if not counts:
        return None
    taken, given = count_at(counts, input_key), count_at(counts, output_key)
    return Usage(input=taken, output=given, total=count_at(counts, total_key) if total_key else taken + given)
