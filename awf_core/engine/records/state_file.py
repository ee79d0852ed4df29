"""The file a run's state is kept in: written whole after every step, and read by `awf resume` and `awf status`.

A reader, or a crash at any moment, finds either the earlier state or the later one, never half of one.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from typing import TYPE_CHECKING

from awf_core.engine.records.places import check_run_id
from awf_core.engine.records.recorder import QuietRecorder
from awf_core.engine.records.state_json import RunState, run_state, state_document
from awf_core.errors import SystemFailure, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from awf_core.engine.execution import Execution
    from awf_core.engine.record import Run
    from awf_core.engine.records.places import Places


class StateFiles(QuietRecorder):
    """Keeps the state of each run, of the runs that steps start too, in a file of its own."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def started(self, execution: Execution) -> None:
        """Write the state before the first step."""
        self._write(execution, "running")

    def progressed(self, execution: Execution) -> None:
        """Write the state after a step."""
        self._write(execution, "running")

    def finished(self, execution: Execution, run: Run) -> None:
        """Write how it ended."""
        self._write(execution, run.status)

    def _write(self, execution: Execution, status: str) -> None:
        document = state_document(execution, status, now=execution.clock.now())
        write_state(self._places.state_file(execution.run_id), document)


def write_state(path: Path, document: Mapping[str, Any]) -> None:
    """Put `document` at `path`, readable by its owner only, in one step. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            # Values of plugins may be anything; what is no JSON is kept as its text.
            json.dump(document, file, ensure_ascii=False, indent=2, default=str)
        os.replace(temporary, path)  # noqa: PTH105  (a Path would have to be made for it)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def read_state(places: Places, run_id: str) -> RunState:
    """The state of the run `run_id`. Raises UsageError for an unknown one, SystemFailure for a file it can't read."""
    path = places.state_file(check_run_id(run_id))
    try:
        return run_state(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UsageError(
            f"workflow execution not found: {run_id}",
            hint=f"Looked in {path.parent}; `awf history` lists runs, --storage names another directory.",
        ) from None
    except OSError as problem:
        raise SystemFailure(f"state file {path}: {problem.strerror or problem}") from problem
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise SystemFailure(
            f"state file {path}: not the state of a run: {type(problem).__name__}: {problem}",
            hint="Remove the file; the run can't be resumed.",
        ) from problem
