"""What we note on a message, in headers of our own: attempts, starts, where it died and why. Pure.

A message's body and the headers of others stay as they are. What is read here may have been written by anybody, so
nothing of it is trusted to be of the right type.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from awf_mq_rabbitmq.names import is_retry_queue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OURS = "x-awf-"
ATTEMPT, DELIVERIES, RELEASED = "x-awf-attempt", "x-awf-deliveries", "x-awf-released"
FIRST_SEEN, EXPIRES_AT = "x-awf-first-seen", "x-awf-expires-at"
MESSAGE_ID, CORRELATION_ID = "x-awf-message-id", "x-awf-correlation-id"
SOURCE, REASON, ERROR, HISTORY = "x-awf-source", "x-awf-reason", "x-awf-error", "x-awf-history"
DEAD_AT, LETTER = "x-awf-dead-at", "x-awf-letter"
KEPT = frozenset({SOURCE, REASON, ERROR, HISTORY, DEAD_AT, LETTER})
COUNTED_BY_BROKER = "x-delivery-count"
"""Set by quorum queues on every delivery, so its presence also tells the kind of queue."""

# The broker acts on these when it sees them in what is published: it would deliver to further queues.
ROUTING = frozenset({"CC", "BCC"})
_BROKERS = ("x-death", "x-first-death-", "x-last-death-", COUNTED_BY_BROKER, "x-acquired-count")
MAX_COUNT = 1_000_000_000
MAX_ERROR_CHARS = 4_000
MAX_HISTORY_CHARS = 32_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How often a message was tried, since when and until when. `deliveries` counts those before this handing-over."""

    attempt: int = 1
    deliveries: int = 0
    released: int = 0
    first_seen_ms: int | None = None
    expires_ms: int | None = None


def read_counts(headers: Mapping[str, object]) -> Counts:
    """The counts on a message; those of a message nobody has had where there are none."""
    by_broker = count_of(headers.get(COUNTED_BY_BROKER)) or 0
    return Counts(
        attempt=max(1, count_of(headers.get(ATTEMPT)) or 1),
        deliveries=(count_of(headers.get(DELIVERIES)) or 0) + by_broker,
        released=count_of(headers.get(RELEASED)) or 0,
        first_seen_ms=count_of(headers.get(FIRST_SEEN), most=1 << 52),
        expires_ms=count_of(headers.get(EXPIRES_AT), most=1 << 52),
    )


def written_counts(counts: Counts) -> dict[str, object]:
    """`counts` as headers."""
    noted: dict[str, object] = {ATTEMPT: counts.attempt, DELIVERIES: counts.deliveries}
    if counts.released:
        noted[RELEASED] = counts.released
    if counts.first_seen_ms is not None:
        noted[FIRST_SEEN] = counts.first_seen_ms
    if counts.expires_ms is not None:
        noted[EXPIRES_AT] = counts.expires_ms
    return noted


def count_of(value: object, *, most: int = MAX_COUNT) -> int | None:
    """`value` where it is a plausible number, else None."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and isinstance(value, int) and 0 <= value <= most else None


def foreign(headers: Mapping[str, object]) -> dict[str, object]:
    """The headers that are neither ours nor the broker's: what a copy of the message carries on."""
    return {name: value for name, value in headers.items() if not _is_noted(name) and name not in ROUTING}


def as_texts(headers: Mapping[str, object]) -> dict[str, str]:
    """The headers of others as the contract has them: texts."""
    return {name: as_text(value) for name, value in headers.items() if not _is_noted(name)}


def as_text(value: object) -> str:
    """A header's value as text: itself where it is one, JSON where it has parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, (dict, list, bool)) or value is None:
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def written_history(entries: Sequence[Mapping[str, object]]) -> str:
    """`entries` as one header: the newest that fit, oldest first."""
    texts = [json.dumps(dict(entry), default=str) for entry in entries]
    kept: list[str] = []
    left = MAX_HISTORY_CHARS
    for text in reversed(texts):
        left -= len(text) + 1
        if left < 0:
            break
        kept.append(text)
    return f"[{','.join(reversed(kept))}]"


def read_history(headers: Mapping[str, object]) -> list[dict[str, object]]:
    """The history on a message; [] where there is none that can be read."""
    text = headers.get(HISTORY)
    if not isinstance(text, str):
        return []
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """Where and why a message died; `dead_at` in epoch seconds."""

    source: str
    reason: str
    error: str | None = None
    dead_at: float | None = None


def read_death(headers: Mapping[str, object]) -> Death | None:
    """How a letter died: by our word, or by the broker's own where it was over its delivery limit. None = it lives."""
    source = headers.get(SOURCE)
    if isinstance(source, str):
        error, dead_ms = headers.get(ERROR), count_of(headers.get(DEAD_AT), most=1 << 52)
        return Death(
            source=source,
            reason=as_text(headers.get(REASON, "")),
            error=None if error is None else as_text(error),
            dead_at=None if dead_ms is None else dead_ms / 1000,
        )
    return _death_by_broker(headers.get("x-death"))


def _death_by_broker(deaths: object) -> Death | None:
    for death in deaths if isinstance(deaths, list) else ():
        queue = death.get("queue") if isinstance(death, dict) else None
        # Coming back from a retry queue is a death to the broker, and none to us.
        if isinstance(queue, str) and not is_retry_queue(queue):
            reason, when = as_text(death.get("reason", "")), death.get("time")
            dead_at = when.timestamp() if hasattr(when, "timestamp") else None
            return Death(source=queue, reason=reason, error=f"dead-lettered by the broker: {reason}", dead_at=dead_at)
    return None


def _is_noted(name: str) -> bool:
    return name.startswith(OURS) or name.startswith(_BROKERS)
