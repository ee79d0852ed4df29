"""Find the answer in what Mistral Vibe writes: plain text, one JSON document, or JSON lines.

Called by `vibe.py`. Pure.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from awf_core.engine.agents.events import events

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENVELOPE_KEYS = frozenset({"role", "message", "delta"})


def vibe_answer(raw: str) -> str:
    """The last text of the assistant; plain text as it is; nothing where an envelope holds none."""
    found = _assistant_text(raw)
    if found is not None:
        return found.strip()
    return "" if any(_is_envelope(item) for item in _objects(raw)) else raw.strip()


def vibe_response(raw: str) -> dict[str, Any] | None:
    """The object that the assistant's text is, None when it is none."""
    try:
        found = json.loads(_assistant_text(raw) or "")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _assistant_text(raw: str) -> str | None:
    texts = [text for item in _objects(raw) if (text := _text_of(item))]
    return texts[-1] if texts else None


def _objects(raw: str) -> Iterator[dict[str, Any]]:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        yield from events(raw)
        return
    yield from _flattened(document)


def _flattened(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for item in value:
            yield from _flattened(item)
    elif isinstance(value, dict):
        yield value


def _text_of(item: dict[str, Any]) -> str:
    message = item.get("message")
    holders = [item, message] if isinstance(message, dict) else [item]
    if not any(holder.get("role") == "assistant" for holder in holders):
        return ""
    deltas = [holder["delta"] for holder in holders if isinstance(holder.get("delta"), dict)]
    candidates = [holder.get(key) for holder in holders for key in ("content", "text")]
    candidates += [delta.get("text") for delta in deltas]
    return next((text for candidate in candidates if (text := _content(candidate))), "")


def _content(value: Any) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return ""
    blocks = [block for block in value if isinstance(block, dict) and block.get("type") == "text"]
    return "".join(block["text"] for block in blocks if isinstance(block.get("text"), str))


def _is_envelope(item: dict[str, Any]) -> bool:
    return bool(_ENVELOPE_KEYS & item.keys()) or item.get("type") == "message"
