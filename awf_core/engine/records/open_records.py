"""Put together the recorders that write records of runs. Called by commands that run workflows, and by the worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from awf_core.engine.records.audit import AuditLog
from awf_core.engine.records.history import History
from awf_core.engine.records.paths import RecordPaths
from awf_core.engine.records.state_file import StateFiles
from awf_core.engine.records.transcript import Transcripts
from awf_core.engine.run.events import Recorder


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


def _to_each(method: str) -> Callable[..., None]:
    """A method of the group that calls the method of that name of every recorder."""

    def notify(group: RecorderGroup, *arguments: object) -> None:
        group.notify(method, *arguments)

    return notify


class RecorderGroup(Recorder):
    """Several recorders as one. One that fails is reported, once each, and the others go on."""

    def __init__(self, recorders: Sequence[Recorder], warn: Callable[[str], None]) -> None:
        self._recorders = tuple(recorders)
        self._warn = warn
        self._failed: set[str] = set()

    started = _to_each("started")
    step_started = _to_each("step_started")
    step_finished = _to_each("step_finished")
    child_started = _to_each("child_started")
    child_finished = _to_each("child_finished")
    progressed = _to_each("progressed")
    finished = _to_each("finished")

    def notify(self, method: str, *arguments: object) -> None:
        """Call `method` of every recorder."""
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
