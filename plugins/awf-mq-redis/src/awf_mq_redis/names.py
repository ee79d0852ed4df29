"""Names: which queue has which keys, and which names no queue may have. Pure.

A queue `q` is the list of key `q`, for any client to push to and pop from. What a worker keeps about it are keys that
begin with `{q}:`, so that all of them live in one slot of a cluster; a name that has a tag of its own keeps it.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from functools import lru_cache

from redis.crc import key_slot

from awf_core.errors import BrokerError, Unroutable

PARTS = ("claiming", "due", "lease", "body", "meta", "past", "letters", "sources")
PROBE_PART = "probe"
MAX_QUEUE_NAME = 255
_INTERNAL = re.compile(r".*\}}(?:.*:)?:(?:{})".format("|".join((*PARTS, PROBE_PART))), re.DOTALL)
_TAG = re.compile(r"[^{]*\{[^}]+\}")
_REPLY_QUEUE = re.compile(r"awf-reply-([0-9a-f]{11})-[0-9a-f]{24}")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueKeys:
    """The keys of a queue; `all` is in the order every script takes them.

    letters   the dead-letter queues that have letters of this one
    sources   where this is a dead-letter queue: how many letters it has of which queue
    """

    ready: str
    all: tuple[str, ...]
    landing: str
    letters: str
    sources: str
    probe: str
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
        letters=inner[-2],
        sources=inner[-1],
        probe=base + PROBE_PART,
        slot=key_slot(ready.encode("utf-8", "replace")),
    )


def bad_queue_name(queue: str, where: str) -> BrokerError | None:
    """Why no queue can have this name; None when one can."""
    fault = _name_fault(queue)
    if fault is None:
        return None
    text, hint = fault
    return Unroutable(f"{where}: {queue[:80]!r} {text}", hint=hint)


@lru_cache(maxsize=1024)
def _name_fault(queue: str) -> tuple[str, str] | None:
    if _INTERNAL.fullmatch(queue):
        return (
            "is the name of a key this backend keeps for itself",
            "choose a queue name that doesn't end like one of its keys",
        )
    if 0 < len(queue) <= MAX_QUEUE_NAME and "\0" not in queue and is_storable(queue):
        return None
    return (
        "can't be the name of a queue",
        f"use 1 to {MAX_QUEUE_NAME} characters of valid Unicode, without NUL",
    )


def is_storable(text: str) -> bool:
    """Whether `text` has a form in UTF-8: lone surrogates, possible in JSON, have none."""
    return text.isascii() or storable(text) == text


def storable(text: str) -> str:
    """`text` with what UTF-8 has no form for replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def reply_queue_name(ends_ms: int) -> str:
    """A name nobody guesses. It tells when the queue ends, so nothing has to be kept about it."""
    return f"awf-reply-{ends_ms:011x}-{secrets.token_hex(12)}"


def reply_queue_ends_ms(queue: str) -> int:
    """When a private reply queue ends, in epoch milliseconds of the server's clock; 0 for any other queue."""
    named = _REPLY_QUEUE.fullmatch(queue)
    return int(named[1], 16) if named else 0
