"""Messages as files: names, times and atomic renames. Called by `backend.py`.

    <root>/q-<queue>/<id>~<attempt>~<deliveries>~<released>~<r or h>

`h` = held under a lease. The modification time is when the message is due; of a held one, when its lease ends.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
    released: int = 0
    is_held: bool = False

    @property
    def path(self) -> Path:
        """Its file, until a consumer takes, releases or settles it."""
        counts = f"{self.attempt}~{self.deliveries}~{self.released}~{'h' if self.is_held else 'r'}"
        return self.directory / f"{self.id}~{counts}"

    @property
    def created_at(self) -> float:
        """Epoch seconds of its publishing."""
        return int(self.id.partition("-")[0]) / NS

    def read(self) -> dict[str, Any]:
        """Its content. Raises FileNotFoundError when another consumer has taken it."""
        content: dict[str, Any] = json.loads(self.path.read_bytes())
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

    def place(self, name: str) -> Path:
        """The directory of a queue, existing or not."""
        return self.root / f"q-{quote(name, safe='')}"

    def put(self, queue: Path, content: dict[str, Any], *, due_at: float) -> None:
        """Add a message: write it to another file, sync that, then rename it."""
        entry = Entry(directory=queue, id=f"{time.time_ns():020d}-{next(_NUMBERS):06d}-{secrets.token_hex(4)}")
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
        directory = self.place(queue)
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

    def take(self, entry: Entry, *, until: float) -> Entry | None:
        """Take a message under a lease; None when another consumer was faster."""
        taken = replace(entry, deliveries=entry.deliveries + 1, is_held=True)
        try:
            # The lease first: after a crash between the two steps the message is redelivered when the lease ends.
            os.utime(entry.path, ns=(0, int(until * NS)))
            entry.path.rename(taken.path)
        except FileNotFoundError:
            return None
        return taken

    def release(self, entry: Entry, *, due_at: float, is_counted: bool) -> None:
        """Make it ready from `due_at` on. Raises LeaseLost."""
        free = replace(
            entry, attempt=entry.attempt + is_counted, released=entry.released + (not is_counted), is_held=False
        )
        with fenced(entry):
            os.utime(entry.path, ns=(0, int(due_at * NS)))
            entry.path.rename(free.path)

    def extend(self, entry: Entry, *, until: float) -> None:
        """Renew a lease. Raises LeaseLost."""
        with fenced(entry):
            os.utime(entry.path, ns=(0, int(until * NS)))

    def remove(self, entry: Entry) -> None:
        """Delete the message. Raises LeaseLost."""
        with fenced(entry):
            entry.path.unlink()

    def move(self, entry: Entry, target: Path) -> bool:
        """Move it to another queue, with new counters; False when it is gone."""
        moved = Entry(directory=target, id=entry.id)
        try:
            os.utime(entry.path)
            entry.path.rename(moved.path)
        except FileNotFoundError:
            return False
        return True


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


def _parsed(directory: Path, name: str) -> Entry:
    message_id, attempt, deliveries, released, state = name.split("~")
    return Entry(
        directory=directory,
        id=message_id,
        attempt=int(attempt),
        deliveries=int(deliveries),
        released=int(released),
        is_held=state == "h",
    )
