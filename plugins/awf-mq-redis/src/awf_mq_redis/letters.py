"""Which queues have letters in which dead-letter streams. Called by `browse.py` to count, by whoever takes letters out.

A stream counts its letters by source, and a queue remembers the streams that have some of it: two slots of a cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_mq_redis.link import text
from awf_mq_redis.names import queue_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_mq_redis.link import Link


class Letters:
    """Counts letters, and forgets streams without any. Thread-safe."""

    def __init__(self, link: Link, *, prefix: str) -> None:
        self._link = link
        self._prefix = prefix

    def count(self, source: str, streams: Sequence[bytes]) -> int:
        """How many letters of `source` the streams hold."""
        return sum(self._count(source, text(stream)) for stream in streams)

    def forget(self, stream: str, sources: Sequence[bytes]) -> None:
        """Queues without letters in `stream` need not remember it. One that got a letter meanwhile is told again."""
        doing = f"count letters in {stream!r}"
        sources_key = queue_keys(stream, self._prefix).sources
        for source in map(text, sources):
            pointer = queue_keys(source, self._prefix).letters
            self._link.call(doing, pointer, "HDEL", pointer, stream)
            if self._link.call(doing, sources_key, "HGET", sources_key, source) is not None:
                self._link.call(doing, pointer, "HSET", pointer, stream, 1)

    def _count(self, source: str, stream: str) -> int:
        keys = queue_keys(stream, self._prefix)
        return int(self._link.run(f"count letters in {stream!r}", "letters", [keys.ready, keys.sources], source))
