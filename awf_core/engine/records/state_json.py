"""The state of a run as the JSON of its file, and back. Pure.

Names and their order are the original tool's, so that each reads the other's files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from awf_core.engine.agents.conversation import conversation_from_json, conversation_json
from awf_core.engine.record import StateRecord, Tokens, json_value
from awf_core.engine.records import timestamps

if TYPE_CHECKING:
    from awf_core.engine.execution import Execution
    from awf_core.engine.record import StepStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What is known of a run from its file. `status` may be `running`; times are epoch seconds, 0 = not yet."""

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
        "Conversation": None if conversation is None else json_value(conversation_json(conversation)),
        "TokensUsed": tokens.used,
        "TokensInput": tokens.input,
        "TokensOutput": tokens.output,
        "TokensEstimated": tokens.estimated,
        "OutputPath": "",
        "StderrPath": "",
        "Truncated": False,
        "Data": None,
    }


def run_state(document: object) -> RunState:
    """What `document` says. Raises ValueError, KeyError or TypeError for anything but the state of a run."""
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
        conversation=None if conversation is None else conversation_from_json(conversation),
    )


def _tokens(state: Mapping[str, Any]) -> Tokens | None:
    used = int(state.get("TokensUsed") or 0)
    given, written = int(state.get("TokensInput") or 0), int(state.get("TokensOutput") or 0)
    if not (used or given or written):
        return None
    return Tokens(used=used, input=given, output=written, estimated=bool(state.get("TokensEstimated")))
