"""Messages as files: names, times and atomic renames. Called by `backend.py`.

    <root>/q-<queue>/<id>~<attempt>~<deliveries>~<first delivery>~<crashed deliveries>~<owner, or nothing>

A message with an owner is held under a lease. The modification time is when the message is due; of a held one, when its
lease ends. A file begins with the message as a line of JSON; each further line is a later history. Times are those of
the host, which is the broker here: another broker has a clock of its own, which no step of a wall clock moves.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from awf_core.errors import BrokerUnavailable, LeaseLost, QueueMissing

NS = 1_000_000_000
MAX_QUEUE_NAME_BYTES = (255 - len("q-")) // len("%00")
"""A file name has at most 255 bytes, and `quote` may write three for one."""
_NUMBERS = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A message by its file name. `directory` is its queue's."""

    directory: Path
    id: str
    attempt: int = 1
    deliveries: int = 0
    first_ns: int = 0
    crashed: tuple[int, ...] = ()
    owner: str = ""

    @property
    def is_held(self) -> bool:
        """Whether a delivery of it was not settled; its lease may have ended."""
        return self.owner != ""

    @property
    def path(self) -> Path:
        """Its file, until a consumer takes, releases or settles it."""
        crashed = "-".join(map(str, self.crashed))
        counts = f"{self.attempt}~{self.deliveries}~{self.first_ns}~{crashed}~{self.owner}"
        return self.directory / f"{self.id}~{counts}"

    @property
    def created_at(self) -> float:
        """Epoch seconds of its publishing."""
        return int(self.id.partition("-")[0]) / NS

    def read(self) -> dict[str, Any]:
        """Its content. Raises FileNotFoundError when another consumer has taken it."""
        first, *later = self.path.read_bytes().split(b"\n")
        content: dict[str, Any] = json.loads(first)
        for line in later:
            with suppress(ValueError):  # the process died in the middle of this line
                content["history"] = json.loads(line)
        return content


class Files:
    """The queues of one root directory. Thread-safe, and safe between processes: every step is one rename."""

    def __init__(self, root: Path, *, may_create: bool) -> None:
        self.root = root
        self._may_create = may_create

    def queue(self, name: str) -> Path:
        """The directory of a queue, created where that is allowed. Raises QueueMissing, BrokerUnavailable."""
        directory = self.place(name)
        if not directory.is_dir():
            if not self._may_create:
                raise QueueMissing(
                    f"{directory}: there is no queue {name!r}", hint="create it, or set `mq.declare: auto`"
                )
            with system_errors(directory, "create the queue"):
                directory.mkdir(parents=True, exist_ok=True)
        return directory

    def note_role(self, name: str, role: str) -> None:
        """Note what a queue is for; the latest note counts."""
        file = self._role_file(name)
        with system_errors(file, "note what the queue is for"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(role, encoding="utf-8")

    def role(self, name: str) -> str | None:
        """What a queue is for; None where no note says so."""
        file = self._role_file(name)
        with system_errors(file, "find out what the queue is for"):
            return file.read_text(encoding="utf-8") if file.exists() else None

    def _role_file(self, name: str) -> Path:
        return self.root / "roles" / self.place(name).name

    def place(self, name: str) -> Path:
        """The directory of a queue, existing or not."""
        return self.root / f"q-{quote(name, safe='')}"

    def put(self, queue: Path, content: dict[str, Any], *, due_at: float) -> None:
        """Add a message: write it to another file, sync that, then rename it."""
        entry = Entry(directory=queue, id=_new_id())
        new = self.root / f".new-{entry.id}"
        with system_errors(new, "store a message"):
            with new.open("xb") as file:
                file.write(json.dumps(content).encode())
                file.flush()
                os.fsync(file.fileno())
            os.utime(new, ns=(0, int(due_at * NS)))
            new.rename(entry.path)

    def entries(self, queue: str) -> list[tuple[float, Entry]]:
        """(due time, entry) of every message, in order of due times. An absent queue is empty."""
        return self.entries_in(self.place(queue))

    def entries_in(self, directory: Path) -> list[tuple[float, Entry]]:
        """The same, for the directory of a queue."""
        found: list[tuple[float, Entry]] = []
        with system_errors(directory, "read the queue"):
            if not directory.is_dir():
                return []
            for item in os.scandir(directory):
                try:
                    found.append((item.stat().st_mtime_ns / NS, _parsed(directory, item.name)))
                except FileNotFoundError:
                    continue
        return sorted(found, key=lambda pair: (pair[0], pair[1].id))

    def take(self, entry: Entry, *, owner: str, until: float) -> Entry | None:
        """Take a message under a lease; None when another consumer was faster.

        The lease of another owner ended: that delivery counts as a crash, until its owner shows that it lives.
        """
        is_crash = entry.is_held and entry.owner != owner
        taken = replace(
            entry,
            deliveries=entry.deliveries + 1,
            first_ns=entry.first_ns or time.time_ns(),
            crashed=(*entry.crashed, entry.deliveries) if is_crash else entry.crashed,
            owner=owner,
        )
        try:
            # The lease first: after a crash between the two steps the message is redelivered when the lease ends.
            os.utime(entry.path, ns=(0, int(until * NS)))
            entry.path.rename(taken.path)
        except FileNotFoundError:
            return None
        return taken

    def release(self, entry: Entry, history: list[dict[str, Any]], *, due_at: float, is_counted: bool) -> None:
        """Make it ready from `due_at` on. Raises LeaseLost."""
        free = replace(entry, attempt=entry.attempt + is_counted, owner="")
        with fenced(entry):
            with os.fdopen(os.open(entry.path, os.O_WRONLY | os.O_APPEND), "ab") as file:
                file.write(b"\n" + json.dumps(history).encode())
                file.flush()
                os.fsync(file.fileno())
            os.utime(entry.path, ns=(0, int(due_at * NS)))
            entry.path.rename(free.path)

    def extend(self, entry: Entry, *, until: float) -> None:
        """Renew a lease, also one that ended. Raises LeaseLost; then this delivery is a crash no more."""
        try:
            with fenced(entry):
                os.utime(entry.path, ns=(0, int(until * NS)))
        except LeaseLost:
            if any(later.id == entry.id for _, later in self.entries_in(entry.directory)):
                self._alive(entry.id, entry.deliveries).touch()
            raise

    def crashes(self, entry: Entry) -> int:
        """How many of its deliveries ended in a crash."""
        return sum(not self._alive(entry.id, number).exists() for number in entry.crashed)

    def remove(self, entry: Entry) -> None:
        """Delete the message. Raises LeaseLost."""
        with fenced(entry):
            entry.path.unlink()
        self._forget(entry)

    def move(self, entry: Entry, target: Path) -> bool:
        """Move it to another queue, with a new id and new counters; False when it is gone.

        The new id makes every receipt from before invalid.
        """
        moved = Entry(directory=target, id=_new_id())
        try:
            os.utime(entry.path)
            entry.path.rename(moved.path)
        except FileNotFoundError:
            return False
        self._forget(entry)
        return True

    def _alive(self, message_id: str, delivery: int) -> Path:
        """The file that says that the owner of this delivery lives."""
        return self.root / f".alive-{message_id}~{delivery}"

    def _forget(self, entry: Entry) -> None:
        for number in entry.crashed:
            self._alive(entry.id, number).unlink(missing_ok=True)


@contextmanager
def fenced(entry: Entry) -> Iterator[None]:
    """Raise LeaseLost when the file is gone: its delivery was taken by another consumer, released or settled."""
    try:
        with system_errors(entry.path, "settle a message"):
            yield
    except FileNotFoundError:
        raise LeaseLost(f"{entry.path}: this delivery is lost", hint="nothing was changed") from None


@contextmanager
def system_errors(path: Path, doing: str) -> Iterator[None]:
    """Raise the contract's error for an OSError. FileNotFoundError passes: the caller handles it."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        hint = "check that the directory exists, is writable and has space"
        raise BrokerUnavailable(f"{path}: can't {doing}: {error.strerror}", hint=hint) from error


def _new_id() -> str:
    return f"{time.time_ns():020d}-{next(_NUMBERS):06d}-{secrets.token_hex(4)}"


def _parsed(directory: Path, name: str) -> Entry:
    message_id, attempt, deliveries, first_ns, crashed, owner = name.split("~")
    return Entry(
        directory=directory,
        id=message_id,
        attempt=int(attempt),
        deliveries=int(deliveries),
        first_ns=int(first_ns),
        crashed=tuple(int(number) for number in crashed.split("-") if number),
        owner=owner,
    )
