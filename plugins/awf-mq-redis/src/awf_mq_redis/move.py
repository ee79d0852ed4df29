"""Move messages between queues, and remove them all. Called by `backend.py` for an operator.

Works in pieces, each one script, so that workers get their turn in between. A piece moves as a whole or not at all,
but from slot to slot of a cluster it is put in first and taken out after.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from awf_mq_redis.names import bad_queue_name, queue_keys, storable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from awf_mq_redis.browse import Browsing
    from awf_mq_redis.letters import Letters
    from awf_mq_redis.link import Argument, Link
    from awf_mq_redis.names import QueueKeys

_PIECE = 100


class Moving:
    """Moves and removes messages that nobody holds. Thread-safe."""

    def __init__(self, link: Link, browsing: Browsing, letters: Letters, *, prefix: str) -> None:
        self._link = link
        self._letters = letters
        self._browsing = browsing
        self._prefix = prefix

    def move(self, source: str, target: str, ids: Sequence[str] | None, limit: int | None) -> int:
        """Move up to `limit` (None = all) messages, those in `ids` (None = any); returns how many."""
        error = bad_queue_name(target, self._link.where)
        if error is not None:
            raise error
        keys, to = queue_keys(source, self._prefix), queue_keys(target, self._prefix)
        is_near = not self._link.is_cluster or keys.slot == to.slot
        # Only what is there now: a move onto the same queue ends.
        left = self._movable(source) if limit is None else min(limit, self._movable(source))
        moved = 0
        for named in _pieces(ids):
            count = min(_PIECE, left - moved)
            while count > 0:
                step = self._near if is_near else self._far
                found = step(f"move from {source!r} to {target!r}", keys, to, count, named)
                moved += found
                if named is not None or found < count:
                    break
                count = min(_PIECE, left - moved)
        return moved

    def purge(self, queue: str) -> int:
        """Remove what is there now and free; returns how many."""
        keys = queue_keys(queue, self._prefix)
        doing = f"purge {queue!r}"
        bound = self._movable(queue)
        removed, records, emptied = self._purge_piece(doing, keys, is_first=True)
        while records == _PIECE and removed < bound:
            more, records, _ = self._purge_piece(doing, keys, is_first=False)
            removed += more
        self._letters.forget(queue, emptied)
        return removed

    def _purge_piece(self, doing: str, keys: QueueKeys, *, is_first: bool) -> tuple[int, int, list[Any]]:
        removed, records, emptied = self._link.run(doing, "purge", keys.all, _PIECE, int(is_first))
        return removed, records, emptied

    def _movable(self, queue: str) -> int:
        stats = self._browsing.stats(queue)
        return (stats.ready or 0) + (stats.delayed or 0)

    def _near(self, doing: str, keys: QueueKeys, to: QueueKeys, limit: int, named: Sequence[str] | None) -> int:
        all_keys = [*keys.all, *to.all]
        moved, emptied = self._link.run(doing, "move", all_keys, limit, secrets.token_hex(4), *_names(named))
        self._letters.forget(keys.ready.removeprefix(self._prefix), emptied)
        return int(moved)

    def _far(self, doing: str, keys: QueueKeys, to: QueueKeys, limit: int, named: Sequence[str] | None) -> int:
        parcels = self._link.run(doing, "pick", keys.all, limit, *_names(named))
        flat: list[Argument] = [part for parcel in parcels for part in parcel]
        if parcels:
            self._link.run(doing, "put", to.all, secrets.token_hex(4), len(parcels), *flat)
            emptied = self._link.run(doing, "drop", keys.all, len(parcels), *flat)
            self._letters.forget(keys.ready.removeprefix(self._prefix), emptied)
        return len(parcels)


def _pieces(ids: Sequence[str] | None) -> Iterator[Sequence[str] | None]:
    if ids is None:
        yield None
        return
    for start in range(0, len(ids), _PIECE):
        yield ids[start : start + _PIECE]


def _names(ids: Sequence[str] | None) -> list[Argument]:
    return [-1] if ids is None else [len(ids), *map(storable, ids)]
