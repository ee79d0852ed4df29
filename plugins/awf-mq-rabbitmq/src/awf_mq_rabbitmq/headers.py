"""The headers this backend notes on a message: attempts, deliveries, where it died and why. Pure.

The body and the producer's headers stay as they are. Any producer may have written what is read here, so no value is
trusted to be of the right type.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from awf_core.json_text import json_or_none
from awf_mq_rabbitmq.names import is_retry_queue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OURS = "x-awf-"
ATTEMPT, DELIVERIES = "x-awf-attempt", "x-awf-deliveries"
AGE, EXPIRES_IN = "x-awf-age-ms", "x-awf-expires-in-ms"
KEY, STARTS, IS_NOTED = "x-awf-key", "x-awf-starts", "x-awf-noted"
MESSAGE_ID, CORRELATION_ID = "x-awf-message-id", "x-awf-correlation-id"
SOURCE, REASON, ERROR, HISTORY = "x-awf-source", "x-awf-reason", "x-awf-error", "x-awf-history"
DEAD_AT, DEAD_ID = "x-awf-dead-at", "x-awf-dead-id"
KEPT = frozenset({SOURCE, REASON, ERROR, HISTORY, DEAD_AT, DEAD_ID})
COUNTED_BY_BROKER = "x-delivery-count"
"""Quorum queues set it on every delivery, so its presence also shows the type of the queue."""

# The broker acts on these when it sees them in what is published: it would deliver to further queues.
ROUTING = frozenset({"CC", "BCC"})
_BROKERS = ("x-death", "x-first-death-", "x-last-death-", COUNTED_BY_BROKER, "x-acquired-count")
MAX_COUNT = 1_000_000_000
MAX_ATTEMPT = 1_001
"""No message is tried more often than `mq.retry.max_attempts` allows at most."""
MAX_HISTORY_ENTRIES = 100
MAX_ERROR_CHARS = 4_000
MAX_HISTORY_CHARS = 32_000
MAX_MS = 1 << 52

_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How often a message was tried, for how long, and how often it was started without an end that is known.

    deliveries      those before this one
    age_ms          what its workers measured since its first delivery; never two clocks compared
    expires_in_ms   what is left of its time to be run; None = no end
    key             names a message whose starts are noted; None = they are not
    starts          how many were noted and not taken back
    is_noted        whether the start of the next delivery is among them
    """

    attempt: int = 1
    deliveries: int = 0
    age_ms: int = 0
    expires_in_ms: int | None = None
    key: str | None = None
    starts: int = 0
    is_noted: bool = False


def read_counts(headers: Mapping[str, object]) -> Counts:
    """The counts on a message; those of a new message where there are none."""
    by_broker = returns_of(headers)
    key = headers.get(KEY)
    is_known = isinstance(key, str) and _KEY.fullmatch(key) is not None
    starts = (count_of(headers.get(STARTS)) or 0) if is_known else 0
    return Counts(
        attempt=max(1, count_of(headers.get(ATTEMPT), most=MAX_ATTEMPT) or 1),
        deliveries=(count_of(headers.get(DELIVERIES)) or 0) + by_broker,
        age_ms=count_of(headers.get(AGE), most=MAX_MS) or 0,
        expires_in_ms=count_of(headers.get(EXPIRES_IN), most=MAX_MS),
        key=str(key) if is_known else None,
        starts=starts,
        # A start that is noted is counted. One that is not would hide the first crash.
        is_noted=starts > 0 and headers.get(IS_NOTED) is True,
    )


def returns_of(headers: Mapping[str, object]) -> int:
    """How often the broker took this copy of the message back, where it counts that."""
    return count_of(headers.get(COUNTED_BY_BROKER)) or 0


def written_counts(counts: Counts) -> dict[str, object]:
    """`counts` as headers."""
    noted: dict[str, object] = {ATTEMPT: counts.attempt, DELIVERIES: counts.deliveries}
    if counts.age_ms:
        noted[AGE] = counts.age_ms
    if counts.expires_in_ms is not None:
        noted[EXPIRES_IN] = counts.expires_in_ms
    if counts.key is not None:
        noted |= {KEY: counts.key, STARTS: counts.starts, IS_NOTED: counts.is_noted}
    return noted


def count_of(value: object, *, most: int = MAX_COUNT) -> int | None:
    """`value` where it is a plausible number, else None."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
    return value if is_number and isinstance(value, int) else None


def external(headers: Mapping[str, object]) -> dict[str, object]:
    """The producer's headers, neither ours nor the broker's: a copy of the message has them too."""
    return {name: value for name, value in headers.items() if not _is_noted(name) and name not in ROUTING}


def as_texts(headers: Mapping[str, object]) -> dict[str, str]:
    """The producer's headers as the contract has them: texts."""
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
    """`entries` as one header: the newest that fit, oldest first, behind an entry that says how many did not.

    An entry that is nested too deep is left out.
    """
    kept: list[str] = []
    left = MAX_HISTORY_CHARS
    for entry in reversed(entries):
        try:
            text = json.dumps(dict(entry), default=str)
        except RecursionError:
            continue
        left -= len(text) + 1
        if left < 0:
            break
        kept.append(text)
    left_out = len(entries) - len(kept)
    if left_out:
        kept.append(json.dumps({"event": "cut", "left_out": left_out}))
    return f"[{','.join(reversed(kept))}]"


def read_history(headers: Mapping[str, object]) -> list[dict[str, object]]:
    """The history on a message; [] where there is none that can be read."""
    text = headers.get(HISTORY)
    found = json_or_none(text) if isinstance(text, str) else None
    entries = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    return entries[-MAX_HISTORY_ENTRIES:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """Where and why a message died; `dead_at` in epoch seconds."""

    source: str
    reason: str
    error: str | None = None
    dead_at: float | None = None


def read_death(headers: Mapping[str, object]) -> Death | None:
    """How a message was dead-lettered: by a worker, or by the broker over its delivery limit. None = it was not."""
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
        # The broker calls the way back from a retry queue a death; it is none.
        if isinstance(queue, str) and not is_retry_queue(queue):
            reason, when = as_text(death.get("reason", "")), death.get("time")
            dead_at = when.timestamp() if hasattr(when, "timestamp") else None
            return Death(source=queue, reason=reason, error=f"dead-lettered by the broker: {reason}", dead_at=dead_at)
    return None


def _is_noted(name: str) -> bool:
    return name.startswith(OURS) or name.startswith(_BROKERS)
