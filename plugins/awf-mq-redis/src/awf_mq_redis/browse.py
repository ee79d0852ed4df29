"""Browse and count the messages of a queue or a dead-letter stream. Called by `backend.py`. Writes nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from awf_core.contract import ItemState, Page, QueueItem, Stats
from awf_mq_redis.connection import text
from awf_mq_redis.history import history_of

if TYPE_CHECKING:
    from awf_mq_redis.connection import RedisConnection
    from awf_mq_redis.dead_letter import DeadMessageCounts
    from awf_mq_redis.keys import QueueKeys

_ENTRY_ID = re.compile(r"\d{1,20}-\d{1,20}")


class Browsing:
    """Browses and counts under one key prefix. Thread-safe."""

    def __init__(self, connection: RedisConnection, dead_messages: DeadMessageCounts) -> None:
        self._connection = connection
        self._dead_messages = dead_messages

    def browse(self, queue: str, limit: int, after: str | None) -> Page:
        """Up to `limit` messages, oldest first: those in flight, the delayed ones, then the list or the stream.

        A damaged `after` starts from the beginning.
        """
        keys = self._connection.keys(queue)
        if limit < 1:
            return Page(items=())
        if after is not None and _ENTRY_ID.fullmatch(after):
            return self._stream_page(queue, keys, limit, after, [])
        section, offset = _cursor(after)
        found = self._connection.run(f"browse {queue!r}", "browse", keys.all, section, offset, limit)
        next_section, next_offset, is_stream, raw_items = found
        items = [_item(*item) for item in raw_items]
        if is_stream and not next_section:
            return self._stream_page(queue, keys, limit, "0-0", items)
        return Page(items=items, next=f"{next_section}:{text(next_offset)}" if next_section else None)

    def stats(self, queue: str) -> Stats:
        """The counts of one moment. The age is known of dead-lettered messages only: a plain list holds no times."""
        keys = self._connection.keys(queue)
        found = self._connection.run(f"count {queue!r}", "stats", keys.all)
        ready, delayed, in_flight, dlqs, oldest, now_ms = found
        return Stats(
            ready=ready,
            delayed=delayed,
            in_flight=in_flight,
            dead=self._dead_messages.count(queue, dlqs),
            oldest_age_s=max(0, int(now_ms) - _added_ms(text(oldest))) / 1000 if oldest else None,
        )

    def _stream_page(self, queue: str, keys: QueueKeys, limit: int, after: str, items: list[QueueItem]) -> Page:
        room = limit - len(items)
        command = ("XRANGE", keys.ready, f"({after}", "+", "COUNT", room + 1)
        found = self._connection.call(f"browse {queue!r}", keys.ready, *command)
        dead = [_dead_item(entry_id, fields) for entry_id, fields in found[:room]]
        last = dead[-1].id if dead else after
        return Page(items=[*items, *dead], next=last if len(found) > room else None)


def _cursor(after: str | None) -> tuple[int, int]:
    section, _, offset = (after or "1:0").partition(":")
    if section in ("1", "2", "3", "4") and offset.isdecimal() and len(offset) < 15:
        return int(section), int(offset)
    return 1, 0


def _item(state: bytes, item_id: bytes, score: bytes, body: bytes, meta: bytes, past: bytes) -> QueueItem:
    own_id = text(item_id)
    due_ms = int(score)
    deliveries, attempt, *_ = text(meta).split(":", 2) if meta else ("0", "1")
    return QueueItem(
        id=own_id,
        body=body,
        state=cast("ItemState", text(state)),
        message_id=f"redis-{own_id}" if meta else None,
        attempt=int(attempt),
        deliveries=int(deliveries),
        due_at=due_ms / 1000 if due_ms else None,
        history=history_of(text(past)),
    )


def _dead_item(entry_id: bytes, flat: list[bytes]) -> QueueItem:
    """A stream's entry. Any client may have added it, so each field may be missing or malformed."""
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
        history=history_of(text(fields.get("history", b""))),
        dead_at=_added_ms(own_id) / 1000,
    )


def _added_ms(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])


def _text_or_none(fields: dict[str, Any], name: str) -> str | None:
    return text(fields[name]) if name in fields else None


def _number(fields: dict[str, Any], name: str, default: int) -> int:
    value = text(fields.get(name, b""))
    return int(value) if value.isdecimal() else default
