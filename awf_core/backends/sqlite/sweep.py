"""Remove what has expired, a bounded piece at a time, inside write transactions that happen anyway.

Called by `publish.py`, `settle.py` and `state.py`. Expired rows are invisible before they are gone, so
nothing hurries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from awf_core.backends.sqlite.opening import QueueConnection

_EVERY_MS = 1_000
_AT_ONCE = 500
# A message in somebody's hands is left alone: it expires for waiting, not for being worked on.
_MESSAGES = """
DELETE FROM message WHERE id IN (
  SELECT id FROM message INDEXED BY message_expires
  WHERE expires <= :now AND NOT (owner IS NOT NULL AND due > :now) LIMIT :limit)"""
_STATE = """
DELETE FROM state WHERE key IN (
  SELECT key FROM state INDEXED BY state_expires WHERE expires <= :now LIMIT :limit)"""


class Sweeper:
    """Decides when to sweep: once a second, and at once again while there was a full load."""

    def __init__(self) -> None:
        self._next_ms = 0

    def sweep(self, connection: QueueConnection, now_ms: int) -> None:
        """Remove up to 500 expired messages and 500 expired state entries in the caller's transaction, if it
        is time.
        """
        if self._next_ms - _EVERY_MS <= now_ms < self._next_ms:
            return
        values = {"now": now_ms, "limit": _AT_ONCE}
        removed = [connection.execute(sql, values).rowcount for sql in (_MESSAGES, _STATE)]
        self._next_ms = now_ms if max(removed) == _AT_ONCE else now_ms + _EVERY_MS
