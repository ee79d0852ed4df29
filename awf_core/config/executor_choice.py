"""Which executor the project's file names for a workflow, for commands that need no queue.

Called by `awf run`. What is wrong with the rest of `mq:` is not its business: a mistake there never stops `awf run`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from awf_core.config.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The name of an executor, None = our own engine, and the place that says so."""

    name: str | None
    where: str = "executor"


def executor_choice(project: Project, workflow: str) -> Choice:
    """The choice for `workflow`: its own rule, else that of the last glob that fits, else the project's."""
    chosen = Choice(name=project.executor, where=f"{project.document.where(('executor',))}: executor")
    section = project.document.values.get("mq")
    rules = section.get("workflows") if isinstance(section, Mapping) else None
    if not isinstance(rules, Mapping):
        return chosen
    globs = [pattern for pattern in rules if pattern != workflow and fnmatchcase(workflow, str(pattern))]
    for pattern in [*globs, workflow]:
        rule = rules.get(pattern)
        name = rule.get("executor") if isinstance(rule, Mapping) else None
        if isinstance(name, str):
            path = ("mq", "workflows", pattern, "executor")
            chosen = Choice(name=name, where=f"{project.document.where(path)}: {'.'.join(path)}")
    return chosen
