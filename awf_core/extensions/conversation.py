"""What an agent and its user said to each other, and the session it continues in. Values; pure.

The record of a state holds its conversation, so that a later state can continue it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a language model counted. `estimated`: the provider did not report it."""

    used: int = 0
    input: int = 0
    output: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message. `tokens` is 0 where the provider did not count."""

    role: Role
    content: str
    tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The turns so far, oldest first. `session_id` is the provider's name for it, empty where it has none."""

    turns: tuple[Turn, ...] = ()
    session_id: str = ""

    @property
    def has_begun(self) -> bool:
        """Whether it holds more than the system prompt."""
        return any(turn.role != "system" for turn in self.turns)


def begin(system_prompt: str) -> Conversation:
    """A conversation that holds the system prompt alone, or nothing where that is empty."""
    return Conversation(turns=(Turn(role="system", content=system_prompt),) if system_prompt else ())


def extend(before: Conversation, *, prompt: str, answer: str, tokens: int, session_id: str) -> Conversation:
    """`before` with a prompt and its answer; `tokens` are those of the answer."""
    said = (Turn(role="user", content=prompt), Turn(role="assistant", content=answer, tokens=tokens))
    return Conversation(turns=(*before.turns, *said), session_id=session_id)
