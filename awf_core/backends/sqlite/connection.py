"""The two connections of a process to its queue file, transactions on them, and the wait for a change of the file.

One connection writes, one reads. Each has a lock and serves one thread at a time, so writers of one process take turns
instead of spinning on SQLite's lock. Only the contract's errors leave this module, and no transaction stays open.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from awf_core.backends.sqlite import failures
from awf_core.backends.sqlite.opening import QueueConnection, abandon, connect
from awf_core.errors import BrokerError, BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_FORK_BROKER_AWAY_S = 10.0
_RETRY_S = 0.001
_LOCK_POLL_S = 0.05
_SHORTEST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.05
_PAUSE_GROWTH = 1.5
# After these errors a new connection may work where the old one doesn't.
_DISCARD_AFTER = frozenset({
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PROTOCOL,
})  # fmt: skip


class GaveUp(Exception):
    """`give_up` ended the wait for the write lock. Never leaves this package."""


def never() -> bool:
    """A `give_up` that waits on."""
    return False


class _Slot:
    """A connection, opened at its first use, and the lock that gives it to one thread at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: QueueConnection | None = None

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


class Connections:
    """The connections to one queue file. Thread-safe; survives a fork on both sides."""

    def __init__(
        self,
        path: Path,
        *,
        synchronous: str,
        busy_timeout_s: float,
        may_create: bool,
        monotonic: Callable[[], float],
    ) -> None:
        self.path = path
        self._monotonic = monotonic
        self._synchronous = synchronous
        self._busy_timeout_s = busy_timeout_s
        self._may_create = may_create
        self._is_open = False
        self._writer = _Slot()
        self._reader = _Slot()
        self._taken_for_fork: list[_Slot] = []
        _ALL.add(self)

    def open(self) -> None:
        """Connect, making the file and its tables where allowed. Idempotent."""
        self._is_open = True
        try:
            with self.writing("open the queue"):
                pass
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file once running calls have ended. Idempotent."""
        self._is_open = False
        for slot in (self._writer, self._reader):
            with slot.lock:
                slot.close()

    def now_ms(self) -> int:
        """Milliseconds of the queue's clock."""
        with self.reading("read the queue's clock") as connection:
            return connection.now_ms()

    @contextmanager
    def reading(self, doing: str) -> Iterator[QueueConnection]:
        """The connection for single SELECTs; `doing` completes "can't ..." in errors."""
        with self._reader.lock, self._translated(self._reader, doing):
            yield self._connected(self._reader)

    @contextmanager
    def writing(
        self, doing: str, *, durable: bool = True, give_up: Callable[[], bool] = never
    ) -> Iterator[QueueConnection]:
        """A write transaction: committed at the end, rolled back on any exception.

        `durable=False`: a power cut may lose this commit, and its only consequence is a redelivery. Raises GaveUp when
        `give_up()` turns true during the wait for the write lock.
        """
        _acquire(self._writer.lock, give_up)
        try:
            with self._translated(self._writer, doing):
                connection = self._connected(self._writer)
                connection.set_synchronous(self._synchronous if durable else "normal")
                self._begin(connection, give_up)
                try:
                    yield connection
                except BaseException:
                    _rollback(connection)
                    raise
                connection.committing = True
                connection.execute("COMMIT")
                connection.committing = False
        finally:
            self._writer.lock.release()

    def _connected(self, slot: _Slot) -> QueueConnection:
        if not self._is_open:
            raise BrokerUnavailable(f"{self.path}: the queue is not open", hint="call awf_mq_open first")
        connection = slot.connection
        if connection is not None and not connection.is_of(self.path):
            # The file was deleted or replaced: no other process sees the old one. Closing is safe: SQLite keeps the log
            # of a database that has moved.
            slot.close()
            connection = None
        if connection is None:
            connection = slot.connection = connect(
                self.path,
                may_create=self._may_create,
                busy_timeout_s=self._busy_timeout_s,
                monotonic=self._monotonic,
            )
            if slot is self._writer:
                connection.execute("PRAGMA busy_timeout=0")
        return connection

    def _begin(self, connection: sqlite3.Connection, give_up: Callable[[], bool]) -> None:
        # SQLite's own busy handler sleeps up to 100 ms at a time. Beside a process that writes without pause, such a
        # writer hardly ever gets the lock, so the handler is switched off here.
        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if failures.primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
            else:
                return
            if give_up():
                raise GaveUp
            if not self._is_open:
                raise BrokerUnavailable(f"{self.path}: the queue was closed", hint="call awf_mq_open first")
            time.sleep(_RETRY_S)

    @contextmanager
    def _translated(self, slot: _Slot, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._error_of(slot, error, doing) from error
        except OSError as error:
            raise failures.os_error(error, path=self.path, doing=doing) from error
        except MemoryError as error:
            raise failures.no_memory(path=self.path, doing=doing) from error

    def _error_of(self, slot: _Slot, error: sqlite3.Error, doing: str) -> BrokerError:
        connection, committing = slot.connection, False
        if connection is not None:
            committing, connection.committing = connection.committing, False
            _rollback(connection)
            if connection.in_transaction or failures.primary_code(error) in _DISCARD_AFTER:
                slot.close()
        return failures.broker_error(
            error, path=self.path, doing=doing, busy_timeout_s=self._busy_timeout_s, committing=committing
        )

    def before_fork(self) -> None:
        """Close both connections: a child must not share SQLite's locks."""
        for slot in (self._writer, self._reader):
            if slot.lock.acquire(timeout=_FORK_BROKER_AWAY_S):
                self._taken_for_fork.append(slot)
                slot.close()

    def after_fork_in_parent(self) -> None:
        """Let calls continue; they connect again."""
        for slot in self._taken_for_fork:
            slot.lock.release()
        self._taken_for_fork.clear()

    def after_fork_in_child(self) -> None:
        """Start with no connection and free locks."""
        for slot in (self._writer, self._reader):
            if slot.connection is not None:
                abandon(slot.connection)
        self._writer, self._reader = _Slot(), _Slot()
        self._taken_for_fork.clear()


class Waker:
    """How a consume sleeps until the file has changed, without busy polling. Thread-safe.

    A write of this process wakes it through a condition. A write of another process shows in the file's version, which
    is polled with growing pauses.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._changes = 0
        self._stopped = False
        _ALL_WAKERS.add(self)

    @property
    def is_stopped(self) -> bool:
        """Whether consumes return at once."""
        return self._stopped

    @property
    def changes(self) -> int:
        """Grows with every notify. Read it before the check for messages, and pass it to `wait`."""
        return self._changes

    def notify(self) -> None:
        """A message may have become ready."""
        with self._condition:
            self._changes += 1
            self._condition.notify_all()

    def stop(self) -> None:
        """End every wait until `restart`."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def restart(self) -> None:
        """Allow waits again."""
        with self._condition:
            self._stopped = False

    def wait(self, seen_changes: int, has_changed: Callable[[], bool], wait_s: float) -> None:
        """Return when `changes` differs from `seen_changes`, `has_changed()` is true, the waker is stopped, or `wait_s`
        seconds are over. Calls `has_changed` every 5 to 50 ms.
        """
        end, pause_s = time.monotonic() + wait_s, _SHORTEST_PAUSE_S
        while (left_s := end - time.monotonic()) > 0:
            with self._condition:
                if self._stopped or self._changes != seen_changes:
                    return
                self._condition.wait(min(pause_s, left_s))
            if has_changed():
                return
            pause_s = min(pause_s * _PAUSE_GROWTH, _LONGEST_PAUSE_S)

    def after_fork_in_child(self) -> None:
        """Start with a free condition: the threads that waited on it, or held it, are not in the child."""
        self._condition = threading.Condition()


def _acquire(lock: threading.Lock, give_up: Callable[[], bool]) -> None:
    while not lock.acquire(timeout=_LOCK_POLL_S):
        if give_up():
            raise GaveUp


def _rollback(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


_ALL: weakref.WeakSet[Connections] = weakref.WeakSet()
_ALL_WAKERS: weakref.WeakSet[Waker] = weakref.WeakSet()


def _before_fork() -> None:
    for connections in list(_ALL):
        connections.before_fork()


def _after_fork_in_parent() -> None:
    for connections in list(_ALL):
        connections.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for connections in list(_ALL):
        connections.after_fork_in_child()
    for waker in list(_ALL_WAKERS):
        waker.after_fork_in_child()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
