"""Open one connection to a queue file of this version, in write-ahead mode. Refuse network file systems.

Called by `connection.py`, which translates the errors, and by `backend.py`. Never changes a file of another program.
"""

from __future__ import annotations

import ctypes
import os
import re
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from awf_core.backends.sqlite import queue_clock, schema
from awf_core.backends.sqlite.failures import primary_code
from awf_core.errors import BrokerMisconfigured, QueueMissing

if TYPE_CHECKING:
    from collections.abc import Callable

_WAL_LIMIT_BYTES = 64 * 1024 * 1024
_CACHE_KIB = 8192
_RETRY_S = 0.005
_MOUNT_TABLE = Path("/proc/self/mountinfo")
_NETWORK = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.cephfs", "fuse.gcsfuse", "fuse.glusterfs",
    "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2",
    "smb2", "smb3", "smbfs", "sshfs",
})  # fmt: skip
_OCTAL = re.compile(r"\\([0-7]{3})")


class QueueConnection(sqlite3.Connection):
    """A connection that knows its file.

    store       the file's own name, see `schema.store_name`
    start_ms    what the queue's clock showed when `monotonic` showed 0, see `queue_clock.py`
    committing  whether its last COMMIT has not returned yet
    """

    store: str = ""
    start_ms: int = 0
    monotonic: Callable[[], float] = time.monotonic
    _synchronous: str = ""
    committing: bool = False
    _file: tuple[int, int] = (0, 0)

    def set_synchronous(self, level: str) -> None:
        """Set how the next commits are written: `full` waits for the disk, `normal` leaves it to a later one."""
        if level != self._synchronous:
            self.execute(f"PRAGMA synchronous={level}")
            self._synchronous = level

    def now_ms(self) -> int:
        """Milliseconds of the queue's clock."""
        return self.start_ms + self.monotonic_ms()

    def monotonic_ms(self) -> int:
        """Milliseconds of the host's monotonic clock."""
        return int(self.monotonic() * 1000)

    def data_version(self) -> tuple[int, int]:
        """Differs from an earlier value when another connection of any process has committed since."""
        version: int = self.execute("PRAGMA data_version").fetchone()[0]
        return id(self), version

    def remember_file(self, path: Path) -> None:
        """Note which file lies at `path` now."""
        self._file = _file_at(path)

    def is_of(self, path: Path) -> bool:
        """Whether the file at `path` still is the one this connection was opened for."""
        try:
            return _file_at(path) == self._file
        except FileNotFoundError:
            return False


def refuse_network(path: Path) -> None:
    """Raise BrokerMisconfigured when `path`, existing or not, lies on a network file system.

    The index of the write-ahead log is memory shared between processes, which no network file system provides across
    hosts. Without a mount table to read (not Linux), nothing is refused.
    """
    try:
        table = _MOUNT_TABLE.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    check_mounts(path.resolve(), table)


def check_mounts(path: Path, mountinfo: str) -> None:
    """As `refuse_network`, for the text of a mount table; `path` is absolute and free of symbolic links."""
    mount_point, kind = mount_of(path, mountinfo)
    if kind in _NETWORK:
        raise BrokerMisconfigured(
            f"{path}: lies on {mount_point}, a network file system ({kind}), where the queue file isn't safe",
            hint="set mq.sqlite.path to a local disk; between hosts use redis, rabbitmq or sqs",
        )


def mount_of(path: Path, mountinfo: str) -> tuple[str, str]:
    """(mount point, file system type) that `path` lies on; ("", "") when the table doesn't say."""
    found = ("", "")
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        # The last of several mounts at one place is the one on top.
        if path.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, after.split(" ")[0])
    return found


def connect(path: Path, *, may_create: bool, busy_timeout_s: float, monotonic: Callable[[], float]) -> QueueConnection:
    """A connection in autocommit mode; `monotonic` is the host's clock.

    Raises QueueMissing, BrokerMisconfigured, sqlite3.Error or OSError.
    """
    if not path.exists():
        _check_may_create(path, may_create=may_create)
        _create_private(path)
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={'rwc' if may_create else 'rw'}",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
        factory=QueueConnection,
    )
    try:
        connection.monotonic = monotonic
        connection.remember_file(path)
        _prepare(connection, path, busy_timeout_s)
    except BaseException:
        connection.close()
        raise
    return connection


def abandon(connection: QueueConnection) -> None:
    """Never close `connection`, not even when the interpreter ends.

    For a child that inherited it: a close would remove the parent's `-wal` file. Its file descriptors stay open.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _check_may_create(path: Path, *, may_create: bool) -> None:
    if not may_create:
        raise QueueMissing(
            f"{path}: there is no queue file, and mq.declare forbids creating one",
            hint="set mq.declare to auto, run `awf queue ensure` with it once, or correct mq.sqlite.path",
        )


def _create_private(path: Path) -> None:
    """Create the file, and the directories that are missing, for their owner only.

    Messages may hold what other users must not read. SQLite gives `-wal` and `-shm` the mode of the file.
    """
    for directory in reversed([each for each in path.parents if not each.exists()]):
        directory.mkdir(mode=0o700, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _prepare(connection: QueueConnection, path: Path, busy_timeout_s: float) -> None:
    # An external client's INSERT may hold any bytes as text.
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
    connection.start_ms = queue_clock.start_ms(connection, connection.monotonic_ms)


def _use_write_ahead_log(connection: sqlite3.Connection, path: Path, busy_timeout_s: float) -> None:
    deadline = time.monotonic() + busy_timeout_s
    while True:
        # When two processes change the mode of a new file at once, SQLite refuses one of them without a wait.
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
