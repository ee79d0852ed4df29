"""What a copy of a message carries of its past, in the attribute `awf`. Pure.

SQS keeps a number of receives for each message, and nothing else can be written to it. So a counted nack publishes a
copy with the new counts and removes the original; so does a start that has to be noted (`evidence.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from awf_core.json_text import json_or_none

ATTRIBUTE = "awf"
"""The name of the attribute. Only the worker writes it; one that can't be read counts as absent."""

MAX_COUNT = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The past of a message up to the copy that has it; the defaults are those of a message without copies.

    id           the id of the first message of the chain of copies; None = this one's own
    attempt      1 + its counted nacks
    deliveries   receives of the earlier copies
    crashes      starts that were noted and never ended
    is_noted     whether the start that the next receive makes is noted already
    first_ms     when the first of the chain was received first, by SQS's clock; None = it wasn't
    delay_s      how long after it was sent the copy is due, where that is longer than DelaySeconds can say; 0 = at once
    history      as `Nack.history`
    """

    id: str | None = None
    attempt: int = 1
    deliveries: int = 0
    crashes: int = 0
    is_noted: bool = False
    first_ms: int | None = None
    delay_s: int = 0
    history: Sequence[Mapping[str, object]] = ()


NO_STATE = State()


def state_text(state: State) -> str:
    """The attribute's value."""
    fields: dict[str, object] = {
        "id": state.id,
        "attempt": state.attempt,
        "deliveries": state.deliveries,
        "crashes": state.crashes,
        "noted": state.is_noted,
        "first": state.first_ms,
        "delay": state.delay_s,
        "history": [dict(entry) for entry in state.history],
    }
    return json.dumps({key: value for key, value in fields.items() if value}, separators=(",", ":"), default=str)


def state_of(text: str) -> State:
    """The state in an attribute's value. Untrusted: any producer can write it."""
    # Bounded in depth: what is read here is written again, into the request of a whole batch.
    found = json_or_none(text)
    if not isinstance(found, dict):
        return NO_STATE
    own_id, history = found.get("id"), found.get("history")
    return State(
        id=own_id if isinstance(own_id, str) and 0 < len(own_id) <= 100 else None,
        attempt=_count(found, "attempt", 1),
        deliveries=_count(found, "deliveries", 0),
        crashes=_count(found, "crashes", 0),
        is_noted=found.get("noted") is True,
        first_ms=_count(found, "first", 0, most=1 << 53) or None,
        delay_s=_count(found, "delay", 0, most=43_200),
        history=[entry for entry in history if isinstance(entry, dict)] if isinstance(history, list) else (),
    )


def _count(found: dict[str, Any], key: str, default: int, *, most: int = MAX_COUNT) -> int:
    value = found.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and default <= value <= most else default
