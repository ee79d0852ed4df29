"""The keys of a queue, and the names that no queue may have. Pure.

A queue `q` is the list of key `q`, for any client to push to and pop from. What a worker keeps about it are keys that
begin with `{q}:`, so that all of them live in one slot of a cluster; a name that has a hash tag of its own keeps it.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from functools import lru_cache

from redis.crc import key_slot

PARTS = ("claiming", "due", "lease", "body", "meta", "past", "dlqs", "sources", "clock")
PROBE_PART = "probe"
ROLE_PART = "role"
STATE_PREFIX = "awf:state:"
MAX_QUEUE_NAME_BYTES = 1024
_TAG = re.compile(r"[^{]*\{[^}]+\}")
_REPLY_QUEUE = re.compile(r"awf-reply-([0-9a-f]{11})-[0-9a-f]{24}")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueKeys:
    """The keys of a queue; `all` is in the order every script takes them.

    landing   the list that a blocked consumer's message moves to; the next claim takes it from there
    dlqs      the dead-letter queues that hold messages of this queue
    sources   where this is a dead-letter queue: how many of its messages came from which queue
    probe     the key that rights are tried on
    role      the key that says what the queue is for, `work`, `dead` or `reply`; absent = it was never ensured
    """

    ready: str
    all: tuple[str, ...]
    landing: str
    dlqs: str
    sources: str
    probe: str
    role: str
    slot: int


@lru_cache(maxsize=1024)
def queue_keys(queue: str, prefix: str) -> QueueKeys:
    """The keys of `queue`, each with `prefix` before it."""
    ready = prefix + storable(queue)
    # Two colons after a name with a tag: "{q}" and "q" are different queues and must not share keys.
    base = f"{ready}::" if _TAG.match(ready) else f"{{{ready}}}:"
    inner = [base + part for part in PARTS]
    return QueueKeys(
        ready=ready,
        all=(ready, *inner),
        landing=inner[0],
        dlqs=base + "dlqs",
        sources=base + "sources",
        probe=base + PROBE_PART,
        role=base + ROLE_PART,
        slot=slot_of(ready),
    )


def slot_of(key: str) -> int:
    """The slot of a cluster that has `key`."""
    return key_slot(key.encode("utf-8", "replace"))


def state_key(key: str, prefix: str) -> str:
    """The key that holds the value of shared state `key`."""
    return f"{prefix}{STATE_PREFIX}{storable(key)}"


def reserved_names(prefix: str) -> tuple[str, ...]:
    """Patterns of the queue names whose key is one that this backend keeps for itself."""
    parts = "|".join((*PARTS, PROBE_PART, ROLE_PART))
    # A tag in the prefix is a tag in every key, and then no brace is in the name.
    tagged = (rf".*::(?:{parts})",) if _TAG.match(prefix) else ()
    return (rf".*\}}(?:.*:)?:(?:{parts})", f"{STATE_PREFIX}.*", *tagged)


def storable(text: str) -> str:
    """`text` with what has no form in UTF-8 (lone surrogates, possible in JSON) replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def reply_queue_name(ends_ms: int) -> str:
    """A name that no producer can guess. It holds the time at which the queue ends, so no key has to."""
    return f"awf-reply-{ends_ms:011x}-{secrets.token_hex(12)}"


def reply_queue_ends_ms(queue: str) -> int:
    """When a private reply queue ends, in epoch milliseconds of the server's clock; 0 for any other queue."""
    named = _REPLY_QUEUE.fullmatch(queue)
    return int(named[1], 16) if named else 0
