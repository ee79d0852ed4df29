"""Messages that were acknowledged before they were run, in a file of this process's own. Used by `accepting.py`.

A file belongs to the process that holds its lock, and the system takes the lock from a process that is gone, however it
went. Whoever gets the lock then has the file. Never publishes or acknowledges anything.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import pika
from pika import exceptions as px

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Full: an entry has to outlive a power cut as well, since the broker has nothing any more.
_PREPARE = """
PRAGMA journal_mode = DELETE;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS accepted(
    id INTEGER PRIMARY KEY, queue TEXT NOT NULL, properties BLOB NOT NULL, body BLOB NOT NULL,
    is_redelivered INTEGER NOT NULL, seen_at_s REAL NOT NULL
);
"""
_LOCK, _DATA = ".lock", ".db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A message as it came; `seen_at_s` in epoch seconds."""

    queue: str
    properties: Any
    body: bytes
    is_redelivered: bool
    seen_at_s: float


class Journal:
    """One file and its lock. Thread-safe. Methods raise OSError and sqlite3.Error."""

    def __init__(self, lock: Path, descriptor: int) -> None:
        self._lock_path = lock
        self._data_path = lock.with_suffix(_DATA)
        self._descriptor = descriptor
        self._mutex = threading.Lock()
        self._checks = 0
        try:
            self._connection = sqlite3.connect(self._data_path, check_same_thread=False)
            self._connection.executescript(_PREPARE)
        except sqlite3.Error:
            os.close(descriptor)
            raise

    @classmethod
    def new(cls, directory: Path) -> Self:
        """A journal nobody else has, in `directory`, which is made where it is missing."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            path = directory / f"{secrets.token_hex(8)}{_LOCK}"
            descriptor = _lock(path)
            if descriptor is not None:
                return cls(path, descriptor)

    @classmethod
    def take(cls, path: Path) -> Self | None:
        """One of `paths_in`, where the process it belonged to is gone; None where it isn't, or nothing is in it."""
        descriptor = _lock(path)
        if descriptor is None:
            return None
        if path.with_suffix(_DATA).exists():
            return cls(path, descriptor)
        path.unlink(missing_ok=True)
        os.close(descriptor)
        return None

    def check(self) -> None:
        """Raise unless it can be written to now."""
        with self._mutex, self._connection:
            self._checks += 1
            self._connection.execute(f"PRAGMA user_version = {self._checks}")

    def add(self, entries: Sequence[Entry]) -> list[int]:
        """Write `entries`; once this returns they outlive the process and the machine. Returns their numbers."""
        with self._mutex, self._connection:
            return [self._insert(entry) for entry in entries]

    def remove(self, numbers: Sequence[int]) -> None:
        """Forget entries."""
        with self._mutex, self._connection:
            self._connection.executemany("DELETE FROM accepted WHERE id = ?", [(number,) for number in numbers])

    def entries(self) -> dict[int, Entry]:
        """What is in it, oldest first."""
        columns = "id, queue, properties, body, is_redelivered, seen_at_s"
        with self._mutex:
            rows = self._connection.execute(f"SELECT {columns} FROM accepted ORDER BY id").fetchall()  # noqa: S608
        return {number: _entry(*row) for number, *row in rows}

    def close(self) -> None:
        """Give it up; it is removed where it is empty, and left to others where it isn't."""
        is_empty = not self.entries()
        with self._mutex:
            self._connection.close()
            if is_empty:
                self._data_path.unlink(missing_ok=True)
                self._lock_path.unlink(missing_ok=True)
            with suppress(OSError):
                os.close(self._descriptor)

    def _insert(self, entry: Entry) -> int:
        properties = b"".join(entry.properties.encode())
        row = (entry.queue, properties, entry.body, entry.is_redelivered, entry.seen_at_s)
        done = self._connection.execute(
            "INSERT INTO accepted(queue, properties, body, is_redelivered, seen_at_s) VALUES (?, ?, ?, ?, ?)", row
        )
        return int(done.lastrowid or 0)


def is_writable(properties: Any) -> bool:
    """Whether they can be written as they were read: the client library reads more than it writes."""
    try:
        properties.encode()
    except (px.AMQPError, ValueError, TypeError, OverflowError, struct.error):
        return False
    return True


def paths_in(directory: Path) -> list[Path]:
    """All journals in `directory`, whosever they are."""
    return sorted(directory.glob(f"*{_LOCK}"))


def _entry(queue: str, properties: bytes, body: bytes, is_redelivered: int, seen_at_s: float) -> Entry:
    return Entry(
        queue=queue,
        properties=pika.BasicProperties().decode(properties),
        body=body,
        is_redelivered=bool(is_redelivered),
        seen_at_s=seen_at_s,
    )


def _lock(path: Path) -> int | None:
    """The lock of `path`, made where it is missing; None when another process has it, or has just removed it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None
