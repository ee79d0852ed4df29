"""The audit log: two lines for each run, appended to a file that many processes may share.

A line is at most 4096 bytes, so that lines of different processes never mix. Values of secret inputs are never in it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from awf_core.clock import iso_utc
from awf_core.engine.run.events import Recorder
from awf_core.engine.run.execution import Execution
from awf_core.engine.secrets import masked_inputs
from awf_core.extensions.results import Run, json_value

MAX_LINE_BYTES = 4096
SCHEMA_VERSION = 1
SHORTENED = "…"
_CUT_TO = (2000, 500, 100, 20)
"""Characters of an error that are tried, longest first, when a line is too long without its inputs too."""


class AuditLog(Recorder):
    """Appends to one file; each line is one write."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def started(self, execution: Execution) -> None:
        """Append that a run begins, with its inputs."""
        self._append(started_event(execution))

    def finished(self, execution: Execution, run: Run) -> None:
        """Append how it ended."""
        self._append(completed_event(execution, run))

    def _append(self, event: dict[str, Any]) -> None:
        line = line_of(event)
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        descriptor = os.open(self._path, os.O_APPEND | os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)


def started_event(execution: Execution) -> dict[str, Any]:
    """The event when a run begins; keys in their order."""
    inputs = json_value(masked_inputs(execution.inputs))
    return {
        **_head("workflow.started", execution, execution.started_at),
        **({"inputs": inputs} if inputs else {}),
        "schema_version": SCHEMA_VERSION,
    }


def completed_event(execution: Execution, run: Run) -> dict[str, Any]:
    """The event when a run has ended: success or failure by its own status; the exit code of its context."""
    error = run.error
    return {
        **_head("workflow.completed", execution, run.finished_at),
        "status": "success" if run.status == "completed" else "failure",
        "exit_code": run.context_exit_code,
        "duration_ms": run.duration_ms,
        **({"error": json_value(error.message)} if error is not None else {}),
        "schema_version": SCHEMA_VERSION,
    }


def _head(event: str, execution: Execution, at: float) -> dict[str, Any]:
    return {
        "event": event,
        "execution_id": execution.run_id,
        "timestamp": iso_utc(at),
        "user": execution.environment.user,
        "workflow_name": json_value(execution.workflow.name),
    }


def line_of(event: dict[str, Any]) -> bytes:
    """The line of `event` with its newline; the longest inputs, then the error, are shortened until it fits."""
    line = _encoded(event)
    if len(line) <= MAX_LINE_BYTES:
        return line
    shorter = dict(event)
    if "inputs" in shorter:
        line = _with_short_inputs(shorter)
    for limit in _CUT_TO:
        if len(line) <= MAX_LINE_BYTES:
            break
        if "error" in event:
            shorter["error"] = event["error"][:limit] + SHORTENED
            line = _encoded(shorter)
    return line if len(line) <= MAX_LINE_BYTES else _encoded(_bare(shorter))


def _with_short_inputs(event: dict[str, Any]) -> bytes:
    inputs = dict(event["inputs"])
    # The mark comes right after the inputs, before the keys that follow them.
    rest = {key: event.pop(key) for key in list(event)[list(event).index("inputs") :]}
    event.update({"inputs": inputs, "inputs_truncated": True, **{k: v for k, v in rest.items() if k != "inputs"}})
    for name in sorted(inputs, key=lambda name: (-len(_text(inputs[name])), name)):
        inputs[name] = SHORTENED
        line = _encoded(event)
        if len(line) <= MAX_LINE_BYTES:
            break
    else:
        inputs.clear()  # so many names that they alone are too long
        line = _encoded(event)
    return line


def _bare(event: dict[str, Any]) -> dict[str, Any]:
    """For names of an absurd length: every text a person can make long, cut."""
    return {key: value[:200] if isinstance(value, str) else value for key, value in event.items() if key != "inputs"}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _encoded(event: dict[str, Any]) -> bytes:
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"), default=str)
    return text.encode("utf-8", "replace") + b"\n"
