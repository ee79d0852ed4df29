"""`awf history`: list the runs that have ended, latest first."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from awf_core.cli.options import format_option, storage_option
from awf_core.cli.output import note, print_json, print_table, print_text
from awf_core.errors import UsageError

if TYPE_CHECKING:
    from awf_core.engine.records.history import HistoryRow, Statistics

MIDNIGHT = "T00:00:00"


@click.command(name="history")
@click.option("--workflow", "-w", help="Only runs of this workflow.")
@click.option("--status", type=click.Choice(["completed", "failed", "cancelled"]), help="Only runs with this status.")
@click.option("--since", metavar="DATE", help="Only runs that ended on this day or later, such as 2026-01-31.")
@click.option(
    "--limit", "-n", type=click.IntRange(min=1), default=20, show_default=True, help="Maximum number of runs."
)
@click.option("--stats", is_flag=True, help="Count the runs instead of listing them.")
@storage_option
@format_option
def history_command(
    *,
    workflow: str | None,
    status: str | None,
    since: str | None,
    limit: int,
    stats: bool,
    storage: Path | None,
    output_format: str,
) -> None:
    """List the runs that have ended, with the exit code and error of the last step, also those that steps started."""
    from awf_core.engine.records.history import Selection, read_history, read_statistics
    from awf_core.engine.records.paths import record_paths

    path = record_paths(os.environ, storage=storage).history
    selection = Selection(workflow=workflow, status=status, since=0.0 if since is None else _day(since))
    if stats:
        _show_statistics(read_statistics(path, selection), output_format)
        return
    rows = read_history(path, selection, limit=limit)
    if output_format == "json":
        print_json([_as_json(row) for row in rows])
    elif rows:
        print_table(("RUN", "WORKFLOW", "STATUS", "EXIT", "TOOK", "ENDED", "ERROR"), [_line(row) for row in rows])
    else:
        note(f"no runs are recorded in {path}")


def _day(text: str) -> float:
    try:
        return datetime.fromisoformat(text + MIDNIGHT).astimezone().timestamp()
    except ValueError:
        raise UsageError(f"--since {text!r} is not a date", hint="Write it as 2026-01-31.") from None


def _as_json(row: HistoryRow) -> dict[str, Any]:
    from awf_core.engine.records.timestamps import written

    return {
        "id": row.id,
        "workflow_id": row.run_id,
        "workflow_name": row.workflow,
        "status": row.status,
        "exit_code": row.exit_code,
        "started_at": written(row.started_at),
        "completed_at": written(row.completed_at),
        "duration_ms": row.duration_ms,
        "error_message": row.error,
    }


def _line(row: HistoryRow) -> tuple[object, ...]:
    from awf_core.clock import iso_utc
    from awf_core.units import format_duration

    took = format_duration(row.duration_ms / 1000)
    error = row.error.strip().partition("\n")[0] or None
    return (row.run_id, row.workflow, row.status, row.exit_code, took, iso_utc(row.completed_at), error)


def _show_statistics(statistics: Statistics, output_format: str) -> None:
    shown = asdict(statistics)
    if output_format == "json":
        print_json(shown)
        return
    for name, count in shown.items():
        print_text(f"{name}: {count}")
