"""Whether a result may be published where a message asks for it. Pure.

`reply_to` comes from a stranger: it must not make a worker write into a queue that workers or operators read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

MAX_REPLY_TO_CHARS = 255
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@~-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRules:
    """`allow` are globs of which one must match; `reserved` are the queues this worker itself consumes or fills."""

    allow: tuple[str, ...] = ("*",)
    reserved: frozenset[str] = field(default_factory=frozenset)


def reply_fault(reply_to: str, rules: ReplyRules) -> str | None:
    """Why nothing may be published to `reply_to`, or None. The text never repeats more than 60 characters of it."""
    shown = reply_to if len(reply_to) <= 60 else reply_to[:57] + "..."
    if len(reply_to) > MAX_REPLY_TO_CHARS:
        return f"reply_to {shown!r} is longer than {MAX_REPLY_TO_CHARS} characters"
    if not _SAFE.fullmatch(reply_to):
        return (
            f"reply_to {shown!r} holds characters a queue name must not (allowed: letters, digits, . _ : / + = @ ~ -)"
        )
    if reply_to in rules.reserved:
        return f"reply_to {shown!r} is a queue this worker consumes or keeps letters in"
    if not any(fnmatchcase(reply_to, pattern) for pattern in rules.allow):
        return f"reply_to {shown!r} matches none of mq.reply.allow ({', '.join(rules.allow)})"
    return None
