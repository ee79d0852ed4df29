"""The operation step: a named operation with inputs, run in this process.

Registered by `builtin_step_types`. What it takes to read and run such a state is imported with the first one, because
every command that loads workflows has this type and few workflows have operations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awf_core.engine.machine import Routing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.engine.operations import Operation
    from awf_core.engine.steps.context import StepContext, StepResult
    from awf_core.lang.fields import StateFields
    from awf_core.lang.model import State


class OperationStep:
    """`type: operation`. `added` are the operations of plugins, `notify_backend` is `notify.default_backend`.

    Raises ConfigError for an added one that is no operation or has the name of a built-in one.
    """

    name = "operation"
    aliases: tuple[str, ...] = ()
    routing = Routing()
    runs_in_loops = False

    def __init__(self, added: Mapping[str, Any], *, notify_backend: str | None) -> None:
        self._added = added
        self._notify_backend = notify_backend
        self._operations: Mapping[str, Operation] | None = None
        if added:
            self._all()  # what is wrong with a plugin has to show at start

    def parse(self, fields: StateFields) -> object:
        """Read the state as an OperationSpec. Raises StepProblem."""
        from awf_core.engine.steps.operation_visit import read_operation

        return read_operation(fields)

    def successor(self, state: State) -> str | None:
        """`on_success`."""
        return state.on_success

    def run(self, state: State, context: StepContext) -> StepResult:
        """Run the operation. See `StepType.run`."""
        from awf_core.engine.steps.operation_visit import run_operation

        return run_operation(state, context, self._all())

    def _all(self) -> Mapping[str, Operation]:
        # Two threads may both make them the first time; either will do.
        if self._operations is None:
            from awf_core.engine.operations.registry import operations_with

            self._operations = operations_with(self._added, notify_backend=self._notify_backend)
        return self._operations
