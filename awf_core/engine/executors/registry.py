"""The executors there are, by the name the configuration gives. Called by `awf run` and the worker's build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awf_core.config.did_you_mean import did_you_mean
from awf_core.engine.executors import BUILTIN, Executor
from awf_core.engine.executors.awf_cli import NAME as AWF_CLI
from awf_core.engine.executors.awf_cli import AwfCli
from awf_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Executors:
    """Finds an executor by name. Immutable, thread-safe.

    `program` is the configuration's `executor_path`; `added` are those of plugins. Raises ConfigError for one of
    those that is no executor or takes a name that is taken.
    """

    def __init__(self, added: Mapping[str, Any], *, program: str | None, cwd: Path, env: Mapping[str, str]) -> None:
        for name, executor in added.items():
            if name in (BUILTIN, AWF_CLI):
                raise ConfigError(f"executor {name!r}: a plugin may not take this name, it is built in")
            if not isinstance(executor, Executor):
                raise ConfigError(f"executor {name!r}: {executor!r} has no `check` and `execute` (see docs: hooks)")
        self._known: dict[str, Executor] = {AWF_CLI: AwfCli(program, cwd=cwd, env=env), **added}

    def get(self, name: str | None, *, where: str) -> Executor | None:
        """The executor called `name`; None for our own engine. `where` names the key in the error.

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
