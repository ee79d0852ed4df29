"""Find and run the workflows that steps call. Made by the engine for itself; steps reach it through their context.

It applies no rule of a step type: cycles and depth are checked by the calling step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from awf_core.engine.run.execution import Execution
from awf_core.errors import WorkflowNotFound
from awf_core.extensions.deadline import Deadline
from awf_core.extensions.results import Run
from awf_core.lang.model import Workflow
from awf_core.lang.packs import pack_of

Find: TypeAlias = "Callable[[str], Workflow]"
"""The workflow of that name. Raises WorkflowNotFound, InvalidWorkflowName, LoadError, SystemFailure."""


class Start(Protocol):
    """Runs a workflow for a step of `parent`, to its end or until `deadline` is over; see `Engine.execute`."""

    def __call__(
        self,
        workflow: Workflow,
        inputs: Mapping[str, str],
        *,
        parent: Execution,
        step: str,
        deadline: Deadline,
        depth: int,
        from_message: frozenset[str] | None = None,
    ) -> Run:
        """Run it. `depth`: how many states it runs inside of; `from_message`: see `WorkflowRunner`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRuns:
    """What it takes to run other workflows. `find` None = no workflow can be found."""

    find: Find | None
    start: Start

    def named(self, name: str, *, caller: Workflow) -> Workflow:
        """The workflow that a step of `caller` calls `name`; see `find_called`."""
        if self.find is None:
            raise WorkflowNotFound(f"workflow not found: {name}", hint="Nothing here can look up workflows.")
        return find_called(self.find, name, caller=caller)


def find_called(find: Find, name: str, *, caller: Workflow) -> Workflow:
    """The workflow that a step of `caller` calls `name`; raises as `find` does.

    In a pack, a name that is found nowhere else may be that of another workflow of the pack.
    """
    pack = pack_of(caller.source)
    if pack is None or "/" in name:
        return find(name)
    try:
        return find(name)
    except WorkflowNotFound:
        try:
            return find(f"{pack}/{name}")
        except WorkflowNotFound:
            pass
        raise
