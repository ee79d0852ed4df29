"""The listeners of a run: `Events` for observers and the command line, `Recorder` for records.

Called by the engine on the run's thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from awf_core.engine.run.execution import Execution
from awf_core.extensions.results import Run, StateRecord
from awf_core.lang.model import State


class Events(Protocol):
    """What happens in runs, as plain values. Thread-safe; methods return quickly and do not raise.

    Durations are in seconds.
    """

    watches_output: bool
    """Whether `step_output` is wanted while a step runs."""

    def step_started(self, run_id: str, workflow: str, state: str, step_type: str) -> None:
        """A state is about to run; its time limit has begun."""

    def step_finished(self, run_id: str, workflow: str, state: str, status: str, duration_s: float) -> None:
        """A state has run; `status` is `completed` or `failed`."""

    def step_output(self, run_id: str, state: str, stream: str, data: bytes) -> None:
        """A running step wrote `data`, secrets masked, to `stream`: `stdout` or `stderr`."""

    def run_logged(self, run_id: str, workflow: str, level: str, text: str) -> None:
        """A line for the run's log, from a hook or about one; `level` is `info` or `warn`."""

    def run_finished(self, run_id: str, workflow: str, status: str, exit_code: int, duration_s: float) -> None:
        """A run ended: `completed`, `failed` or `cancelled`."""


class NoEvents:
    """Ignores every event. Override those you need."""

    watches_output = False

    def step_started(self, run_id: str, workflow: str, state: str, step_type: str) -> None:
        """See `Events`."""

    def step_finished(self, run_id: str, workflow: str, state: str, status: str, duration_s: float) -> None:
        """See `Events`."""

    def step_output(self, run_id: str, state: str, stream: str, data: bytes) -> None:
        """See `Events`."""

    def run_logged(self, run_id: str, workflow: str, level: str, text: str) -> None:
        """See `Events`."""

    def run_finished(self, run_id: str, workflow: str, status: str, exit_code: int, duration_s: float) -> None:
        """See `Events`."""


class Recorder:
    """What happens in runs, with the run itself: a base class that records nothing. Override what you need.

    Thread-safe; methods may raise OSError only.

    A recorder only watches: nothing it does, and no failure of it, changes a run. A run whose inputs were refused never
    began: no method is called for it.
    """

    def started(self, execution: Execution) -> None:
        """The run begins; no hook of it has run."""

    def step_started(self, execution: Execution, state: State, loop: Mapping[str, Any] | None) -> None:
        """A state is about to run. `loop` is what its templates see as `.loop`."""

    def step_finished(
        self, execution: Execution, state: State, loop: Mapping[str, Any] | None, record: StateRecord | None
    ) -> None:
        """A state has run. `record` is None when it was aborted without a record."""

    def child_started(self, parent: Execution, child: Execution) -> None:
        """A step of `parent` starts another workflow as a run of its own."""

    def child_finished(self, parent: Execution, child: Execution, run: Run) -> None:
        """That run is over."""

    def progressed(self, execution: Execution) -> None:
        """The run goes on with another state, which is `execution.current`."""

    def finished(self, execution: Execution, run: Run) -> None:
        """The run is over, its hooks too."""
