"""What an agent and its user said to each other, and the session it goes on in. Values; pure.

Kept with the record of a state, so that a later state can continue from it, and written with the run's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]
_ROLES: tuple[Role, ...] = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One thing that was said. `tokens` is 0 where nobody counted."""

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
        """Whether anybody but the system prompt has said something."""
        return any(turn.role != "system" for turn in self.turns)


def begin(system_prompt: str) -> Conversation:
    """A conversation in which nothing but the system prompt was said."""
    return Conversation(turns=(Turn(role="system", content=system_prompt),) if system_prompt else ())


def extend(before: Conversation, *, prompt: str, answer: str, tokens: int, session_id: str) -> Conversation:
    """`before` with a prompt and its answer; `tokens` are those of the answer."""
    said = (Turn(role="user", content=prompt), Turn(role="assistant", content=answer, tokens=tokens))
    return Conversation(turns=(*before.turns, *said), session_id=session_id)


def conversation_json(conversation: Conversation) -> dict[str, Any]:
    """The conversation as it stands in the file of a run's state."""
    return {
        "SessionID": conversation.session_id,
        "Turns": [{"Role": turn.role, "Content": turn.content, "Tokens": turn.tokens} for turn in conversation.turns],
        "TotalTurns": len(conversation.turns),
        "TotalTokens": sum(turn.tokens for turn in conversation.turns),
    }


def conversation_from_json(data: Mapping[str, Any]) -> Conversation:
    """What `conversation_json` wrote. Turns of an unknown shape are left out."""
    turns = [item for item in data.get("Turns") or [] if isinstance(item, Mapping) and item.get("Role") in _ROLES]
    return Conversation(
        turns=tuple(
            Turn(role=item["Role"], content=str(item.get("Content", "")), tokens=int(item.get("Tokens") or 0))
            for item in turns
        ),
        session_id=str(data.get("SessionID") or ""),
    )
