"""The file of a run's state: written whole after every step, and read by `awf resume` and `awf status`.

A reader, or a crash at any moment, finds either the earlier state or the later one, never half of one. The names in the
file and their order are the original tool's, so that each tool reads the other's files.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from awf_core.engine.records import timestamps
from awf_core.engine.records.paths import RecordPaths, check_run_id
from awf_core.engine.run.events import Recorder
from awf_core.engine.run.execution import Execution
from awf_core.errors import SystemFailure, UsageError
from awf_core.extensions.conversation import Conversation, Tokens, Turn
from awf_core.extensions.results import Run, StateRecord, StepStatus, json_value

_ROLES = ("system", "user", "assistant")


class StateFiles(Recorder):
    """Writes the state of each run into a file of its own; a run that a step starts has one too."""

    def __init__(self, paths: RecordPaths) -> None:
        self._paths = paths

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
        write_state(self._paths.state_file(execution.run_id), document)


def write_state(path: Path, document: Mapping[str, Any]) -> None:
    """Put `document` at `path`, readable by its owner only, in one step. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            # Values of plugins may be anything; what is no JSON is written as its text.
            json.dump(document, file, ensure_ascii=False, indent=2, default=str)
        os.replace(temporary, path)  # noqa: PTH105  (a Path would have to be made for it)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def read_state(paths: RecordPaths, run_id: str) -> RunState:
    """The state of the run `run_id`. Raises UsageError for an unknown one, SystemFailure for a file it can't read."""
    path = paths.state_file(check_run_id(run_id))
    try:
        return run_state(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UsageError(
            f"workflow execution not found: {run_id}",
            hint=f"No file of it in {path.parent}; `awf history` lists runs, --storage names another directory.",
        ) from None
    except OSError as problem:
        raise SystemFailure(f"state file {path}: {problem.strerror or problem}") from problem
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise SystemFailure(
            f"state file {path}: not the state of a run: {type(problem).__name__}: {problem}",
            hint="Remove the file; the run can't be resumed.",
        ) from problem


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run as its file describes it. `status` may be `running`; times are epoch seconds, 0 = not yet."""

    run_id: str
    workflow: str
    parent_run_id: str = ""
    status: str
    current: str = ""
    exit_code: int = 0
    inputs: Mapping[str, Any] = field(default_factory=dict)
    states: Mapping[str, StateRecord] = field(default_factory=dict)
    started_at: float = 0.0
    updated_at: float = 0.0
    completed_at: float = 0.0


def state_document(execution: Execution, status: str, *, now: float) -> dict[str, Any]:
    """The document of `execution` as it is. `now` in epoch seconds."""
    caller = execution.caller
    return {
        "WorkflowID": execution.run_id,
        "WorkflowName": execution.workflow.name,
        "ParentRunID": "" if caller is None else caller.run_id,
        "Status": status,
        "CurrentStep": execution.current,
        "ExitCode": execution.context_exit_code,
        "Inputs": json_value(dict(execution.inputs)),
        # A copy made in one operation: branches may be recording while this is written.
        "States": {json_value(name): _state(name, record) for name, record in dict(execution.records).items()},
        "Env": {},
        "StartedAt": timestamps.written(execution.started_at),
        "UpdatedAt": timestamps.written(now),
        "CompletedAt": timestamps.written(now) if status == "completed" else timestamps.UNSET,
        "CurrentLoop": None,
        "CallStack": list(execution.call_stack) or None,
    }


def _state(name: str, record: StateRecord) -> dict[str, Any]:
    tokens = record.tokens or Tokens()
    conversation = record.conversation
    return {
        "Name": json_value(name),
        "Status": record.status,
        "Output": json_value(record.output),
        "Stderr": json_value(record.stderr),
        "ExitCode": record.exit_code,
        "Attempt": record.attempt,
        "Error": json_value(record.error),
        "StartedAt": timestamps.written(record.started_at),
        "CompletedAt": timestamps.written(record.finished_at),
        "Response": json_value(record.response),
        "JSON": json_value(record.json),
        "Conversation": None if conversation is None else json_value(_conversation_json(conversation)),
        "TokensUsed": tokens.used,
        "TokensInput": tokens.input,
        "TokensOutput": tokens.output,
        "TokensEstimated": tokens.estimated,
        "OutputPath": "",
        "StderrPath": "",
        "Truncated": bool(record.output_cut_bytes or record.stderr_cut_bytes),
        "Data": None,
    }


def run_state(document: object) -> RunState:
    """The state that `document` holds. Raises ValueError, KeyError or TypeError for anything but the state of a run."""
    if not isinstance(document, Mapping):
        raise TypeError("not a mapping")
    read = timestamps.read
    return RunState(
        run_id=str(document["WorkflowID"]),
        workflow=str(document["WorkflowName"]),
        parent_run_id=str(document.get("ParentRunID") or ""),
        status=str(document["Status"]),
        current=str(document.get("CurrentStep") or ""),
        exit_code=int(document.get("ExitCode") or 0),
        inputs=dict(document.get("Inputs") or {}),
        states={str(name): _record(state) for name, state in (document.get("States") or {}).items()},
        started_at=read(document.get("StartedAt") or timestamps.UNSET),
        updated_at=read(document.get("UpdatedAt") or timestamps.UNSET),
        completed_at=read(document.get("CompletedAt") or timestamps.UNSET),
    )


def _record(state: Mapping[str, Any]) -> StateRecord:
    status = "completed" if state.get("Status") == "completed" else "failed"
    conversation = state.get("Conversation")
    return StateRecord(
        status=cast("StepStatus", status),
        output=str(state.get("Output") or ""),
        stderr=str(state.get("Stderr") or ""),
        exit_code=int(state.get("ExitCode") or 0),
        attempt=int(state.get("Attempt") or 1),
        error=str(state.get("Error") or ""),
        started_at=timestamps.read(state.get("StartedAt") or timestamps.UNSET),
        finished_at=timestamps.read(state.get("CompletedAt") or timestamps.UNSET),
        response=state.get("Response"),
        json=state.get("JSON"),
        tokens=_tokens(state),
        conversation=None if conversation is None else _conversation_from_json(conversation),
    )


def _tokens(state: Mapping[str, Any]) -> Tokens | None:
    used = int(state.get("TokensUsed") or 0)
    given, written = int(state.get("TokensInput") or 0), int(state.get("TokensOutput") or 0)
    if not (used or given or written):
        return None
    return Tokens(used=used, input=given, output=written, estimated=bool(state.get("TokensEstimated")))


def _conversation_json(conversation: Conversation) -> dict[str, Any]:
    return {
        "SessionID": conversation.session_id,
        "Turns": [{"Role": turn.role, "Content": turn.content, "Tokens": turn.tokens} for turn in conversation.turns],
        "TotalTurns": len(conversation.turns),
        "TotalTokens": sum(turn.tokens for turn in conversation.turns),
    }


def _conversation_from_json(data: Mapping[str, Any]) -> Conversation:
    """What `_conversation_json` wrote. Turns of an unknown shape are left out."""
    turns = [item for item in data.get("Turns") or [] if isinstance(item, Mapping) and item.get("Role") in _ROLES]
    return Conversation(
        turns=tuple(
            Turn(role=item["Role"], content=str(item.get("Content", "")), tokens=int(item.get("Tokens") or 0))
            for item in turns
        ),
        session_id=str(data.get("SessionID") or ""),
    )
