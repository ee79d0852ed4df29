"""The result of a run, and a record for each of its states.

Made by the engine and by executors. Templates read `as_scope`; the command line and the worker's results read
`as_json`. Frozen values; nothing here runs or decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from awf_core.clock import iso_utc
from awf_core.extensions.conversation import Conversation, Tokens

StepStatus = Literal["completed", "failed"]
RunStatus = Literal["completed", "failed", "cancelled"]
Cause = Literal["", "timeout", "cancelled"]
"""What stopped a step; empty where nothing did."""

_LOST_BYTES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a state went: what a step returns of it, and what the run records.

    Bytes of the output that are not UTF-8 become lone surrogates, so that a command receives them
    unchanged. `exit_code` is -1 for a process that was killed. `attempt` counts from 1. `..._cut_bytes` say how much of
    an output was left out to save memory.
    """

    status: StepStatus
    output: str = ""
    stderr: str = ""
    output_cut_bytes: int = 0
    stderr_cut_bytes: int = 0
    exit_code: int = 0
    attempt: int = 1
    error: str = ""
    response: Any = None
    json: Any = None
    tokens: Tokens | None = None
    conversation: Conversation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRecord(Outcome):
    """What the run records of a state that has run; a later visit replaces it.

    Times are epoch seconds. Later states continue from `conversation`; neither method below shows it.
    """

    started_at: float = 0.0
    finished_at: float = 0.0

    def as_scope(self) -> dict[str, Any]:
        """The state as templates and expressions see it."""
        seen = {
            "Output": self.output,
            "Stderr": self.stderr,
            "ExitCode": self.exit_code,
            "Status": self.status,
        }
        return seen | self._extras()

    def as_json(self) -> dict[str, Any]:
        """The state in results and on the command line."""
        shown: dict[str, Any] = {
            "Status": self.status,
            "Output": self.output,
            "Stderr": self.stderr,
            "ExitCode": self.exit_code,
            "Attempt": self.attempt,
            "Error": self.error,
            "StartedAt": iso_utc(self.started_at),
            "CompletedAt": iso_utc(self.finished_at),
        }
        return shown | self._extras()

    def _extras(self) -> dict[str, Any]:
        extras: dict[str, Any] = {}
        if self.output_cut_bytes:
            extras["OutputCutBytes"] = self.output_cut_bytes
        if self.stderr_cut_bytes:
            extras["StderrCutBytes"] = self.stderr_cut_bytes
        if self.response is not None:
            extras["Response"] = self.response
        if self.json is not None:
            extras["JSON"] = self.json
        if self.tokens is not None:
            extras |= {
                "TokensUsed": self.tokens.used,
                "TokensInput": self.tokens.input,
                "TokensOutput": self.tokens.output,
                "TokensEstimated": self.tokens.estimated,
            }
        return extras


@dataclass(frozen=True, slots=True, kw_only=True)
class RunError:
    """Why a run did not complete. `state` is where it stood, empty when it had not begun.

    `is_structural`: workflows call each other in a circle or too deeply, so the calling run fails too.
    """

    message: str
    code: str | None = None
    state: str | None = None
    is_structural: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The result of one execution of a workflow.

    exit_code           what `awf run` exits with: 0, or 1-4 by the class of the error
    context_exit_code   the code the reached terminal or inline error names, 0 where none does
    final_state         where it ended; empty when it ended before the first state
    path                the steps in the order started, then the terminal
    inputs              the effective inputs, defaults filled in
    outputs             the values that the workflow's `outputs:` names, None for one that does not exist
    output              output of the last state that ran
    cancel_reason       why it was cancelled: what was given to `Cancel.request`, or `timeout` for a step's own limit
    parent_run_id       the run whose step started this one, None for a run of its own
    started_at, finished_at   epoch seconds; `duration_ms` is measured on a clock that does not step
    """

    run_id: str
    workflow: str
    status: RunStatus
    exit_code: int = 0
    context_exit_code: int = 0
    final_state: str = ""
    path: tuple[str, ...] = ()
    states: Mapping[str, StateRecord] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    output: str = ""
    error: RunError | None = None
    cancel_reason: str | None = None
    parent_run_id: str | None = None
    started_at: float = 0.0
    finished_at: float = 0.0
    duration_ms: int = 0

    def as_json(self) -> dict[str, Any]:
        """The object `awf run --format json` prints: plain JSON values, text free of lone surrogates."""
        error = self.error
        shown = {
            "run_id": self.run_id,
            "workflow": self.workflow,
            "phase": None,
            "status": self.status,
            "exit_code": self.exit_code,
            "context_exit_code": self.context_exit_code,
            "final_state": self.final_state,
            "path": self.path,
            "states": {name: record.as_json() for name, record in self.states.items()},
            "inputs": self.inputs,
            "outputs": self.outputs,
            "error": error and {"code": error.code, "message": error.message},
            "duration_ms": self.duration_ms,
        }
        return {key: json_value(value) for key, value in shown.items()}


def json_value(value: Any) -> Any:
    """`value` with bytes that were no UTF-8 shown as U+FFFD, mappings and sequences as dicts and lists."""
    if isinstance(value, str):
        return value if value.isascii() else _LOST_BYTES.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {json_value(str(key)): json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    return value
