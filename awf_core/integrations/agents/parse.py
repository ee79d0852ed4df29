"""Read what providers get and what agents write: options by type, and events, one JSON object a line. Pure.

An option of another type counts as absent, as in the original. Lines that are no JSON object are skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the agent counted them."""

    input: int
    output: int
    total: int


def text_option(options: Mapping[str, Any], name: str) -> str | None:
    """The text of option `name`, None when it is absent or no text."""
    value = options.get(name)
    return value if isinstance(value, str) else None


def is_set(options: Mapping[str, Any], name: str) -> bool:
    """Whether option `name` is true, a text `true` not included."""
    return options.get(name) is True


def list_option(options: Mapping[str, Any], name: str) -> list[str]:
    """The texts of a list option; what is no text in it is left out."""
    value = options.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def flag_and_value(options: Mapping[str, Any], name: str, flag: str) -> list[str]:
    """`[flag, value]` where option `name` is a text that is not empty, else nothing."""
    value = text_option(options, name)
    return [flag, value] if value else []


def model_fault(options: Mapping[str, Any], *, fits: Callable[[str], object], allowed: str) -> str | None:
    """Why the option `model` can't be used, None when it can or is absent."""
    model = text_option(options, "model")
    return None if model is None or fits(model) else f"invalid model format: {model} ({allowed})"


def misspelt(options: Iterable[str], known: Iterable[str]) -> list[tuple[str, str]]:
    """Options written in camelCase, which nothing reads, with the spelling that is read."""
    names = frozenset(known)
    pairs = ((name, _CAPITAL.sub("_", name).lower()) for name in options)
    return [(name, meant) for name, meant in pairs if name != meant and meant in names]


def events(text: str) -> Iterator[Event]:
    """Every event in `text`, in order."""
    for line in text.split("\n"):
        if (event := event_of(line)) is not None:
            yield event


def event_of(line: str) -> Event | None:
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
    """The texts of all events, a line each."""
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
    """The usage that `counts` reports, None where it is empty."""
    if not counts:
        return None
    read, written = count_at(counts, input_key), count_at(counts, output_key)
    return Usage(input=read, output=written, total=count_at(counts, total_key) if total_key else read + written)
