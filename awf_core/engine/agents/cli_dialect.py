"""How to speak with one agent's command line: its arguments, and what its output means.

Each built-in provider of this kind is one `Dialect`; `cli_provider.py` runs them all. Functions are pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from awf_core.engine.agents import AgentRequest

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the agent counted them."""

    input: int
    output: int
    total: int


def _accept(_: Options) -> str | None:
    return None


def _no_session(_: str) -> str:
    return ""


def _no_usage(_: str) -> Usage | None:
    return None


def _no_response(_: str) -> dict[str, Any] | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """name         the provider's name, program the command's
    arguments    what follows the program
    answer       the final text in the raw output, None where it can't be made out: then the raw output is the answer
    shown        what one line of the output shows to somebody who watches, empty = nothing
    refusal      why these options can't be used, None when they can
    session      the session's id in the raw output
    usage        the tokens it tells of
    response     what it tells about the answer, under `output_format: json`
    known        the options it reads
    """

    name: str
    program: str
    arguments: Callable[[AgentRequest], list[str]]
    answer: Callable[[str], str | None]
    shown: Callable[[str], str]
    refusal: Callable[[Options], str | None] = _accept
    session: Callable[[str], str] = _no_session
    usage: Callable[[str], Usage | None] = _no_usage
    response: Callable[[str], dict[str, Any] | None] = _no_response
    known: frozenset[str] = frozenset()


def first_prompt(request: AgentRequest) -> str:
    """The prompt with the system prompt before it, for agents that have no other place for one.

    Only a tracked session has one: the original ignores `system_prompt` elsewhere.
    """
    system = request.options.get("system_prompt")
    if request.conversation is None or not isinstance(system, str) or not system:
        return request.prompt
    return f"{system}\n\n{request.prompt}"


def session_of(request: AgentRequest) -> str:
    """The session to go on with, empty for a new one."""
    return request.conversation.session_id if request.conversation is not None else ""
