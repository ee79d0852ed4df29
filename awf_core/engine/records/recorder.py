"""Who keeps records of runs, as the engine sees it, and several of them as one.

Called by the engine on the run's thread. A recorder only watches: nothing it does, and no failure of it, changes a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from awf_core.engine.execution import Execution
    from awf_core.engine.record import Run, StateRecord
    from awf_core.lang.model import State


class Recorder(Protocol):
    """What happens in runs, with the run itself at hand. Thread-safe; methods may raise OSError only.

    A run whose inputs were refused never began, and nothing is said of it.
    """

    def started(self, execution: Execution) -> None:
        """The run begins; no hook of it has run."""

    def step_started(self, execution: Execution, state: State, loop: Mapping[str, Any] | None) -> None:
        """A state is about to run. `loop` is what its templates see as `.loop`."""

    def step_finished(
        self, execution: Execution, state: State, loop: Mapping[str, Any] | None, record: StateRecord | None
    ) -> None:
        """A state has run; `record` is what it left, None when it was aborted without leaving any."""

    def child_started(self, parent: Execution, child: Execution) -> None:
        """A step of `parent` starts another workflow as a run of its own."""

    def child_finished(self, parent: Execution, child: Execution, run: Run) -> None:
        """That run is over."""

    def progressed(self, execution: Execution) -> None:
        """The run goes on to another state: `execution.current` is where it will go on."""

    def finished(self, execution: Execution, run: Run) -> None:
        """The run is over, its hooks too."""


class QuietRecorder:
    """Keeps nothing; recorders that care for a few moments only start from here."""

    def started(self, execution: Execution) -> None:
        """Do nothing."""

    def step_started(self, execution: Execution, state: State, loop: Mapping[str, Any] | None) -> None:
        """Do nothing."""

    def step_finished(
        self, execution: Execution, state: State, loop: Mapping[str, Any] | None, record: StateRecord | None
    ) -> None:
        """Do nothing."""

    def child_started(self, parent: Execution, child: Execution) -> None:
        """Do nothing."""

    def child_finished(self, parent: Execution, child: Execution, run: Run) -> None:
        """Do nothing."""

    def progressed(self, execution: Execution) -> None:
        """Do nothing."""

    def finished(self, execution: Execution, run: Run) -> None:
        """Do nothing."""


class Recorders:
    """Several recorders as one. One that fails is reported, once each, and the others go on."""

    def __init__(self, recorders: Sequence[Recorder], warn: Callable[[str], None]) -> None:
        self._recorders = tuple(recorders)
        self._warn = warn
        self._failed: set[str] = set()

    def started(self, execution: Execution) -> None:
        """Tell all."""
        for recorder in self._recorders:
            self._tell(recorder, recorder.started, execution)

    def step_started(self, execution: Execution, state: State, loop: Mapping[str, Any] | None) -> None:
        """Tell all."""
        for recorder in self._recorders:
            self._tell(recorder, recorder.step_started, execution, state, loop)

    def step_finished(
        self, execution: Execution, state: State, loop: Mapping[str, Any] | None, record: StateRecord | None
    ) -> None:
        """Tell all."""
        for recorder in self._recorders:
            self._tell(recorder, recorder.step_finished, execution, state, loop, record)

    def child_started(self, parent: Execution, child: Execution) -> None:
        """Tell all."""
        for recorder in self._recorders:
            self._tell(recorder, recorder.child_started, parent, child)

    def child_finished(self, parent: Execution, child: Execution, run: Run) -> None:
        """Tell all."""
        for recorder in self._recorders:
            self._tell(recorder, recorder.child_finished, parent, child, run)

    def progressed(self, execution: Execution) -> None:
        """Tell all."""
        for recorder in self._recorders:
            self._tell(recorder, recorder.progressed, execution)

    def finished(self, execution: Execution, run: Run) -> None:
        """Tell all."""
        for recorder in self._recorders:
            self._tell(recorder, recorder.finished, execution, run)

    def _tell(self, recorder: Recorder, method: Callable[..., None], *arguments: object) -> None:
        try:
            method(*arguments)
        except OSError as problem:
            name = type(recorder).__name__
            if name not in self._failed:
                self._failed.add(name)
                where = f" {problem.filename}" if problem.filename else ""
                self._warn(f"records are incomplete: {name}:{where} {problem.strerror or problem}".strip())
