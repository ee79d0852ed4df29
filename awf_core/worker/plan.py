"""Turn a message into a plan: what runs, under which rules. Or say why nothing runs.

Called by the pipeline only. Reads workflow files through the catalogue, which caches; has no other effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from awf_core.errors import AwfError, InputError, WorkflowNotFound, redact_url
from awf_core.lang.input_names import check_untrusted
from awf_core.lang.names import InvalidWorkflowName, bare_name
from awf_core.lang.shell_text import UnsafeInput
from awf_core.lang.untrusted import untrusted_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from awf_core.config.model import WorkflowPolicy
    from awf_core.engine.run.engine import Engine
    from awf_core.extensions.deadline import Cancel
    from awf_core.extensions.results import Run
    from awf_core.lang.catalogue import Catalogue
    from awf_core.message import Malformed, Message
    from awf_core.worker.last_good import LastGood

UNKNOWN_WORKFLOW = "unknown_workflow"
INVALID_WORKFLOW = "invalid_workflow"
INVALID_NAME = "invalid_workflow_name"
INVALID_INPUTS = "invalid_inputs"
TOO_LARGE = "too_large"
EXPIRED = "expired"
INTERNAL_ERROR = "internal_error"
UNSAFE = "unsafe_input"
_REASONS = (
    (InvalidWorkflowName, INVALID_NAME),
    (WorkflowNotFound, UNKNOWN_WORKFLOW),
    (UnsafeInput, UNSAFE),
    (InputError, INVALID_INPUTS),
)


class Execute(Protocol):
    """Runs the planned workflow to its end. Called once, on a runner thread."""

    def __call__(self, *, cancel: Cancel, extra_env: Mapping[str, str]) -> Run:
        """`extra_env` is added to the environment of its steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is going to run: `execute` has the workflow, its inputs and the engine or executor bound to it."""

    policy: WorkflowPolicy
    execute: Execute


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why nothing runs. `reason` is the one word that a dead-lettered message carries, `code` the language's."""

    reason: str
    error: str
    code: str | None
    exit_code: int


class Planner:
    """Plans what our own engine runs. Thread-safe."""

    def __init__(
        self,
        *,
        catalogue: Catalogue | LastGood,
        engine: Engine,
        policy_for: Callable[[str], WorkflowPolicy],
        project_inputs: Mapping[str, Any],
        cwd: Path,
        allows_unsafe_inputs: bool = False,
    ) -> None:
        self._catalogue = catalogue
        self._engine = engine
        self._policy_for = policy_for
        self._project_inputs = project_inputs
        self._cwd = cwd
        self._allows_unsafe_inputs = allows_unsafe_inputs

    def plan(self, message: Message) -> Plan | Rejection:
        """The plan for `message`. Its producer is untrusted: `workflow` is a name, never a path."""
        try:
            workflow = self._catalogue.get(bare_name(message.workflow))
            if message.inputs:
                check_untrusted(workflow, message.inputs)
            given = {**self._project_inputs, **message.inputs} if self._project_inputs else message.inputs
            inputs = self._engine.prepare_inputs(workflow, given)
        except AwfError as exc:
            return rejected(exc)
        untrusted = untrusted_inputs(message.inputs, message_id=message.id, is_allowed=self._allows_unsafe_inputs)
        execute = partial(self._engine.execute, workflow, inputs, cwd=self._cwd, is_prepared=True, untrusted=untrusted)
        return Plan(policy=self._policy_for(message.workflow), execute=execute)


def rejected(error: AwfError) -> Rejection:
    """The rejection of a message whose workflow or inputs raise `error`."""
    reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), INVALID_WORKFLOW)
    return Rejection(reason=reason, error=error.message, code=error.code, exit_code=error.exit_code)


def malformed(message: Malformed) -> Rejection:
    """A body that is no message."""
    return Rejection(reason="malformed", error=message.reason, code="USER.INPUT.INVALID_FORMAT", exit_code=1)


def crash_loop(deliveries: int, crashes: int) -> Rejection:
    """A message of which too many workers died."""
    error = f"delivered {deliveries} times; {crashes} workers ended without settling it"
    return Rejection(reason="crash_loop", error=error, code=None, exit_code=4)


def too_large(body_bytes: int, max_body_bytes: int) -> Rejection:
    """A message whose body is over the limit, transferred or not."""
    error = f"body of {body_bytes} bytes is over max_body_bytes ({max_body_bytes})"
    return Rejection(reason=TOO_LARGE, error=error, code="USER.INPUT.INVALID_FORMAT", exit_code=1)


def expired(ago_s: float) -> Rejection:
    """A message that came to its run `ago_s` seconds after the time its producer gave it."""
    error = f"the message expired {max(0.0, ago_s):.1f} seconds before a worker could run it"
    return Rejection(reason=EXPIRED, error=error, code=None, exit_code=4)


def internal_error(error: BaseException) -> Rejection:
    """An internal error while a message was handled. Its text is published, so it holds no password."""
    text = redact_url(f"internal error: {type(error).__name__}: {error}")
    return Rejection(reason=INTERNAL_ERROR, error=text, code="SYSTEM.INTERNAL.UNMAPPED", exit_code=4)
