"""The result of the original tool's `awf run` as a Run, and its records.

Called by the `awf-cli` executor. The Run is read from the tool's exit code, its error and its state file.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from awf_core.clock import Clock
from awf_core.engine.process.captured import SETTING
from awf_core.engine.process.run_process import Finished
from awf_core.engine.records.history import COLUMNS, connect
from awf_core.engine.records.state_file import RunState, run_state
from awf_core.engine.run.run_end import EXECUTION
from awf_core.extensions.executors import ExecutionRequest
from awf_core.extensions.results import Run, RunError, RunStatus
from awf_core.ids import new_id

MAX_SHOWN_CHARS = 2000
STATE_PER_OUTPUT = 16
"""A state file has the outputs of all steps: so many times the bytes that a worker keeps of one are read of it."""
_HISTORY = "history.db"


class Timing:
    """When a run began: now."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.started_at = clock.now()
        self.started_mono = clock.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedError:
    """The error the tool wrote: `{error, code, error_code}`."""

    message: str
    code: str | None = None


def run_of(request: ExecutionRequest, finished: Finished, states: Path, timing: Timing) -> Run:
    """The run. `states` is the directory of its state files; it may be missing when nothing ran."""
    most = None if request.max_output_bytes is None else STATE_PER_OUTPUT * request.max_output_bytes
    saved, unread_bytes = _saved(states, most)
    status = _status(request, finished, saved)
    records = dict(saved.states) if saved is not None else {}
    by_start = sorted(records, key=lambda name: records[name].started_at)
    final = saved.current if saved is not None else ""
    last = max(records.values(), key=lambda record: record.finished_at, default=None)
    return Run(
        run_id=saved.run_id if saved is not None else new_id(),
        workflow=saved.workflow if saved is not None else request.workflow,
        status=status,
        exit_code=_exit_code(status, finished),
        context_exit_code=saved.exit_code if saved is not None else 0,
        final_state=final,
        path=(*by_start, *((final,) if final and final not in records else ())),
        states=records,
        inputs=saved.inputs if saved is not None else request.inputs,
        output=last.output if last is not None else _unread(unread_bytes),
        error=None if status == "completed" else _error(status, finished, final),
        cancel_reason=request.cancel.reason if status == "cancelled" else None,
        started_at=timing.started_at,
        finished_at=timing.clock.now(),
        duration_ms=round((timing.clock.monotonic() - timing.started_mono) * 1000),
    )


def _saved(states: Path, max_bytes: int | None) -> tuple[RunState | None, int]:
    """The state of the run itself, and how many bytes of files were too large to be read.

    Runs that its steps started have files of their own.
    """
    unread_bytes = 0
    for path in sorted(states.glob("*.json")):
        try:
            size = path.stat().st_size
            if max_bytes is not None and size > max_bytes:
                unread_bytes += size
                continue
            saved = run_state(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if not saved.parent_run_id:
            return saved, 0
    return None, unread_bytes


def _unread(unread_bytes: int) -> str:
    return f"[cut: the tool's records of {unread_bytes} bytes are not read, see {SETTING}]" if unread_bytes else ""


def _status(request: ExecutionRequest, finished: Finished, saved: RunState | None) -> RunStatus:
    if finished.end == "cancelled" or request.cancel.requested:
        return "cancelled"
    if finished.end in ("exited", "pipes_held") and finished.exit_code == 0:
        return "completed"
    return "cancelled" if saved is not None and saved.status == "cancelled" else "failed"


def _exit_code(status: RunStatus, finished: Finished) -> int:
    if status == "completed":
        return 0
    return finished.exit_code if 0 < finished.exit_code <= 4 else EXECUTION


def _error(status: RunStatus, finished: Finished, state: str) -> RunError:
    reported = reported_error(finished.stderr.decode("utf-8", "replace"))
    if reported is None and status == "cancelled":
        reported = ReportedError(message=finished.failure or "context canceled")
    if reported is None:
        reported = ReportedError(message=f"the original tool ended with exit code {finished.exit_code} and no error")
    return RunError(message=reported.message, code=reported.code, state=state or None)


def reported_error(stderr: str) -> ReportedError | None:
    """The error in what the tool wrote on stderr: its JSON object, else its last lines; None where it wrote nothing."""
    for document in _documents(stderr):
        if isinstance(document, dict) and isinstance(document.get("error"), str):
            code = document.get("error_code")
            return ReportedError(message=document["error"], code=code if isinstance(code, str) and code else None)
    text = stderr.strip()
    if not text:
        return None
    return ReportedError(message=text.removeprefix("Error: ")[-MAX_SHOWN_CHARS:])


def _documents(text: str) -> Iterator[Any]:
    """The JSON values that begin a line of `text`, last one first; they may go over several lines."""
    decoder = json.JSONDecoder()
    starts = [0] if text.startswith("{") else []
    starts += [at + 1 for at in range(len(text) - 1) if text[at] == "\n" and text[at + 1] == "{"]
    for start in reversed(starts):
        try:
            yield decoder.raw_decode(text, start)[0]
        except ValueError:
            continue


def import_records(source: Path, target: Path) -> None:
    """Move states and transcripts from `source` into `target`, and copy the rows of the history.

    A record that can't be moved is lost without an error: the run itself is over.
    """
    for folder in ("states", "transcripts"):
        for path in sorted((source / folder).glob("*")):
            with suppress(OSError):
                (target / folder).mkdir(parents=True, exist_ok=True, mode=0o750)
                shutil.move(path, target / folder / path.name)
    if (source / _HISTORY).exists():
        with suppress(OSError, sqlite3.Error):
            _copy_rows(source / _HISTORY, target / _HISTORY)


def _copy_rows(source: Path, target: Path) -> None:
    with closing(connect(source)) as reading:
        rows = reading.execute(f"SELECT {COLUMNS} FROM execution_records").fetchall()  # noqa: S608
    with closing(connect(target)) as writing:
        writing.executemany(
            f"INSERT OR IGNORE INTO execution_records ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            rows,
        )
