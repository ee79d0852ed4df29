"""The clock of a queue file: the host's monotonic clock plus a number stored in the file. Used by `opening.py`.

No step of the wall clock moves it. All processes of a host share it; after a reboot it goes on from the wall clock, and
never from before a time that it has shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from awf_core.backends.sqlite.schema import WALL_MS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STORED = "SELECT boot, start, seen FROM clock"
_SEEN = "UPDATE clock SET seen = MAX(seen, ?)"
# What external producers and earlier versions wrote are wall-clock times, so the clock starts with these.
_START = f"INSERT INTO clock(boot, start, seen) SELECT ?, {WALL_MS} - ?, {WALL_MS}"
_RESTART = f"UPDATE clock SET boot = ?, start = MAX({WALL_MS}, seen) - ?"


def boot_id() -> str:
    """Names this boot of the host; "" where the system doesn't say. Containers of one host share it."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def start_ms(connection: sqlite3.Connection, monotonic_ms: Callable[[], int]) -> int:
    """What the queue's clock showed at 0 of the host's monotonic clock. The first call of a boot stores it anew."""
    boot = boot_id()
    found = _stored(connection, boot, monotonic_ms)
    if found is not None:
        return found
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = _stored(connection, boot, monotonic_ms)
        if found is None:
            sql = _RESTART if connection.execute(_STORED).fetchone() else _START
            connection.execute(sql, (boot, monotonic_ms()))
            found = int(connection.execute(_STORED).fetchone()[1])
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return found


def note_seen(connection: sqlite3.Connection, now_ms: int) -> None:
    """Note in the caller's transaction that the clock has shown `now_ms`."""
    connection.execute(_SEEN, (now_ms,))


def _stored(connection: sqlite3.Connection, boot: str, monotonic_ms: Callable[[], int]) -> int | None:
    """The stored start; None where it is of another boot, or would set the clock back."""
    row = connection.execute(_STORED).fetchone()
    if row is None or row[0] != boot:
        return None
    start, seen = int(row[1]), int(row[2])
    return start if start + monotonic_ms() >= seen else None
