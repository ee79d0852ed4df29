"""Put together the recorders that write records of runs. Called by commands that run workflows, and by the worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from awf_core.engine.records.audit import AuditLog
from awf_core.engine.records.history import History
from awf_core.engine.records.paths import RecordPaths
from awf_core.engine.records.state_file import StateFiles
from awf_core.engine.records.transcript import Transcripts
from awf_core.engine.run.events import Recorder
from awf_core.engine.run.execution import Execution
from awf_core.extensions.results import Run, StateRecord
from awf_core.lang.model import State


def open_records(paths: RecordPaths, *, warn: Callable[[str], None]) -> Recorder:
    """State files, history and transcripts in `paths.storage`, and the audit log where `paths.audit` names one.

    `warn` is called, once for each of them, when one can't be written.
    """
    recorders: list[Recorder] = [StateFiles(paths), Transcripts(paths), History(paths.history)]
    if paths.audit is not None:
        recorders.append(AuditLog(paths.audit))
    return RecorderGroup(recorders, warn)


def open_audit_log(paths: RecordPaths, *, warn: Callable[[str], None]) -> Recorder | None:
    """The audit log alone; None where `paths` names none."""
    return None if paths.audit is None else RecorderGroup([AuditLog(paths.audit)], warn)


class RecorderGroup(Recorder):
    """Several recorders as one. One that fails is reported, once each, and the others go on."""

    def __init__(self, recorders: Sequence[Recorder], warn: Callable[[str], None]) -> None:
        self._recorders = tuple(recorders)
        self._warn = warn
        self._failed: set[str] = set()

    def started(self, execution: Execution) -> None:
        """See `Recorder`."""
        self._notify("started", execution)

    def step_started(self, execution: Execution, state: State, loop: Mapping[str, Any] | None) -> None:
        """See `Recorder`."""
        self._notify("step_started", execution, state, loop)

    def step_finished(
        self, execution: Execution, state: State, loop: Mapping[str, Any] | None, record: StateRecord | None
    ) -> None:
        """See `Recorder`."""
        self._notify("step_finished", execution, state, loop, record)

    def child_started(self, parent: Execution, child: Execution) -> None:
        """See `Recorder`."""
        self._notify("child_started", parent, child)

    def child_finished(self, parent: Execution, child: Execution, run: Run) -> None:
        """See `Recorder`."""
        self._notify("child_finished", parent, child, run)

    def progressed(self, execution: Execution) -> None:
        """See `Recorder`."""
        self._notify("progressed", execution)

    def finished(self, execution: Execution, run: Run) -> None:
        """See `Recorder`."""
        self._notify("finished", execution, run)

    def _notify(self, method: str, *arguments: object) -> None:
        for recorder in self._recorders:
            try:
                getattr(recorder, method)(*arguments)
            except OSError as problem:
                self._report(type(recorder).__name__, problem)

    def _report(self, name: str, problem: OSError) -> None:
        if name not in self._failed:
            self._failed.add(name)
            where = f" {problem.filename}" if problem.filename else ""
            self._warn(f"records are incomplete: {name}:{where} {problem.strerror or problem}".strip())
