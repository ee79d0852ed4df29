"""Make one connection to a queue file that is known to be ours, current and in write-ahead mode.

Called by `connection.py` only, which translates what fails here. Never touches a file of something else.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from awf_core.backends.sqlite import schema
from awf_core.backends.sqlite.failures import primary_code
from awf_core.errors import BrokerMisconfigured, QueueMissing

if TYPE_CHECKING:
    from pathlib import Path

_WAL_LIMIT_BYTES = 64 * 1024 * 1024
_CACHE_KIB = 8192
_RETRY_S = 0.005


class QueueConnection(sqlite3.Connection):
    """A connection that knows which file it belongs to.

    store       the file's own name, see `schema.store_name`
    committing  whether its last COMMIT has not answered yet
    """

    store: str = ""
    _synchronous: str = ""
    committing: bool = False
    _file: tuple[int, int] = (0, 0)

    def set_synchronous(self, level: str) -> None:
        """Set how the next commits are written: `full` waits for the disk, `normal` leaves it to a later one."""
        if level != self._synchronous:
            self.execute(f"PRAGMA synchronous={level}")
            self._synchronous = level

    def data_version(self) -> tuple[int, int]:
        """Differs from an earlier answer when another connection, of whatever process, has committed since."""
        version: int = self.execute("PRAGMA data_version").fetchone()[0]
        return id(self), version

    def remember_file(self, path: Path) -> None:
        """Note which file lies at `path` now."""
        self._file = _file_at(path)

    def is_of(self, path: Path) -> bool:
        """Whether the file at `path` still is the one this connection was made for."""
        try:
            return _file_at(path) == self._file
        except FileNotFoundError:
            return False


def connect(path: Path, *, may_create: bool, busy_timeout_s: float) -> QueueConnection:
    """A connection in autocommit mode. Raises QueueMissing, BrokerMisconfigured, sqlite3.Error or OSError."""
    if not path.exists():
        _require_leave(path, may_create=may_create)
        path.parent.mkdir(parents=True, exist_ok=True)
    # The file gets the rights of the process's umask: several users or containers may share a queue.
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={'rwc' if may_create else 'rw'}",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
        factory=QueueConnection,
    )
    try:
        connection.remember_file(path)
        _prepare(connection, path, busy_timeout_s)
    except BaseException:
        connection.close()
        raise
    return connection


def abandon(connection: QueueConnection) -> None:
    """Never close `connection`, not even when the interpreter ends.

    For a child that inherited it: closing would take the `-wal` file away from the parent. Costs its file descriptors.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _require_leave(path: Path, *, may_create: bool) -> None:
    if not may_create:
        raise QueueMissing(
            f"{path}: there is no queue file, and mq.declare forbids creating one",
            hint="set mq.declare to auto, run `awf queue ensure` with it once, or correct mq.sqlite.path",
        )


def _prepare(connection: QueueConnection, path: Path, busy_timeout_s: float) -> None:
    # A foreign INSERT may hold any bytes as text.
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    is_current = schema.is_current(connection, path)
    _use_write_ahead_log(connection, path, busy_timeout_s)
    if not is_current:
        _migrate(connection)
    for pragma in (
        f"journal_size_limit={_WAL_LIMIT_BYTES}",
        f"cache_size=-{_CACHE_KIB}",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")
    connection.store = schema.store_name(connection)


def _use_write_ahead_log(connection: sqlite3.Connection, path: Path, busy_timeout_s: float) -> None:
    deadline = time.monotonic() + busy_timeout_s
    while True:
        # Two processes changing the mode of a new file at once: SQLite refuses one of them without waiting.
        try:
            mode: str = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_S)
    if mode != "wal":
        raise BrokerMisconfigured(
            f"{path}: SQLite can't keep a write-ahead log here (journal mode {mode!r})",
            hint="set mq.sqlite.path to a local, writable disk",
        )


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        schema.migrate(connection)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _file_at(path: Path) -> tuple[int, int]:
    found = os.stat(path)  # noqa: PTH116 - once per transaction; Path.stat costs three times as much
    return found.st_dev, found.st_ino
