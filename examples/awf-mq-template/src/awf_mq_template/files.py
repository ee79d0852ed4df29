"""Messages as files: names, times and atomic renames. Called by `backend.py`; knows nothing of hooks.

    <root>/q-<queue>/<id>~<attempt>~<deliveries>~<released>~<r or h>

`h` = held under a lease. The modification time is when the message is due: next, or, while held, again.
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

from awf_core.errors import BrokerUnavailable, LeaseLost, QueueMissing, Unroutable

NS = 1_000_000_000
LONGEST_NAME = 200
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
        """Where it is, as long as nobody takes, gives back or settles it."""
        counts = f"{self.attempt}~{self.deliveries}~{self.released}~{'h' if self.is_held else 'r'}"
        return self.directory / f"{self.id}~{counts}"

    @property
    def created_at(self) -> float:
        """When it was published, in epoch seconds."""
        return int(self.id.partition("-")[0]) / NS

    def read(self) -> dict[str, Any]:
        """Its content. Raises FileNotFoundError when somebody else has it now."""
        content: dict[str, Any] = json.loads(self.path.read_bytes())
        return content


class Files:
    """The queues of one root directory. Thread-safe, and safe between processes: every step is one rename."""

    def __init__(self, root: Path, *, may_create: bool) -> None:
        self.root = root
        self._may_create = may_create

    def queue(self, name: str) -> Path:
        """The directory of a queue, made where that is allowed. Raises QueueMissing, Unroutable, BrokerUnavailable."""
        directory = self.place(name)
        if not directory.is_dir():
            if not self._may_create:
                raise QueueMissing(
                    f"{directory}: there is no queue {name!r}", hint="create it, or set `mq.declare: auto`"
                )
            with told(directory, "create the queue"):
                directory.mkdir(parents=True, exist_ok=True)
        return directory

    def place(self, name: str) -> Path:
        """Where the queue is or would be. Raises Unroutable for a name no queue can have."""
        quoted = quote(name, safe="")
        if not 0 < len(quoted) <= LONGEST_NAME:
            raise Unroutable(f"{self.root}: {name[:60]!r} can't be the name of a queue", hint="use a shorter name")
        return self.root / f"q-{quoted}"

    def put(self, queue: Path, content: dict[str, Any], *, due_at: float) -> None:
        """Add a message: written aside, synced, then renamed into place whole."""
        entry = Entry(directory=queue, id=f"{time.time_ns():020d}-{next(_NUMBERS):06d}-{secrets.token_hex(4)}")
        aside = self.root / f".new-{entry.id}"
        with told(aside, "store a message"):
            with aside.open("xb") as file:
                file.write(json.dumps(content).encode())
                file.flush()
                os.fsync(file.fileno())
            os.utime(aside, ns=(0, int(due_at * NS)))
            aside.rename(entry.path)

    def entries(self, queue: str) -> list[tuple[float, Entry]]:
        """(due, entry) of every message, in order of their times. An absent queue is empty."""
        directory = self.place(queue)
        found: list[tuple[float, Entry]] = []
        with told(directory, "look into the queue"):
            if not directory.is_dir():
                return []
            for item in os.scandir(directory):
                try:
                    found.append((item.stat().st_mtime_ns / NS, _parsed(directory, item.name)))
                except FileNotFoundError:
                    continue
        return sorted(found, key=lambda pair: (pair[0], pair[1].id))

    def take(self, entry: Entry, *, until: float) -> Entry | None:
        """Hand out a message under a lease; None when another was faster."""
        taken = replace(entry, deliveries=entry.deliveries + 1, is_held=True)
        try:
            # The lease first: a death between the two steps leaves a message that comes again when it ends.
            os.utime(entry.path, ns=(0, int(until * NS)))
            entry.path.rename(taken.path)
        except FileNotFoundError:
            return None
        return taken

    def give_back(self, entry: Entry, *, due_at: float, is_counted: bool) -> None:
        """Let it be taken again from `due_at` on. Raises LeaseLost."""
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
        """The message is done. Raises LeaseLost."""
        with fenced(entry):
            entry.path.unlink()

    def move(self, entry: Entry, target: Path) -> bool:
        """To another queue, afresh; False when it isn't there any more."""
        moved = Entry(directory=target, id=entry.id)
        try:
            os.utime(entry.path)
            entry.path.rename(moved.path)
        except FileNotFoundError:
            return False
        return True


@contextmanager
def fenced(entry: Entry) -> Iterator[None]:
    """A file that is gone was taken, given back or settled: the delivery is not ours any more."""
    try:
        with told(entry.path, "settle a message"):
            yield
    except FileNotFoundError:
        raise LeaseLost(f"{entry.path}: this delivery is not ours any more", hint="nothing was changed") from None


@contextmanager
def told(path: Path, doing: str) -> Iterator[None]:
    """Turn the system's errors into the contract's; FileNotFoundError has a meaning and passes."""
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
