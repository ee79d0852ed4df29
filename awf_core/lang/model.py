"""A loaded workflow: frozen, compiled, shared between runs and threads.

Built by `load.py` only. `State.spec` holds what belongs to one step type alone. The parser of that type makes it, so
that a new type of step needs no change here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from awf_core.lang.expressions import Expression
from awf_core.lang.templates import Template

INLINE_ERROR_PREFIX = "__inline_error_"
TERMINAL = "terminal"


@dataclass(frozen=True, slots=True, kw_only=True)
class HookAction:
    """One action of a hook: text to log, or a command to run. Both are templates."""

    kind: Literal["log", "command"]
    text: Template


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowHooks:
    """The lifecycle hooks of a run."""

    start: tuple[HookAction, ...] = ()
    end: tuple[HookAction, ...] = ()
    error: tuple[HookAction, ...] = ()
    cancel: tuple[HookAction, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A conditional edge; `when=None` is always taken."""

    when: Expression | None
    goto: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRule:
    """How often and how far apart a command step is tried. `max_delay_ms=0` = no cap; no codes = any failure."""

    max_attempts: int
    backoff: str = "constant"
    initial_delay_ms: int = 0
    max_delay_ms: int = 0
    multiplier: float = 2.0
    jitter: float = 0.0
    retryable_exit_codes: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalSpec:
    """The spec of a terminal state. `exit_code` is the context exit code, None = leave it."""

    status: Literal["success", "failure"]
    message: Template | None = None
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateRef:
    """The step template a state is made from, and the values of its parameters."""

    name: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One state. `on_failure` names a state; an inline failure has been turned into a state of its own already."""

    name: str
    type: str
    spec: object
    line: int = 0
    on_success: str | None = None
    on_failure: str | None = None
    transitions: tuple[Transition, ...] = ()
    continue_on_error: bool = False
    timeout_s: int = 0
    retry: RetryRule | None = None
    pre: tuple[HookAction, ...] = ()
    post: tuple[HookAction, ...] = ()
    template: TemplateRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputDefinition:
    """A declared input. `has_default` distinguishes a default of null from none."""

    name: str
    type: str = "string"
    description: str = ""
    required: bool = False
    default: Any = None
    has_default: bool = False
    pattern: str | None = None
    enum: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    file_exists: bool = False
    file_extension: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDefinition:
    """A named output of the workflow: `source` is a path such as `states.build.Output`."""

    name: str
    source: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A workflow as it can be run. `uses_templates`: states have a `template` still to be filled in.

    `env`: the variables that it wants beside those that every step gets. `allows_unsafe_inputs`: inputs from a message
    may be inserted into shell text whatever they hold.
    """

    name: str
    source: Path
    initial: str
    states: Mapping[str, State]
    description: str = ""
    version: str = ""
    author: str = ""
    tags: tuple[str, ...] = ()
    inputs: tuple[InputDefinition, ...] = ()
    outputs: tuple[OutputDefinition, ...] = ()
    hooks: WorkflowHooks = field(default_factory=WorkflowHooks)
    warnings: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    allows_unsafe_inputs: bool = False
    uses_templates: bool = False
