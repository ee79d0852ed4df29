"""Move messages between queues, and purge queues. Called by `backend.py` for an operator.

Works in pieces, each one script call, so that workers are served in between. A piece moves as a whole or not at all.
Between two slots of a cluster it is put into the target first and dropped from the source after.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from awf_mq_redis.keys import storable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from awf_core.errors import BrokerError
    from awf_mq_redis.browse import Browsing
    from awf_mq_redis.connection import Argument, RedisConnection
    from awf_mq_redis.dead_letter import DeadMessageCounts
    from awf_mq_redis.keys import QueueKeys

_PIECE = 100


class Moving:
    """Moves and removes messages that are not in flight. Thread-safe."""

    def __init__(
        self,
        connection: RedisConnection,
        browsing: Browsing,
        dead_messages: DeadMessageCounts,
        *,
        name_problem: Callable[[str], BrokerError | None],
    ) -> None:
        self._connection = connection
        self._browsing = browsing
        self._dead_messages = dead_messages
        self._name_problem = name_problem

    def move(self, source: str, target: str, ids: Sequence[str] | None, limit: int | None) -> int:
        """Move up to `limit` (None = all) messages, those in `ids` (None = any); returns how many."""
        problem = self._name_problem(target)
        if problem is not None:
            raise problem
        keys, to = self._connection.keys(source), self._connection.keys(target)
        step = self._across_slots if self._connection.is_cluster and keys.slot != to.slot else self._in_slot
        # The count at the start is a bound, so that a move onto the same queue ends.
        left = self._movable(source) if limit is None else min(limit, self._movable(source))
        moved = 0
        for named in _pieces(ids):
            count = min(_PIECE, left - moved)
            while count > 0:
                found = step(f"move from {source!r} to {target!r}", keys, to, count, named)
                moved += found
                if named is not None or found < count:
                    break
                count = min(_PIECE, left - moved)
        return moved

    def purge(self, queue: str) -> int:
        """Remove the messages that are there now and not in flight; returns how many."""
        keys = self._connection.keys(queue)
        doing = f"purge {queue!r}"
        bound = self._movable(queue)
        removed, records, emptied = self._purge_piece(doing, keys, is_first=True)
        while records == _PIECE and removed < bound:
            more, records, _ = self._purge_piece(doing, keys, is_first=False)
            removed += more
        self._dead_messages.forget(queue, emptied)
        return removed

    def _purge_piece(self, doing: str, keys: QueueKeys, *, is_first: bool) -> tuple[int, int, list[Any]]:
        removed, records, emptied = self._connection.run(doing, "purge", keys.all, _PIECE, int(is_first))
        return removed, records, emptied

    def _movable(self, queue: str) -> int:
        stats = self._browsing.stats(queue)
        return (stats.ready or 0) + (stats.delayed or 0)

    def _in_slot(self, doing: str, keys: QueueKeys, to: QueueKeys, limit: int, named: Sequence[str] | None) -> int:
        all_keys = [*keys.all, *to.all]
        moved, emptied = self._connection.run(doing, "move", all_keys, limit, secrets.token_hex(4), *_names(named))
        self._dead_messages.forget(keys.ready.removeprefix(self._connection.prefix), emptied)
        return int(moved)

    def _across_slots(self, doing: str, keys: QueueKeys, to: QueueKeys, limit: int, named: Sequence[str] | None) -> int:
        picked = self._connection.run(doing, "move_pick", keys.all, limit, *_names(named))
        flat: list[Argument] = [part for transfer in picked for part in transfer]
        if picked:
            self._connection.run(doing, "move_put", to.all, secrets.token_hex(4), len(picked), *flat)
            emptied = self._connection.run(doing, "move_drop", keys.all, len(picked), *flat)
            self._dead_messages.forget(keys.ready.removeprefix(self._connection.prefix), emptied)
        return len(picked)


def _pieces(ids: Sequence[str] | None) -> Iterator[Sequence[str] | None]:
    if ids is None:
        yield None
        return
    for start in range(0, len(ids), _PIECE):
        yield ids[start : start + _PIECE]


def _names(ids: Sequence[str] | None) -> list[Argument]:
    return [-1] if ids is None else [len(ids), *map(storable, ids)]
