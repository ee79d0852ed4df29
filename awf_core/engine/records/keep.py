"""Put together what keeps records of runs. Called by commands that run workflows, and by the worker's build."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.engine.records.audit import AuditLog
from awf_core.engine.records.history import History
from awf_core.engine.records.recorder import Recorder, Recorders
from awf_core.engine.records.state_file import StateFiles
from awf_core.engine.records.transcript import Transcripts

if TYPE_CHECKING:
    from collections.abc import Callable

    from awf_core.engine.records.places import Places


def all_records(places: Places, *, warn: Callable[[str], None]) -> Recorder:
    """State files, history and transcripts in `places.storage`, and the audit log where one is kept.

    `warn` is told, once for each of them, when one can't be written.
    """
    recorders: list[Recorder] = [StateFiles(places), Transcripts(places), History(places.history)]
    if places.audit is not None:
        recorders.append(AuditLog(places.audit))
    return Recorders(recorders, warn)


def audit_only(places: Places, *, warn: Callable[[str], None]) -> Recorder | None:
    """The audit log alone; None where none is kept."""
    return None if places.audit is None else Recorders([AuditLog(places.audit)], warn)
