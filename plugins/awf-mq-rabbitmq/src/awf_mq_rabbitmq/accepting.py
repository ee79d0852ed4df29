"""`ack: on_accept`: messages are written down and acknowledged before they run. Called by `session.py`.

For runs longer than a broker lets anybody hold a message. What a worker that is gone had accepted and not finished is
put back into its queue by whoever comes by next and shares the directory.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from awf_core.crash_points import crash_point
from awf_core.errors import BrokerMisconfigured, BrokerUnavailable, LeaseLost
from awf_mq_rabbitmq.journal import Entry, Journal, is_writable, paths_in
from awf_mq_rabbitmq.wire import recovered_parcel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from awf_core.errors import BrokerError
    from awf_mq_rabbitmq.consuming import Consuming
    from awf_mq_rabbitmq.lane import Held
    from awf_mq_rabbitmq.publishing import Publishing

LOOK_EVERY_S = 10.0
"""How often to look for what workers that are gone have left."""
LOOK_AGAIN_S = 60.0
"""The same where something can't be put back: its queue may be gone for good, and each look says so."""
BROKEN = (OSError, sqlite3.Error)

log = logging.getLogger("awf_mq_rabbitmq")


class Accepting:
    """The journal and those of others. Thread-safe; the file is made at the first consume."""

    def __init__(
        self, directory: Path, consuming: Consuming, publishing: Publishing, *, where: str, is_on: bool
    ) -> None:
        self._directory = directory
        self._consuming = consuming
        self._publishing = publishing
        self._where = where
        self._is_on = is_on
        self._lock = threading.Lock()
        self._journal: Journal | None = None
        self._is_broken = False
        self._look_at = 0.0

    def prepare(self) -> None:
        """Before messages are taken: see that they can be written down, and put back what others left.

        Raises BrokerMisconfigured.
        """
        with self._lock, self._explained("use"):
            if self._is_on and self._journal is None:
                self._journal = Journal.new(self._directory)
            if self._is_broken and self._journal is not None:
                self._journal.check()
                self._is_broken = False
        self.look_around()

    def look_around(self) -> None:
        """Put back what workers that are gone have left. Called often; looks now and then. Never raises."""
        with self._lock:
            if time.monotonic() < self._look_at or self._publishing.is_blocked:
                return
            self._look_at = time.monotonic() + LOOK_EVERY_S
            for path in paths_in(self._directory):
                self._adopt(path)

    def accept(self, helds: list[Held]) -> list[Held]:
        """Those of `helds` that may run: written down and acknowledged, or held as ever where they can't be written.

        Others are not ours any more. Raises BrokerMisconfigured, and all of them went back then.
        """
        bound = [held for held in helds if not is_writable(held.properties)]
        return bound + self._accept([held for held in helds if held not in bound])

    def _accept(self, helds: list[Held]) -> list[Held]:
        if self._journal is None or not helds:
            return helds
        try:
            with self._explained("write to"):
                numbers = self._journal.add([_entry(held) for held in helds])
        except BrokerMisconfigured:
            # The next call looks before it takes anything: to take and give back again and again would bury messages.
            self._is_broken = True
            self._consuming.requeue(helds)
            raise
        crash_point("rabbitmq.journaled")
        answers = self._consuming.accept(helds)
        crash_point("rabbitmq.accepted")
        accepted, lost = [], []
        for held, number, answer in zip(helds, numbers, answers, strict=True):
            if answer is None:
                held.entry, held.is_settled = number, False
                accepted.append(held)
            else:
                lost.append(number)
        if lost:
            self._journal.remove(lost)
        return accepted

    def end(self, helds: Sequence[Held]) -> list[BrokerError | None]:
        """Strike out what was accepted before, acknowledge the others."""
        bound = [held for held in helds if held.entry is None]
        answers = iter(self._consuming.ack(bound) if bound else [])
        struck = self._strike_out([held for held in helds if held.entry is not None])
        return [struck if held.entry is not None else next(answers) for held in helds]

    def close(self) -> None:
        """Put back what was accepted and is not done, as an ended connection would; what can't be put back stays."""
        with self._lock:
            journal, self._journal = self._journal, None
            if journal is not None:
                try:
                    self._put_back(journal)
                except BROKEN as error:
                    log.warning("%s: what is left in %s can't be put back now: %s", self._where, self._directory, error)

    def _adopt(self, path: Path) -> None:
        """Put back what is in a journal whose process is gone."""
        try:
            journal = Journal.take(path)
            if journal is not None:
                self._put_back(journal)
        except BROKEN as error:
            log.warning("%s: can't read the journal of a worker that is gone, %s: %s", self._where, path, error)

    def _strike_out(self, helds: Sequence[Held]) -> BrokerError | None:
        journal = self._journal
        if not helds:
            return None
        if journal is None:
            return LeaseLost(f"{self._where}: the backend was closed, and what it had accepted was put back")
        try:
            with self._explained("write to"):
                journal.remove([held.entry for held in helds if held.entry is not None])
        except BrokerMisconfigured as error:
            # The replies are out; the settlement is tried again, and publishes none of them twice.
            return BrokerUnavailable(error.message, hint=error.hint)
        for held in helds:
            held.is_settled = True
        return None

    def _put_back(self, journal: Journal) -> None:
        """Publish what is in it, and remove it."""
        entries = journal.entries()
        if entries:
            answers = self._publishing.publish([recovered_parcel(entry) for entry in entries.values()])
            journal.remove([number for number, error in zip(entries, answers, strict=True) if error is None])
            self._say(len(entries), [error for error in answers if error is not None])
        journal.close()

    def _say(self, count: int, failures: Sequence[BrokerError]) -> None:
        done = count - len(failures)
        back = f"{self._where}: {done} of {count} messages that a worker had accepted and not finished are back"
        if failures:
            self._look_at = time.monotonic() + LOOK_AGAIN_S
            log.warning("%s; the others stay in %s: %s", back, self._directory, failures[0])
        else:
            log.warning(back)

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except BROKEN as error:
            raise BrokerMisconfigured(
                f"{self._where}: can't {doing} the journal in {self._directory}: {error}",
                hint="mq.rabbitmq.ack is on_accept: give mq.rabbitmq.journal a directory that this user may write to, "
                "with room on its disk, and that outlives the worker",
            ) from error


def _entry(held: Held) -> Entry:
    return Entry(
        queue=held.queue,
        properties=held.properties,
        body=held.body,
        is_redelivered=held.is_redelivered,
        seen_at_s=held.seen_at_s,
    )
