"""What an agent provider is: it answers a prompt for a state of `type: agent`.

A plugin adds one by `register("name", provider)` in its hook `awf_register_agent_providers`; the object needs the one
method of `AgentProvider`. The built-in ones are in `awf_core.integrations.agents`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from awf_core.extensions.conversation import Conversation, Tokens, Turn
from awf_core.extensions.deadline import Deadline
from awf_core.extensions.outward import OutwardContext
from awf_core.extensions.results import Cause

__all__ = [
    "AgentAnswer",
    "AgentFailed",
    "AgentProvider",
    "AgentRequest",
    "Conversation",
    "InputStopped",
    "NoInput",
    "Tokens",
    "Turn",
    "UserInput",
    "estimate_tokens",
]

_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRequest:
    """One prompt. It is never empty, but may be blank.

    options        the state's `options`, their templates filled in, with `system_prompt` (role included) where there
                   is one and `output_format`, which is `text` where the state names none
    conversation   the turns so far and the session to continue; None when the state tracks no session
    """

    prompt: str
    options: Mapping[str, Any] = field(default_factory=dict)
    conversation: Conversation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAnswer:
    """What a provider answered.

    output      the answer itself, code fences included: the step applies `output_format`
    response    what the provider reports beyond the text, None = nothing
    session_id  what a later request continues, empty where the provider has no sessions
    output_cut_bytes   how much of what the agent wrote was not kept (see `OutwardContext.max_output_bytes`)
    """

    output: str
    tokens: Tokens
    response: Mapping[str, Any] | None = None
    session_id: str = ""
    output_cut_bytes: int = 0


class AgentFailed(Exception):
    """There is no answer; the text becomes the state's Error.

    `cause` is set when the provider was stopped: by the state's own time limit, or with the run. `is_unpassable`: no
    program can be given the prompt, which is too large or holds a NUL.
    """

    def __init__(self, text: str, *, cause: Cause = "", is_unpassable: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.cause = cause
        self.is_unpassable = is_unpassable


@runtime_checkable
class AgentProvider(Protocol):
    """One object serves all runs and threads: keep no state of a run in it."""

    def run(self, request: AgentRequest, context: OutwardContext) -> AgentAnswer:
        """Answer `request`. Raises AgentFailed; any other exception counts as a bug and ends the run.

        Must return soon after `context.deadline` is over. Put no key and no prompt into an error or a log line.
        """


def estimate_tokens(text: str) -> int:
    """About how many tokens `text` has, for providers that do not count."""
    return len(text.encode("utf-8", "surrogateescape")) // _BYTES_PER_TOKEN


class InputStopped(Exception):
    """The wait for input was stopped; the text is that of `Deadline.stop_reason`."""


class UserInput(Protocol):
    """The user of a conversation: one line is one turn. One conversation reads at a time."""

    def read_line(self, deadline: Deadline) -> str:
        """The next line without its end; empty at the end of the input. Raises InputStopped."""


class NoInput:
    """No user, as in a worker: every conversation ends after its first answer."""

    def read_line(self, deadline: Deadline) -> str:  # noqa: ARG002 - the shape of UserInput
        """Always empty."""
        return ""
