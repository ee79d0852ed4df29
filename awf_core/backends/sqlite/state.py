"""Shared state with a time to live: get, put, list. Called by `backend.py`, and by `deliveries.py` within an ack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.backends.sqlite.messages import check_ttl, storable
from awf_core.units import span_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.backends.sqlite.connection import Connections
    from awf_core.backends.sqlite.messages import Sweeper
    from awf_core.backends.sqlite.opening import QueueConnection
    from awf_core.contract import StateEntry

_LIVE = "(expires IS NULL OR expires > :now)"
_GET = f"SELECT value FROM state WHERE key = :key AND {_LIVE}"
_DELETE = "DELETE FROM state WHERE key = :key"
_PUT = """
INSERT INTO state(key, value, expires) VALUES (:key, :value, :expires)
ON CONFLICT(key) DO UPDATE SET value = excluded.value, expires = excluded.expires"""
_PUT_IF_ABSENT = f"{_PUT} WHERE state.expires <= :now"
# U+10FFFF is no character, so no key continues with it.
_LIST = f"""
SELECT key, value FROM state
WHERE key >= :prefix AND key < :prefix || char(1114111) AND {_LIVE} ORDER BY key"""


class State:
    """The shared state in one queue file. Thread-safe."""

    def __init__(self, connections: Connections, sweeper: Sweeper) -> None:
        self._connections = connections
        self._sweeper = sweeper

    def get(self, keys: Sequence[str]) -> list[str | None]:
        """The live value of each key."""
        with self._connections.reading("read state") as connection:
            now_ms = connection.now_ms()
            return [_get(connection, key, now_ms) for key in keys]

    def put(self, entries: Sequence[StateEntry]) -> list[bool]:
        """Write, all in one transaction; False where `if_absent` found a live value."""
        for entry in entries:
            if entry.ttl_s is not None:
                check_ttl(entry.ttl_s, self._connections.path)
        with self._connections.writing("write state") as connection:
            now_ms = connection.now_ms()
            answers = [put(connection, entry, now_ms) for entry in entries]
            self._sweeper.sweep(connection, now_ms)
        return answers

    def list(self, prefix: str) -> list[tuple[str, str]]:
        """The live pairs whose key starts with `prefix`, by key."""
        with self._connections.reading("list state") as connection:
            values = {"prefix": storable(prefix), "now": connection.now_ms()}
            return [(key, value) for key, value in connection.execute(_LIST, values).fetchall()]


def put(connection: QueueConnection, entry: StateEntry, now_ms: int) -> bool:
    """Write one entry in the caller's transaction; False where `if_absent` found a live value."""
    key = storable(entry.key)
    if entry.value is None:
        if entry.if_absent and _get(connection, key, now_ms) is not None:
            return False
        connection.execute(_DELETE, {"key": key})
        return True
    values = {
        "key": key,
        "value": storable(entry.value),
        "expires": None if entry.ttl_s is None else now_ms + span_ms(entry.ttl_s),
        "now": now_ms,
    }
    return connection.execute(_PUT_IF_ABSENT if entry.if_absent else _PUT, values).rowcount == 1


def _get(connection: QueueConnection, key: str, now_ms: int) -> str | None:
    found = connection.execute(_GET, {"key": storable(key), "now": now_ms}).fetchall()
    return found[0][0] if found else None
