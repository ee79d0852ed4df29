"""The transcript of a run: what its steps and agents did, a line of JSON each, in the order it happened.

One file for each run, of the runs that steps start too. It holds prompts and answers as they were, secrets included.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from awf_core.engine.records import timestamps
from awf_core.engine.records.paths import RecordPaths
from awf_core.engine.run.events import Recorder
from awf_core.engine.run.execution import Execution
from awf_core.extensions.results import Run, StateRecord, json_value
from awf_core.lang.model import State

MAX_LOOP_DEPTH = 8
"""Loops inside each other that a path names; of more, the outer ones are left out."""


class Transcripts(Recorder):
    """Appends to the transcripts of the runs in progress. Branches of one run may write at the same time."""

    def __init__(self, paths: RecordPaths) -> None:
        self._directory = paths.transcripts
        self._lock = threading.Lock()
        self._open: dict[str, tuple[int, int]] = {}

    def started(self, execution: Execution) -> None:
        """Open the file; a resumed run appends to its own."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        path = self._directory / f"{execution.run_id}.jsonl"
        descriptor = os.open(path, os.O_APPEND | os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        with self._lock:
            self._open[execution.run_id] = (descriptor, _lines(descriptor))

    def step_started(self, execution: Execution, state: State, loop: Mapping[str, Any] | None) -> None:
        """Write that it starts."""
        payload = {"name": state.name, "kind": state.type}
        self._write(execution, "step.started", path_of(state.name, loop), payload, loop=loop)

    def step_finished(
        self, execution: Execution, state: State, loop: Mapping[str, Any] | None, record: StateRecord | None
    ) -> None:
        """Write how it ended, and before it what an agent was asked and answered."""
        path = path_of(state.name, loop)
        for kind, payload in _messages(execution, state, record):
            self._write(execution, kind, path, payload, loop=loop)
        payload = {"name": state.name, "kind": state.type}
        if record is not None:
            payload |= {"error": record.error} if record.error else {}
            payload["result"] = {"status": record.status, "exit_code": record.exit_code}
        self._write(execution, "step.completed", path, payload, loop=loop)

    def child_started(self, parent: Execution, child: Execution) -> None:
        """Write it into the parent's transcript."""
        self._child(parent, child, "step.call_workflow.started")

    def child_finished(self, parent: Execution, child: Execution, run: Run) -> None:
        """Write it into the parent's transcript."""
        self._child(parent, child, "step.call_workflow.completed", None if run.error is None else run.error.message)

    def finished(self, execution: Execution, run: Run) -> None:  # noqa: ARG002
        """Close the file."""
        with self._lock:
            descriptor, _ = self._open.pop(execution.run_id, (-1, 0))
        if descriptor >= 0:
            os.close(descriptor)

    def _child(self, parent: Execution, child: Execution, kind: str, error: str | None = None) -> None:
        step = "" if child.caller is None else child.caller.step
        payload = {"name": step, "kind": "call_workflow"} | ({"error": error} if error else {})
        self._write(parent, kind, step, payload, child_run_id=child.run_id)

    def _write(
        self,
        execution: Execution,
        kind: str,
        path: str,
        payload: Mapping[str, Any],
        *,
        loop: Mapping[str, Any] | None = None,
        child_run_id: str = "",
    ) -> None:
        event = {
            "run_id": execution.run_id,
            **({"parent_run_id": execution.caller.run_id} if execution.caller is not None else {}),
            **({"child_run_id": child_run_id} if child_run_id else {}),
            "type": kind,
            "path": path,
            "iteration": 0 if loop is None else loop["Index"],
            "timestamp": timestamps.written(execution.clock.now()),
            "payload": payload,
        }
        with self._lock:
            descriptor, written = self._open.get(execution.run_id, (-1, 0))
            if descriptor >= 0:
                self._open[execution.run_id] = (descriptor, written + 1)
                _append(descriptor, {"seq": written + 1, **event})


def path_of(name: str, loop: Mapping[str, Any] | None) -> str:
    """Where in a run a state is: `build`, in loops `loop:0/build` or `loop:2/loop:0/build`, counted from 0."""
    indexes = list(_indexes(loop))[:MAX_LOOP_DEPTH]
    return "/".join([*(f"loop:{index}" for index in reversed(indexes)), name])


def _indexes(loop: Mapping[str, Any] | None) -> Iterator[int]:
    while loop is not None:
        yield loop["Index"]
        loop = loop["Parent"]


def _messages(execution: Execution, state: State, record: StateRecord | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """The messages of an agent's step: its turns, or its answer where it keeps no conversation."""
    if record is None or state.type != "agent":
        return
    if record.conversation is None:
        if record.output:
            yield _message("assistant", record.output)
        return
    for turn in record.conversation.turns[_turns_before(execution, state, record) :]:
        if turn.role != "system":
            yield _message(turn.role, turn.content)


def _turns_before(execution: Execution, state: State, record: StateRecord) -> int:
    """How many of the turns belong to another state, whose conversation this one continued."""
    assert record.conversation is not None
    turns = record.conversation.turns
    lengths = [0]
    for name, other in dict(execution.records).items():
        earlier = other.conversation.turns if other.conversation is not None and name != state.name else ()
        if earlier == turns[: len(earlier)] and len(earlier) < len(turns):
            lengths.append(len(earlier))
    return max(lengths)


def _message(role: str, text: str) -> tuple[str, dict[str, Any]]:
    fidelity = "router" if role == "user" else "agent_emitted"
    return f"message.{role}", {"role": role, "blocks": [{"type": "text", "fidelity": fidelity, "text": text}]}


def _append(descriptor: int, event: Mapping[str, Any]) -> None:
    text = json.dumps(json_value(event), ensure_ascii=False, separators=(",", ":"), default=str)
    os.write(descriptor, text.encode("utf-8", "replace") + b"\n")


def _lines(descriptor: int) -> int:
    size, count, offset = os.fstat(descriptor).st_size, 0, 0
    while offset < size:
        piece = os.pread(descriptor, 1 << 20, offset)
        if not piece:
            break
        count, offset = count + piece.count(b"\n"), offset + len(piece)
    return count
