"""The state of one run while it runs: what has happened so far, and what its steps may see.

The engine makes one for each run; steps reach it through their context. Parallel branches share it: what they change is
changed under a lock or in one operation on a list.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from awf_core.clock import Clock
from awf_core.engine.secrets import secret_values
from awf_core.extensions.deadline import Cancel, Deadline
from awf_core.extensions.environment import Environment
from awf_core.extensions.results import StateRecord
from awf_core.lang.go.durations import SECOND_NS, duration_text
from awf_core.lang.model import Workflow
from awf_core.lang.packs import pack_of
from awf_core.lang.scope import Scope
from awf_core.lang.untrusted import Untrusted


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The step that started a run, for a run that a step started.

    run_id       the run it belongs to
    step         that step's name
    call_stack   names of the workflows that called each other down to this run, outermost first
    ends_at      `Clock.monotonic()` seconds at which the run has to be over, None = no limit
    depth        how many states this run runs inside of, counted over all runs above it
    """

    run_id: str
    step: str
    call_stack: tuple[str, ...]
    ends_at: float | None
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """Where a run is resumed.

    state        the state it continues with, empty = the workflow's first one
    records      what ran before and counts
    inputs       its inputs, which are not checked again
    started_at   when it first began, epoch seconds, 0 = unknown
    """

    state: str
    records: Mapping[str, StateRecord]
    inputs: Mapping[str, Any]
    started_at: float = 0.0


@dataclass(kw_only=True, eq=False, repr=False)
class Execution:
    """One run of `workflow`. `extra_env` is added to what steps and hooks get and to what templates see.

    `untrusted`: what comes from a message, None = the run is not for a message.
    """

    workflow: Workflow
    run_id: str
    cancel: Cancel
    cwd: Path
    extra_env: Mapping[str, str]
    environment: Environment
    clock: Clock
    caller: Caller | None = None
    untrusted: Untrusted | None = None

    def __post_init__(self) -> None:
        self.started_at = self.clock.now()
        self.inputs: Mapping[str, Any] = {}
        self.records: dict[str, StateRecord] = {}
        self.path: list[str] = []
        self.current = ""
        self.last_output = ""
        self.last_recorded = ""
        self.context_exit_code = 0
        self._started_mono = self.clock.monotonic()
        self.states: Mapping[str, Mapping[str, Any]] = {}
        self._recording = threading.Lock()

    def record(self, name: str, record: StateRecord) -> None:
        """Store the record of state `name`; it replaces that of an earlier visit."""
        with self._recording:
            self.records[name] = record
            # A new one each time: a branch may be going through the old one, and more states would break that.
            self.states = {**self.states, name: record.as_scope()}
            self.last_output = record.output
            self.last_recorded = name

    def restore(self, resumption: Resumption) -> None:
        """Restore the records of an earlier attempt at this run. Called before the run begins, never by a step."""
        self.inputs = resumption.inputs
        self.records = dict(resumption.records)
        self.started_at = resumption.started_at or self.started_at
        self.states = {name: record.as_scope() for name, record in self.records.items()}

    @property
    def deadline(self) -> Deadline:
        """The deadline of the run as a whole."""
        ends_at = None if self.caller is None else self.caller.ends_at
        return Deadline(clock=self.clock, cancel=self.cancel, ends_at=ends_at)

    @property
    def call_stack(self) -> tuple[str, ...]:
        """Names of the workflows above this run, outermost first."""
        return () if self.caller is None else self.caller.call_stack

    @property
    def depth(self) -> int:
        """How many states the run as a whole runs inside of."""
        return 0 if self.caller is None else self.caller.depth

    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return self.clock.monotonic() - self._started_mono

    def scope(
        self, state: str, *, loop: Mapping[str, Any] | None = None, error: Mapping[str, Any] | None = None
    ) -> Scope:
        """What a template in `state` sees now; `states` has what ran later."""
        return Scope(
            inputs=self.inputs,
            states=self.states,
            workflow={
                "ID": self.run_id,
                "Name": self.workflow.name,
                "CurrentState": state,
                "StartedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started_at)),
                "Duration": duration_text(round(self.elapsed_s() * SECOND_NS)),
            },
            env=self.env,
            context=self.context,
            awf=self.awf,
            loop=loop,
            error=error,
            untrusted=self._untrusted_in(loop),
        )

    def _untrusted_in(self, loop: Mapping[str, Any] | None) -> Untrusted | None:
        if self.untrusted is None or not self.workflow.allows_unsafe_inputs:
            return None if self.untrusted is None else self.untrusted.in_loop(loop)
        return replace(self.untrusted.in_loop(loop), is_allowed=True)

    @cached_property
    def env(self) -> Mapping[str, str]:
        """The environment as templates see it."""
        return {**self.environment.env, **self._added_env()}

    @cached_property
    def hook_env(self) -> Mapping[bytes, bytes]:
        """The environment of hook commands: the process's, and what this run adds."""
        added = {os.fsencode(name): os.fsencode(value) for name, value in self._added_env().items()}
        return {**self.environment.child_env, **added}

    @cached_property
    def step_env(self) -> Mapping[bytes, bytes]:
        """The environment of steps: a hook's, and every input that is text under its own name."""
        texts = {name: value for name, value in self.inputs.items() if isinstance(value, str) and _is_name(name)}
        encoded = {_encoded(name): _encoded(value) for name, value in texts.items()}
        return {**self.hook_env, **encoded}

    @cached_property
    def context(self) -> Mapping[str, str]:
        """What templates see as `.context`."""
        around = self.environment
        return {"WorkingDir": str(self.cwd), "User": around.user, "Hostname": around.hostname}

    @cached_property
    def awf(self) -> Mapping[str, str]:
        """What templates see as `.awf`."""
        pack = pack_of(self.workflow.source)
        shared = self.environment.awf
        return shared if pack is None else {**shared, "pack_name": pack}

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """The values to mask in captured output."""
        return secret_values(self.inputs)

    def _added_env(self) -> dict[str, str]:
        offered = self.environment.offered
        wanted = {name: offered[name] for name in self.workflow.env if name in offered}
        return {**wanted, **self.extra_env, "AWF_RUN_ID": self.run_id}


def _is_name(name: str) -> bool:
    return bool(name) and "=" not in name and "\0" not in name


def _encoded(text: str) -> bytes:
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:  # text from JSON may hold lone surrogates that stand for no byte
        return text.encode("utf-8", "replace")
