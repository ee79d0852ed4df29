"""What the original tool's `awf run` came to, as a Run of ours: from its exit code, its error, its state file.

Called by the `awf-cli` executor. Writes nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from awf_core.engine.exit_class import EXECUTION
from awf_core.engine.record import Run, RunError, RunStatus
from awf_core.engine.records.state_json import RunState, run_state
from awf_core.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from awf_core.clock import Clock
    from awf_core.engine.executors import Order
    from awf_core.engine.process import Finished

MAX_SHOWN_CHARS = 2000


class Timing:
    """When a run began: now."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.started_at = clock.now()
        self.started_mono = clock.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The error the tool wrote: `{error, code, error_code}`."""

    message: str
    code: str | None = None


def run_of(order: Order, finished: Finished, states: Path, timing: Timing) -> Run:
    """The run. `states` is the directory of its state files; it may be missing when nothing ran."""
    saved = _saved(states)
    status = _status(order, finished, saved)
    records = dict(saved.states) if saved is not None else {}
    by_start = sorted(records, key=lambda name: records[name].started_at)
    final = saved.current if saved is not None else ""
    last = max(records.values(), key=lambda record: record.finished_at, default=None)
    return Run(
        run_id=saved.run_id if saved is not None else new_id(),
        workflow=saved.workflow if saved is not None else order.workflow,
        status=status,
        exit_code=_exit_code(status, finished),
        context_exit_code=saved.exit_code if saved is not None else 0,
        final_state=final,
        path=(*by_start, *((final,) if final and final not in records else ())),
        states=records,
        inputs=saved.inputs if saved is not None else order.inputs,
        output=last.output if last is not None else "",
        error=None if status == "completed" else _error(status, finished, final),
        cancel_reason=order.cancel.reason if status == "cancelled" else None,
        started_at=timing.started_at,
        finished_at=timing.clock.now(),
        duration_ms=round((timing.clock.monotonic() - timing.started_mono) * 1000),
    )


def _saved(states: Path) -> RunState | None:
    """The state of the run itself; runs that its steps started have files of their own."""
    for path in sorted(states.glob("*.json")):
        try:
            saved = run_state(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if not saved.parent_run_id:
            return saved
    return None


def _status(order: Order, finished: Finished, saved: RunState | None) -> RunStatus:
    if finished.end == "cancelled" or order.cancel.requested:
        return "cancelled"
    if finished.end in ("exited", "pipes_held") and finished.exit_code == 0:
        return "completed"
    return "cancelled" if saved is not None and saved.status == "cancelled" else "failed"


def _exit_code(status: RunStatus, finished: Finished) -> int:
    if status == "completed":
        return 0
    return finished.exit_code if 0 < finished.exit_code <= 4 else EXECUTION


def _error(status: RunStatus, finished: Finished, state: str) -> RunError:
    told = error_told(finished.stderr.decode("utf-8", "replace"))
    if told is None and status == "cancelled":
        told = Told(message=finished.failure or "context canceled")
    if told is None:
        told = Told(message=f"the original tool ended with exit code {finished.exit_code} and no error")
    return RunError(message=told.message, code=told.code, state=state or None)


def error_told(stderr: str) -> Told | None:
    """The error in what the tool wrote on stderr: its JSON object, else its last lines; None where it wrote nothing."""
    for document in _documents(stderr):
        if isinstance(document, dict) and isinstance(document.get("error"), str):
            code = document.get("error_code")
            return Told(message=document["error"], code=code if isinstance(code, str) and code else None)
    text = stderr.strip()
    if not text:
        return None
    return Told(message=text.removeprefix("Error: ")[-MAX_SHOWN_CHARS:])


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
