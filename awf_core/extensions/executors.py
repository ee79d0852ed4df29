"""What can run a whole workflow in place of the engine, what it receives, and how the configuration finds it.

A plugin adds one by `register("name", executor)` in its hook `awf_register_executors`; `executor:` names it. The one of
this package, `awf-cli`, is in `awf_core.integrations.awf_cli`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from awf_core.config.did_you_mean import did_you_mean
from awf_core.errors import ConfigError
from awf_core.extensions.deadline import Cancel
from awf_core.extensions.results import Run

BUILTIN = "builtin"
"""The name of the engine itself, which no executor may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRequest:
    """One run that is wanted.

    workflow   its name as the message or command gave it; `path` is the file it stands for, which need not load here
    inputs     as given, project inputs included; not yet checked against the workflow
    env        the environment of the run, with the variables for steps (`AWF_MESSAGE_ID`, ...)
    cancel     requested when the run has to stop; stop it then, with all it started
    storage    the directory for records of the run, None = keep none
    max_output_bytes   how much of what a program prints to keep in memory, None = all
    """

    workflow: str
    path: Path
    inputs: Mapping[str, Any]
    cwd: Path
    env: Mapping[str, str]
    cancel: Cancel
    storage: Path | None = None
    max_output_bytes: int | None = None


@runtime_checkable
class Executor(Protocol):
    """Runs whole workflows. Thread-safe: a worker calls it from several threads at once."""

    def check(self) -> None:
        """Raise ConfigError if it can't run anything here. Called once, before the first message is received."""

    def execute(self, request: ExecutionRequest) -> Run:
        """Run the workflow to its end. What the workflow does is never an exception.

        Raises InputError for inputs it can't pass on, SystemFailure when the run could not be started.
        """

    # An executor may also have
    #   configured(program, cwd, env)   the executor for this project: `program` is `executor_path`, None = not set


class Executors:
    """Finds a registered executor by name. Immutable, thread-safe.

    `program` is the configuration's `executor_path`. Raises ConfigError for a registered object that is no executor,
    or takes the engine's name.
    """

    def __init__(
        self, registered: Mapping[str, Any], *, program: str | None, cwd: Path, env: Mapping[str, str]
    ) -> None:
        self._known: dict[str, Executor] = {}
        for name, executor in registered.items():
            if name == BUILTIN:
                raise ConfigError(f"executor {name!r}: a plugin may not take this name, it is built in")
            if not isinstance(executor, Executor):
                raise ConfigError(f"executor {name!r}: {executor!r} has no `check` and `execute` (see docs: hooks)")
            configured = getattr(executor, "configured", None)
            self._known[name] = executor if configured is None else configured(program, cwd, env)

    def get(self, name: str | None, *, where: str) -> Executor | None:
        """The executor called `name`; None for the engine. `where` names the key in the error.

        Raises ConfigError for an unknown one.
        """
        if name is None or name == BUILTIN:
            return None
        if name not in self._known:
            names = sorted([BUILTIN, *self._known])
            raise ConfigError(
                f"{where}: unknown executor {name!r}.{did_you_mean(name, names)} (allowed: {', '.join(names)})"
            )
        return self._known[name]
