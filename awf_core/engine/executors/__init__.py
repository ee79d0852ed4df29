"""What can run a whole workflow in place of this package's own engine, and what it is told.

A plugin adds one with `awf_register_executors`; the configuration names it (`executor:`). Nothing else of the engine
knows any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from awf_core.engine.cancel import Cancel
    from awf_core.engine.record import Run

BUILTIN = "builtin"
"""The name of this package's own engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One run that is wanted.

    workflow   its name as it was asked for; `path` is the file that name means, which need not load here
    inputs     as given, project inputs included; nothing has checked them against the workflow
    env        the environment it runs in, with what is told to steps (`AWF_MESSAGE_ID`, ...)
    cancel     asked when the run has to stop; it must, with all it started
    storage    the directory records of the run are kept in, None = none are wanted
    """

    workflow: str
    path: Path
    inputs: Mapping[str, Any]
    cwd: Path
    env: Mapping[str, str]
    cancel: Cancel
    storage: Path | None = None


@runtime_checkable
class Executor(Protocol):
    """Runs whole workflows. Thread-safe: a worker asks from several threads at once."""

    def check(self) -> None:
        """Raise ConfigError if it can't run anything here. Called once, before the first message is taken."""

    def execute(self, order: Order) -> Run:
        """Run it to its end. What the workflow does is never an exception.

        Raises InputError for inputs it can't pass on, SystemFailure when the run could not be started.
        """
