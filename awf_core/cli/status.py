"""`awf status ID`: show the state of a run, from its state file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rich_click as click

from awf_core.cli.options import format_option, storage_option
from awf_core.cli.output import print_json, print_table, print_text
from awf_core.engine.records.paths import record_paths
from awf_core.engine.records.state_file import RunState, read_state
from awf_core.engine.records.timestamps import written
from awf_core.extensions.results import StateRecord, json_value


@click.command(name="status")
@click.argument("run_id", metavar="ID")
@storage_option
@format_option
def status_command(*, run_id: str, storage: Path | None, output_format: str) -> None:
    """Show the state of the run ID: its status, its current step, and each step that ran.

    A run whose process was killed is shown as `running`; `awf resume` resumes it. Exit code 1 for an unknown run.
    """
    state = read_state(record_paths(os.environ, storage=storage), run_id)
    shown = _as_json(state)
    if output_format == "json":
        print_json(shown)
    else:
        _print(shown)


def _as_json(state: RunState) -> dict[str, Any]:
    end = state.completed_at or state.updated_at
    shown: dict[str, Any] = {
        "workflow_id": state.run_id,
        "workflow_name": state.workflow,
        "status": state.status,
        "current_step": state.current,
        "started_at": written(state.started_at),
    }
    if state.completed_at:
        shown["completed_at"] = written(state.completed_at)
    shown["duration_ms"] = max(0, round((end - state.started_at) * 1000))
    error = _error(state)
    return shown | ({"error": error} if error else {}) | {"steps": steps_of(state.states)}


def steps_of(states: Mapping[str, StateRecord]) -> list[dict[str, Any]]:
    """One object for each state, in the order they started. Keys without a value are omitted."""
    return [_step(name, states[name]) for name in sorted(states, key=lambda name: states[name].started_at)]


def _step(name: str, record: StateRecord) -> dict[str, Any]:
    optional = {
        "output": record.output,
        "stderr": record.stderr,
        "exit_code": record.exit_code,
        "started_at": written(record.started_at) if record.started_at else "",
        "completed_at": written(record.finished_at) if record.finished_at else "",
        "error": record.error,
    }
    shown: dict[str, Any] = json_value(
        {"name": name, "status": record.status, **{k: v for k, v in optional.items() if v}}
    )
    return shown


def _error(state: RunState) -> str:
    """The error of the state that the run stopped at, else of the last state; empty where neither failed."""
    if state.status in ("completed", "running") or not state.states:
        return ""
    last = max(state.states.values(), key=lambda record: record.finished_at)
    return state.states.get(state.current, last).error


def _print(shown: dict[str, Any]) -> None:
    from awf_core.units import format_duration

    print_text(f"Workflow: {shown['workflow_name']}")
    print_text(f"ID:       {shown['workflow_id']}")
    print_text(f"Status:   {shown['status']}")
    print_text(f"Current:  {shown['current_step'] or '-'}")
    print_text(f"Started:  {shown['started_at']}")
    print_text(f"Duration: {format_duration(shown['duration_ms'] / 1000)}")
    if "error" in shown:
        print_text(f"Error:    {shown['error'].rstrip()}")
    if shown["steps"]:
        print_text("")
        rows = [(step["name"], step["status"], step.get("exit_code", 0), _line(step)) for step in shown["steps"]]
        print_table(("STEP", "STATUS", "EXIT", "ERROR"), rows)


def _line(step: dict[str, Any]) -> str:
    return str(step.get("error", "")).strip().partition("\n")[0] or "-"
