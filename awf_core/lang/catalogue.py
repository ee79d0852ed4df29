"""Loaded workflows by name, read again only when their file changes.

Called for every message; a check costs one `stat` per directory up to the one that holds the file. It remembers
workflows that it found, never names that it did not find: a workflow that is added later is found at once.
"""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

from awf_core.clock import Clock, SystemClock
from awf_core.lang.discovery import Discovery
from awf_core.lang.load import load_workflow
from awf_core.lang.model import Workflow
from awf_core.lang.problems import LoadError
from awf_core.lang.step_types import StepTypes

DEFAULT_MAX_ENTRIES = 512
SETTLED_AFTER_S = 0.1
"""A file younger than this is not remembered: one more write could leave its time stamp and size as they are."""

Identity = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    candidates: tuple[str, ...]
    path: str
    identity: Identity | None
    loaded: Workflow | LoadError


class Catalogue:
    """Workflows by name. Thread-safe; files are loaded one at a time.

    `max_entries` names are remembered; beyond that the oldest are forgotten and loaded again when asked for.
    `recheck_s` is how long a checked file is trusted; 0 checks every time. A worker passes a time shorter than a user
    needs to change a file and submit a message for it, and so pays for one check per batch instead of per message.
    """

    def __init__(
        self,
        discovery: Discovery,
        step_types: StepTypes,
        *,
        max_entries: int = DEFAULT_MAX_ENTRIES,
        clock: Clock | None = None,
        recheck_s: float = 0.0,
    ) -> None:
        self._discovery = discovery
        self._step_types = step_types
        self._max_entries = max_entries
        self._clock = clock or SystemClock()
        self._recheck_s = recheck_s
        self._entries: dict[tuple[str, bool], _Entry] = {}
        self._trusted_until: dict[tuple[str, bool], float] = {}
        self._lock = threading.Lock()

    def get(self, name: str, *, allow_paths: bool = False) -> Workflow:
        """The workflow called `name`, as its file is now.

        Raises InvalidWorkflowName, WorkflowNotFound, LoadError, SystemFailure.
        """
        key = (name, allow_paths)
        entry = self._entries.get(key)
        if entry is None or not self._is_trusted(key, entry):
            entry = self._fresh(key)
        if isinstance(entry.loaded, LoadError):
            # A fresh one each time: an exception raised twice would collect the tracebacks of both.
            raise LoadError(entry.loaded.source, entry.loaded.problems)
        return entry.loaded

    def _is_trusted(self, key: tuple[str, bool], entry: _Entry) -> bool:
        """Whether `entry` is what its file says; the file is checked unless it was a moment ago."""
        now = self._clock.monotonic()
        if now < self._trusted_until.get(key, now):
            return True
        if not _is_current(entry):
            return False
        self._trusted_until[key] = now + self._recheck_s
        return True

    def _fresh(self, key: tuple[str, bool]) -> _Entry:
        name, allow_paths = key
        # Outside of the lock: names that lead nowhere must not hold up those that do.
        path = self._discovery.resolve(name, allow_paths=allow_paths)
        candidates = self._discovery.candidates(name, allow_paths=allow_paths)
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and _is_current(entry):
                return entry
            self._entries.pop(key, None)
            self._trusted_until.pop(key, None)
            identity = _identity(path)
            loaded = self._loaded(path)
            entry = _Entry(candidates=tuple(map(str, candidates)), path=str(path), identity=identity, loaded=loaded)
            if identity is not None and abs(self._clock.now() - identity[0] / 1e9) > SETTLED_AFTER_S:
                self._remember(key, entry)
            return entry

    def _remember(self, key: tuple[str, bool], entry: _Entry) -> None:
        while len(self._entries) >= self._max_entries:
            oldest = next(iter(self._entries))
            del self._entries[oldest]
            self._trusted_until.pop(oldest, None)
        self._entries[key] = entry

    def _loaded(self, path: Path) -> Workflow | LoadError:
        try:
            return load_workflow(path, self._step_types)
        except LoadError as error:
            return error.with_traceback(None)


def _is_current(entry: _Entry) -> bool:
    for candidate in entry.candidates:
        identity = _identity(candidate)
        if identity is not None:
            return candidate == entry.path and identity == entry.identity
    return False


def _identity(path: str | Path) -> Identity | None:
    """What changes when the file does: time of change, size, and which file it is. None for anything but a file."""
    try:
        found = os.stat(path)  # noqa: PTH116  (a Path made at every hit would cost more than the stat)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
