"""The history of runs: one row each in an SQLite file that many processes may share.

Written when a run is over; `awf history` reads it. Table and columns are the original tool's.
"""

from __future__ import annotations

import errno
import sqlite3
import threading
import weakref
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from awf_core.engine.run.events import Recorder
from awf_core.engine.run.execution import Execution
from awf_core.errors import SystemFailure
from awf_core.extensions.results import Run, json_value
from awf_core.ids import new_id

BUSY_TIMEOUT_S = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS execution_records (
  id TEXT PRIMARY KEY,
  workflow_id TEXT NOT NULL,
  workflow_name TEXT NOT NULL,
  status TEXT NOT NULL,
  exit_code INTEGER NOT NULL DEFAULT 0,
  started_at INTEGER NOT NULL,
  completed_at INTEGER NOT NULL,
  duration_ms INTEGER NOT NULL DEFAULT 0,
  error_message TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS idx_workflow_name ON execution_records(workflow_name);
CREATE INDEX IF NOT EXISTS idx_status ON execution_records(status);
CREATE INDEX IF NOT EXISTS idx_completed_at ON execution_records(completed_at);
"""
COLUMNS = "id, workflow_id, workflow_name, status, exit_code, started_at, completed_at, duration_ms, error_message"
_INSERT = f"INSERT INTO execution_records ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608


_WHERE = (
    " WHERE (:workflow IS NULL OR workflow_name = :workflow)"
    " AND (:status IS NULL OR status = :status) AND completed_at >= :since_ns"
)
LAST_NS = 2**63 - 1
"""The last moment the table can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One run that is over, its fields in the order of COLUMNS.

    `error` and `exit_code` are those of the state that ran last, if it failed.

    Times are epoch seconds. A resumed run has a row for each time it ended.
    """

    id: str
    run_id: str
    workflow: str
    status: str
    exit_code: int
    started_at: float
    completed_at: float
    duration_ms: int
    error: str

    def as_stored(self) -> tuple[object, ...]:
        """The values of the table, where times are nanoseconds."""
        times_ns = {"started_at": round(self.started_at * 1e9), "completed_at": round(self.completed_at * 1e9)}
        return tuple({**asdict(self), **times_ns}.values())


def row_of(execution: Execution, run: Run) -> HistoryRow:
    """The row of a run that is over."""
    last = execution.records.get(execution.last_recorded)
    has_failed = last is not None and last.status == "failed"
    return HistoryRow(
        id=new_id(),
        run_id=run.run_id,
        workflow=run.workflow,
        status=run.status,
        exit_code=last.exit_code if last is not None and has_failed else 0,
        started_at=run.started_at,
        completed_at=run.finished_at,
        duration_ms=run.duration_ms,
        error=json_value(last.error) if last is not None and has_failed else "",
    )


class History(Recorder):
    """Adds a row for each run. Thread-safe: one connection, used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def finished(self, execution: Execution, run: Run) -> None:
        """Add its row. Raises OSError naming the file."""
        values = row_of(execution, run).as_stored()
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = connect(self._path)
                    # A recorder is not notified when there will be no more runs.
                    weakref.finalize(self, self._connection.close)
                self._connection.execute(_INSERT, values)
            except sqlite3.Error as problem:
                raise OSError(errno.EIO, str(problem), str(self._path)) from problem


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode to the history at `path`, made if need be. Raises sqlite3.Error and OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    path.touch(mode=0o600)  # errors of steps may hold what others must not read
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        # Another process may be making the file: this one works without WAL, and that one sets it.
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """How many runs of a selection ended how. `mean_ms` is 0 where there are none."""

    total: int
    completed: int
    failed: int
    cancelled: int
    mean_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which rows are wanted; None = any. `since` in epoch seconds."""

    workflow: str | None = None
    status: str | None = None
    since: float = 0.0

    def parameters(self) -> dict[str, object]:
        """The values of the query."""
        return {"workflow": self.workflow, "status": self.status, "since_ns": min(round(self.since * 1e9), LAST_NS)}


def read_history(path: Path, selection: Selection, *, limit: int) -> list[HistoryRow]:
    """The last `limit` runs of the selection, latest first; none where there is no history yet.

    Raises SystemFailure for a file it can't read.
    """
    rows = _query(
        path,
        f"SELECT {COLUMNS} FROM execution_records{_WHERE} ORDER BY completed_at DESC LIMIT :limit",  # noqa: S608
        {**selection.parameters(), "limit": limit},
    )
    found = (dict(zip(HistoryRow.__slots__, row, strict=True)) for row in rows)
    return [
        HistoryRow(**{**row, "started_at": row["started_at"] / 1e9, "completed_at": row["completed_at"] / 1e9})
        for row in found
    ]


def read_statistics(path: Path, selection: Selection) -> Statistics:
    """How the runs of the selection ended. Raises as `read_history`."""
    rows = _query(
        path,
        "SELECT count(*), total(status IN ('completed', 'success')), total(status = 'failed'),"  # noqa: S608
        f" total(status = 'cancelled'), total(duration_ms) FROM execution_records{_WHERE}",
        selection.parameters(),
    )
    total, completed, failed, cancelled, spent_ms = rows[0] if rows else (0, 0, 0, 0, 0)
    return Statistics(
        total=total,
        completed=int(completed),
        failed=int(failed),
        cancelled=int(cancelled),
        mean_ms=int(spent_ms / total) if total else 0,
    )


def _query(path: Path, statement: str, parameters: dict[str, object]) -> list[tuple[Any, ...]]:
    if not path.exists():
        return []
    try:
        connection = connect(path)
        try:
            return connection.execute(statement, parameters).fetchall()
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as problem:
        raise SystemFailure(
            f"history {path}: {problem}", hint="Move the file away to begin a new history."
        ) from problem
