"""`ack: on_accept`: writes messages to a journal and acknowledges them before they run. `backend.py` imports it only
where that is configured, or a journal was left behind.

For runs that are longer than the broker's consumer timeout. What a worker accepted and did not finish before it died,
another worker with the same directory puts back into its queue. A journal belongs to the process that holds its lock;
the system takes the lock from a process that ends, however it ends.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Self

from pika import exceptions as px

from awf_core.crash_points import crash_point
from awf_core.errors import BrokerMisconfigured, BrokerUnavailable, LeaseLost
from awf_mq_rabbitmq.consumer_channel import ConsumerChannel
from awf_mq_rabbitmq.messages import Received, ended, retry_copy
from awf_mq_rabbitmq.settling import Answers, Settling

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from awf_core.clock import Clock
    from awf_core.errors import BrokerError
    from awf_mq_rabbitmq.connection import Connection
    from awf_mq_rabbitmq.consumer_channel import UnackedDelivery
    from awf_mq_rabbitmq.publishing import Publishing
    from awf_mq_rabbitmq.roles import Roles

CHECK_EVERY_S = 10.0
"""How often to check for journals of workers that are gone."""
CHECK_AGAIN_S = 60.0
"""The same where a message can't be put back: its queue may be gone for good, and each check logs a warning."""
READ_S = 10.0
"""How long to wait until the broker has read an acknowledgement; after that, whether it has is in doubt."""
BROKEN = (OSError, sqlite3.Error)

# Full: an entry has to outlive a power cut as well, since the broker doesn't have the message any more.
_PREPARE = """
PRAGMA journal_mode = DELETE;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS accepted(
    id INTEGER PRIMARY KEY, queue TEXT NOT NULL, properties BLOB NOT NULL, body BLOB NOT NULL,
    is_redelivered INTEGER NOT NULL
);
"""
_LOCK, _DATA = ".lock", ".db"

log = logging.getLogger("awf_mq_rabbitmq")


class EarlyAck(Settling):
    """Settling where deliveries may be acknowledged before. Thread-safe; the journal is made at the first consume.

    Without `is_on` it accepts nothing, and only puts back what workers that are gone have left in `directory`.
    """

    def __init__(
        self,
        connection: Connection,
        publishing: Publishing,
        roles: Roles,
        clock: Clock,
        reply_ttl_s: float,
        *,
        directory: Path,
        is_on: bool,
    ) -> None:
        super().__init__(connection, publishing, roles, clock, reply_ttl_s)
        self._directory = directory
        self._is_on = is_on
        self._lock = threading.Lock()
        self._journal: Journal | None = None
        self._is_broken = False
        self._check_at = 0.0

    def prepare(self) -> None:
        """Before messages are taken: check that they can be written, and put back abandoned ones.

        Raises BrokerMisconfigured.
        """
        with self._lock, self._explained("use"):
            if self._is_on and self._journal is None:
                self._journal = Journal.new(self._directory)
            if self._is_broken and self._journal is not None:
                self._journal.check()
                self._is_broken = False
        self.put_back_abandoned()

    def put_back_abandoned(self) -> None:
        """Put back what workers that are gone have left. Called often; checks now and then. Never raises."""
        with self._lock:
            if time.monotonic() < self._check_at or self._publishing.connection.is_blocked:
                return
            self._check_at = time.monotonic() + CHECK_EVERY_S
            for path in sorted(self._directory.glob(f"*{_LOCK}")):
                try:
                    journal = Journal.take(path)
                    if journal is not None:
                        self._put_back(journal, is_crash=True)
                except BROKEN as error:
                    where = self._connection.where
                    log.warning("%s: can't read the journal of a worker that is gone, %s: %s", where, path, error)

    def accept(self, deliveries: list[UnackedDelivery]) -> list[UnackedDelivery]:
        """Write and acknowledge `deliveries`; those that may run. The others are not ours any more.

        Raises BrokerMisconfigured where they can't be written; all are released then.
        """
        journal = self._journal
        if journal is None or not deliveries:
            return deliveries
        try:
            with self._explained("write to"):
                numbers = journal.add(deliveries)
        except BrokerMisconfigured:
            # The next call checks before it takes any: to take and release again and again would dead-letter messages.
            self._is_broken = True
            self.end_on_channels(deliveries, ConsumerChannel.requeue)
            raise
        crash_point("rabbitmq.journaled")
        answers = self.end_on_channels(deliveries, ConsumerChannel.accept)
        self._await_read({each.channel for each, answer in zip(deliveries, answers, strict=True) if answer is None})
        crash_point("rabbitmq.accepted")
        lost = []
        for delivery, number, answer in zip(deliveries, numbers, answers, strict=True):
            if answer is None:
                delivery.journal_id, delivery.is_settled = number, False
            else:
                lost.append(number)
        if lost:
            journal.remove(lost)
        return [delivery for delivery in deliveries if delivery.journal_id is not None]

    def acknowledge(self, deliveries: Sequence[UnackedDelivery]) -> Answers:
        """Remove from the journal what was accepted before, acknowledge the others."""
        others = [delivery for delivery in deliveries if delivery.journal_id is None]
        answers = iter(super().acknowledge(others) if others else [])
        removed = self._remove([delivery for delivery in deliveries if delivery.journal_id is not None])
        return [removed if delivery.journal_id is not None else next(answers) for delivery in deliveries]

    def close(self) -> None:
        """Put back what was accepted and is not done, as a broker does when a connection ends. The rest stays."""
        with self._lock:
            journal, self._journal = self._journal, None
            if journal is not None:
                try:
                    self._put_back(journal, is_crash=False)
                except BROKEN as error:
                    where = self._connection.where
                    log.warning("%s: what is left in %s can't be put back now: %s", where, self._directory, error)

    def _await_read(self, channels: Iterable[ConsumerChannel]) -> None:
        for channel in channels:
            is_read = threading.Event()
            if self._connection.post(partial(channel.when_read, is_read.set)):
                is_read.wait(READ_S)
            if not is_read.is_set() or not isinstance(channel.lost_by, px.ChannelClosedByClient | None):
                log.warning(
                    "%s: messages that are about to run may be redelivered: whether the broker has read their "
                    "acknowledgements is in doubt",
                    self._connection.where,
                )

    def _remove(self, deliveries: Sequence[UnackedDelivery]) -> BrokerError | None:
        journal = self._journal
        if not deliveries:
            return None
        if journal is None:
            return LeaseLost(f"{self._connection.where}: the backend was closed, and what it had accepted was put back")
        try:
            with self._explained("write to"):
                journal.remove([each.journal_id for each in deliveries if each.journal_id is not None])
        except BrokerMisconfigured as error:
            # The replies are out. The settlement is tried again, and publishes none of them twice.
            return BrokerUnavailable(error.message, hint=error.hint)
        for delivery in deliveries:
            delivery.is_settled = True
        return None

    def _put_back(self, journal: Journal, *, is_crash: bool) -> None:
        """Publish what is in it, and remove it."""
        entries = journal.entries()
        if entries:
            answers = self._publishing.publish(
                [partial(retry_copy, entry, entry.queue, ended(entry, is_crash=is_crash)) for entry in entries.values()]
            )
            journal.remove([number for number, error in zip(entries, answers, strict=True) if error is None])
            self._log_put_back(len(entries), [error for error in answers if error is not None])
        journal.close()

    def _log_put_back(self, count: int, failures: Sequence[BrokerError]) -> None:
        done = count - len(failures)
        back = (
            f"{self._connection.where}: {done} of {count} messages that a worker had accepted and not finished are back"
        )
        if failures:
            self._check_at = time.monotonic() + CHECK_AGAIN_S
            log.warning("%s; the others stay in %s: %s", back, self._directory, failures[0])
        else:
            log.warning(back)

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except BROKEN as error:
            raise BrokerMisconfigured(
                f"{self._connection.where}: can't {doing} the journal in {self._directory}: {error}",
                hint="mq.rabbitmq.ack is on_accept: give mq.rabbitmq.journal a directory that this user may write to, "
                "with room on its disk, and that outlives the worker",
            ) from error


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
        """A journal of this process alone, in `directory`, which is made where it is missing."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            path = directory / f"{secrets.token_hex(8)}{_LOCK}"
            descriptor = _lock(path)
            if descriptor is not None:
                return cls(path, descriptor)

    @classmethod
    def take(cls, path: Path) -> Self | None:
        """The journal whose lock is `path`, where its process is gone; None where it isn't, or it is empty."""
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

    def add(self, received: Sequence[Received]) -> list[int]:
        """Write messages; once this returns they outlive the process and the machine. Returns their numbers."""
        with self._mutex, self._connection:
            return [self._insert(each) for each in received]

    def remove(self, numbers: Sequence[int]) -> None:
        """Delete messages."""
        with self._mutex, self._connection:
            self._connection.executemany("DELETE FROM accepted WHERE id = ?", [(number,) for number in numbers])

    def entries(self) -> dict[int, Received]:
        """The messages by number, oldest first."""
        columns = "id, queue, properties, body, is_redelivered"
        with self._mutex:
            rows = self._connection.execute(f"SELECT {columns} FROM accepted ORDER BY id").fetchall()  # noqa: S608
        return {
            number: Received(
                queue=queue,
                raw_properties=raw_properties,
                body=body,
                is_redelivered=bool(is_redelivered),
            )
            for number, queue, raw_properties, body, is_redelivered in rows
        }

    def close(self) -> None:
        """Release the lock. Removes the file where it is empty, and leaves it to other workers where it isn't."""
        is_empty = not self.entries()
        with self._mutex:
            self._connection.close()
            if is_empty:
                self._data_path.unlink(missing_ok=True)
                self._lock_path.unlink(missing_ok=True)
            with suppress(OSError):
                os.close(self._descriptor)

    def _insert(self, each: Received) -> int:
        row = (each.queue, each.raw_properties, each.body, each.is_redelivered)
        done = self._connection.execute(
            "INSERT INTO accepted(queue, properties, body, is_redelivered) VALUES (?, ?, ?, ?)", row
        )
        return int(done.lastrowid or 0)


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
