"""Loaded workflows by name, read again only when their file changes.

Called for every message, so a hit costs one `stat` per directory up to the one that holds the file. It remembers what
was found and never what was not: a workflow added later is found at once, also where it now comes first.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from awf_core.workflow.load import load_workflow
from awf_core.workflow.problems import LoadError

if TYPE_CHECKING:
    from pathlib import Path

    from awf_core.workflow.discovery import Discovery
    from awf_core.workflow.model import Workflow
    from awf_core.workflow.step_types import StepTypes

DEFAULT_MAX_ENTRIES = 512
_SETTLED_AFTER_NS = 100_000_000
"""A file younger than this is not remembered: one more write could leave its time stamp and size as they are."""

Identity = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    candidates: tuple[str, ...]
    path: str
    identity: Identity
    loaded: Workflow | LoadError


class Catalogue:
    """Workflows by name. Thread-safe; files are loaded one at a time.

    `max_entries` names are remembered; beyond that the oldest are forgotten and loaded again when asked for.
    """

    def __init__(self, discovery: Discovery, step_types: StepTypes, *, max_entries: int = DEFAULT_MAX_ENTRIES) -> None:
        self._discovery = discovery
        self._step_types = step_types
        self._max_entries = max_entries
        self._entries: dict[tuple[str, bool], _Entry] = {}
        self._lock = threading.Lock()

    def get(self, name: str, *, allow_paths: bool = False) -> Workflow:
        """The workflow called `name`, as its file is now.

        Raises InvalidWorkflowName, WorkflowNotFound, LoadError, SystemFailure.
        """
        key = (name, allow_paths)
        entry = self._entries.get(key)
        if entry is None or not _is_current(entry):
            with self._lock:
                entry = self._entries.get(key)
                if entry is None or not _is_current(entry):
                    entry = self._load(key)
        if isinstance(entry.loaded, LoadError):
            # A fresh one each time: an exception raised twice would gather the tracebacks of both.
            raise LoadError(entry.loaded.source, entry.loaded.problems)
        return entry.loaded

    def _load(self, key: tuple[str, bool]) -> _Entry:
        name, allow_paths = key
        self._entries.pop(key, None)
        path = self._discovery.resolve(name, allow_paths=allow_paths)
        identity = _identity(path)
        entry = _Entry(
            candidates=tuple(map(str, self._discovery.candidates(name, allow_paths=allow_paths))),
            path=str(path),
            identity=identity or (0, 0, 0, 0),
            loaded=self._loaded(path),
        )
        if identity is not None and abs(time.time_ns() - identity[0]) > _SETTLED_AFTER_NS:
            while len(self._entries) >= self._max_entries:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = entry
        return entry

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
