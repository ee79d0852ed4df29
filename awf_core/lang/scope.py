"""The data that templates and expressions can read at one moment of a run.

Built by the engine, read by both languages. All parts are plain mappings with the names the original tool gives them
(PascalCase inside `states`, `workflow`, `context`, `loop`, `error`); each language adds its own spellings on top.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from awf_core.lang.untrusted import Untrusted


@dataclass(slots=True, kw_only=True)
class Scope:
    """The data of one rendering.

    inputs     effective inputs, values typed as given (command-line inputs are text, defaults keep their YAML type)
    states     name -> {Output, Stderr, ExitCode, Status[, Response, JSON, Tokens...]} of states that have run
    workflow   {ID, Name, CurrentState, StartedAt, Duration}, all text
    env        the process's environment
    context    {WorkingDir, User, Hostname}
    awf        {config_dir, data_dir, scripts_dir, prompts_dir, workflows_dir, plugins_dir, ...}
    loop       {Item, Index, Index1, First, Last, Length, Parent} inside a loop body, else None
    untrusted  what of it comes from a message; None = nothing, or no one asks
    error      {Message, State, ExitCode, Type} inside workflow_error hooks, else None
    """

    inputs: Mapping[str, Any] = field(default_factory=dict)
    states: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    workflow: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)
    awf: Mapping[str, str] = field(default_factory=dict)
    loop: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    untrusted: Untrusted | None = None
