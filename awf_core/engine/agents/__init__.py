"""What an agent provider is: something that answers a prompt for a state of `type: agent`.

A plugin adds one by `register("name", provider)` in its hook `awf_register_agent_providers`; the object needs the one
method of `AgentProvider`. Built in: claude, codex, gemini, opencode, github_copilot, mistral_vibe, openai_compatible.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from awf_core.engine.agents.conversation import Conversation, Turn
from awf_core.engine.outward.context import OutwardContext
from awf_core.engine.record import Tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AgentAnswer",
    "AgentFailed",
    "AgentProvider",
    "AgentRequest",
    "Conversation",
    "OutwardContext",
    "Tokens",
    "Turn",
    "estimate_tokens",
]

_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRequest:
    """One prompt. It is never empty, except for space.

    options        the state's `options`, texts interpolated, with `system_prompt` (role included) where there is one
                   and `output_format`, which is `text` where the state asks for none
    conversation   what was said before and the session to go on with; None when the state tracks no session
    """

    prompt: str
    options: Mapping[str, Any] = field(default_factory=dict)
    conversation: Conversation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAnswer:
    """What a provider answered.

    output      the answer itself, code fences included: what `output_format` asks for is done by the step
    response    what the provider says about it beyond the text, None = nothing
    session_id  what a later request goes on with, empty where the provider has no sessions
    """

    output: str
    tokens: Tokens
    response: Mapping[str, Any] | None = None
    session_id: str = ""


class AgentFailed(Exception):
    """There is no answer; the text becomes the state's Error.

    `cause` is set when the provider was stopped: by the state's own time limit, or with the run.
    """

    def __init__(self, text: str, *, cause: Literal["", "timeout", "cancelled"] = "") -> None:
        super().__init__(text)
        self.text = text
        self.cause = cause


@runtime_checkable
class AgentProvider(Protocol):
    """One object serves all runs and threads: keep no state of a run in it."""

    def run(self, request: AgentRequest, context: OutwardContext) -> AgentAnswer:
        """Answer `request`. Raises AgentFailed; any other exception counts as a bug and ends the run.

        Must return soon after `context.allowance` is over. Keys and prompts belong into no error and no log line.
        """


def estimate_tokens(text: str) -> int:
    """About how many tokens `text` is, for providers that do not count."""
    return len(text.encode("utf-8", "surrogateescape")) // _BYTES_PER_TOKEN
