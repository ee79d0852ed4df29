"""What the history of runs says: the last runs of a selection, and how many ended how. Called by `awf history`."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from awf_core.engine.records.history import COLUMNS, HistoryRow, connect
from awf_core.errors import SystemFailure

if TYPE_CHECKING:
    from pathlib import Path

_WHERE = (
    " WHERE (:workflow IS NULL OR workflow_name = :workflow)"
    " AND (:status IS NULL OR status = :status) AND completed_at >= :since_ns"
)


LAST_NS = 2**63 - 1
"""The last moment the table can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """How the runs of a selection ended."""

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
    return [
        HistoryRow(
            id=row[0],
            run_id=row[1],
            workflow=row[2],
            status=row[3],
            exit_code=row[4],
            started_at=row[5] / 1e9,
            completed_at=row[6] / 1e9,
            duration_ms=row[7],
            error=row[8],
        )
        for row in rows
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
