"""How commands show the states of a run: as a list of steps, in the order they began. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awf_core.engine.records.timestamps import written
from awf_core.extensions.results import json_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.extensions.results import StateRecord


def steps_of(states: Mapping[str, StateRecord]) -> list[dict[str, Any]]:
    """One object for each state; keys that have nothing to say are left out."""
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
