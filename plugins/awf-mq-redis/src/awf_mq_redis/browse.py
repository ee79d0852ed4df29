"""Look at a queue or a dead-letter stream without taking anything: its messages, and its counts. Called by
`backend.py`. Writes nothing.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

from awf_core.contract import ItemState, Page, QueueItem, Stats
from awf_mq_redis.link import text
from awf_mq_redis.names import queue_keys

if TYPE_CHECKING:
    from awf_mq_redis.letters import Letters
    from awf_mq_redis.link import Link
    from awf_mq_redis.names import QueueKeys

_ENTRY_ID = re.compile(r"\d{1,20}-\d{1,20}")


class Browsing:
    """Looks under one key prefix. Thread-safe."""

    def __init__(self, link: Link, letters: Letters, *, prefix: str) -> None:
        self._link = link
        self._letters = letters
        self._prefix = prefix

    def browse(self, queue: str, limit: int, after: str | None) -> Page:
        """Up to `limit` messages: held ones, scheduled ones, then the list, oldest first, or the letters as they came.

        A damaged `after` starts from the beginning.
        """
        keys = queue_keys(queue, self._prefix)
        if limit < 1:
            return Page(items=())
        if after is not None and _ENTRY_ID.fullmatch(after):
            return self._letters_after(queue, keys, limit, after, [])
        section, offset = _cursor(after)
        found = self._link.run(f"browse {queue!r}", "browse", keys.all, section, offset, limit)
        next_section, next_offset, has_letters, raw_items = found
        items = [_item(*item) for item in raw_items]
        if has_letters and not next_section:
            return self._letters_after(queue, keys, limit, "0-0", items)
        return Page(items=items, next=f"{next_section}:{text(next_offset)}" if next_section else None)

    def stats(self, queue: str) -> Stats:
        """The counts of one moment. How old a plain list's messages are, nobody knows; letters tell."""
        keys = queue_keys(queue, self._prefix)
        found = self._link.run(f"count {queue!r}", "stats", keys.all)
        ready, delayed, in_flight, streams, oldest, now_ms = found
        return Stats(
            ready=ready,
            delayed=delayed,
            in_flight=in_flight,
            dead=self._letters.count(queue, streams),
            oldest_age_s=max(0, int(now_ms) - _added_ms(text(oldest))) / 1000 if oldest else None,
        )

    def _letters_after(self, queue: str, keys: QueueKeys, limit: int, after: str, items: list[QueueItem]) -> Page:
        room = limit - len(items)
        command = ("XRANGE", keys.ready, f"({after}", "+", "COUNT", room + 1)
        found = self._link.call(f"browse {queue!r}", keys.ready, *command)
        letters = [_letter(entry_id, fields) for entry_id, fields in found[:room]]
        last = letters[-1].id if letters else after
        return Page(items=[*items, *letters], next=last if len(found) > room else None)


def _cursor(after: str | None) -> tuple[int, int]:
    section, _, offset = (after or "1:0").partition(":")
    if section in ("1", "2", "3", "4") and offset.isdecimal() and len(offset) < 15:
        return int(section), int(offset)
    return 1, 0


def _item(state: bytes, item_id: bytes, score: bytes, body: bytes, meta: bytes, past: bytes) -> QueueItem:
    own_id = text(item_id)
    due_ms = int(score)
    fields = text(meta).split(":", 4) if meta else ["0", "1", "0", "0", ""]
    is_known = bool(meta)
    return QueueItem(
        id=own_id,
        body=body,
        state=cast("ItemState", text(state)),
        message_id=(fields[4] or f"redis-{own_id}") if is_known else None,
        attempt=int(fields[1]),
        deliveries=int(fields[0]),
        due_at=due_ms / 1000 if due_ms else None,
        history=read_history(text(past)),
    )


def _letter(entry_id: bytes, flat: list[bytes]) -> QueueItem:
    """A stream's entry; anyone may have added it, so nothing in it is taken for granted."""
    own_id = text(entry_id)
    fields = {text(name): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
    return QueueItem(
        id=own_id,
        body=fields.get("body", b""),
        state="dead",
        message_id=_text_or_none(fields, "id"),
        attempt=_number(fields, "attempt", 1),
        deliveries=_number(fields, "deliveries", 0),
        source=_text_or_none(fields, "source"),
        reason=_text_or_none(fields, "reason"),
        error=_text_or_none(fields, "error"),
        history=read_history(text(fields.get("history", b""))),
        dead_at=_added_ms(own_id) / 1000,
    )


def read_history(lines: str) -> list[dict[str, object]]:
    """The history in a field, oldest first; a line that isn't a JSON object is passed over."""
    parsed = (_parsed(line) for line in lines.split("\n") if line)
    return [entry for entry in parsed if isinstance(entry, dict)]


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _added_ms(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])


def _text_or_none(fields: dict[str, Any], name: str) -> str | None:
    return text(fields[name]) if name in fields else None


def _number(fields: dict[str, Any], name: str, default: int) -> int:
    value = text(fields.get(name, b""))
    return int(value) if value.isdecimal() else default
