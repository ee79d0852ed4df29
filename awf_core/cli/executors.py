"""The executor that the configuration names for a workflow, for commands that run it here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.config.project import executor_choice
from awf_core.extensions.executors import BUILTIN, Executors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from awf_core.config.project import Project
    from awf_core.extensions.executors import Executor


def executor_here(project: Project, workflow: str, *, cwd: Path, env: Mapping[str, str]) -> Executor | None:
    """What runs `workflow` in place of our own engine, able to; None = our own engine.

    Raises ConfigError for an unknown one and for one that can't run here.
    """
    choice = executor_choice(project, workflow)
    if choice.name in (None, BUILTIN):
        return None
    from awf_core.plugin.manager import build_plugins

    registered = build_plugins(None, None, env=env).registered.executors()
    executor = Executors(registered, program=project.executor_path, cwd=cwd, env=env).get(
        choice.name, where=choice.where
    )
    if executor is not None:
        executor.check()
    return executor
