"""The state of one run while it runs: what has happened so far, and what its steps may see.

Owned by the runner, which makes one per `execute`; steps reach it through their context. Parallel branches
share it: every change is a single dict or list operation, so it needs no lock.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from awf_core.engine.duration_text import duration_text
from awf_core.engine.secrets import secret_values
from awf_core.workflow.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from awf_core.clock import Clock
    from awf_core.engine.cancel import Cancel
    from awf_core.engine.record import StateRecord
    from awf_core.engine.surroundings import Surroundings
    from awf_core.workflow.model import Workflow


class Execution:
    """One run of `workflow`. `extra_env` is added to what steps and hooks get and to what templates see."""

    def __init__(
        self,
        *,
        workflow: Workflow,
        run_id: str,
        cancel: Cancel,
        cwd: Path,
        extra_env: Mapping[str, str],
        surroundings: Surroundings,
        clock: Clock,
    ) -> None:
        self.workflow = workflow
        self.run_id = run_id
        self.cancel = cancel
        self.cwd = cwd
        self.surroundings = surroundings
        self.clock = clock
        self.started_at = clock.now()
        self.inputs: Mapping[str, Any] = {}
        self.records: dict[str, StateRecord] = {}
        self.path: list[str] = []
        self.current = ""
        self.last_output = ""
        self.context_exit_code = 0
        self._extra_env = extra_env
        self._started_mono = clock.monotonic()
        self._seen_states: dict[str, Mapping[str, Any]] = {}
        self._env: Mapping[str, str] | None = None
        self._hook_env: Mapping[bytes, bytes] | None = None
        self._step_env: Mapping[bytes, bytes] | None = None
        self._context: Mapping[str, str] | None = None
        self._secrets: tuple[str, ...] | None = None

    def record(self, name: str, record: StateRecord) -> None:
        """Note what state `name` came to; it replaces an earlier visit's record."""
        self.records[name] = record
        self._seen_states[name] = record.as_scope()
        self.last_output = record.output

    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return self.clock.monotonic() - self._started_mono

    def scope(
        self, state: str, *, loop: Mapping[str, Any] | None = None, error: Mapping[str, Any] | None = None
    ) -> Scope:
        """What a template in `state` sees now. States that run later show up in it; the duration stays."""
        return Scope(
            inputs=self.inputs,
            states=self._seen_states,
            workflow={
                "ID": self.run_id,
                "Name": self.workflow.name,
                "CurrentState": state,
                "StartedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started_at)),
                "Duration": duration_text(self.elapsed_s()),
            },
            env=self.env,
            context=self.context,
            awf=self.surroundings.awf,
            loop=loop,
            error=error,
        )

    @property
    def env(self) -> Mapping[str, str]:
        """The environment as templates see it."""
        if self._env is None:
            self._env = {**self.surroundings.env, **self._added_env()}
        return self._env

    @property
    def hook_env(self) -> Mapping[bytes, bytes]:
        """The environment of hook commands: the process's, and what this run adds."""
        if self._hook_env is None:
            added = {os.fsencode(name): os.fsencode(value) for name, value in self._added_env().items()}
            self._hook_env = {**self.surroundings.child_env, **added}
        return self._hook_env

    @property
    def step_env(self) -> Mapping[bytes, bytes]:
        """The environment of steps: a hook's, and every input that is text under its own name."""
        if self._step_env is None:
            texts = {name: value for name, value in self.inputs.items() if isinstance(value, str) and _is_name(name)}
            encoded = {_encoded(name): _encoded(value) for name, value in texts.items()}
            self._step_env = {**self.hook_env, **encoded}
        return self._step_env

    @property
    def context(self) -> Mapping[str, str]:
        """What templates see as `.context`."""
        if self._context is None:
            around = self.surroundings
            self._context = {"WorkingDir": str(self.cwd), "User": around.user, "Hostname": around.hostname}
        return self._context

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values to keep out of captured output."""
        if self._secrets is None:
            self._secrets = secret_values(self.inputs)
        return self._secrets

    def _added_env(self) -> dict[str, str]:
        return {**self._extra_env, "AWF_RUN_ID": self.run_id}


def _is_name(name: str) -> bool:
    return bool(name) and "=" not in name and "\0" not in name


def _encoded(text: str) -> bytes:
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:  # text from JSON may hold lone surrogates that stand for no byte
        return text.encode("utf-8", "replace")
