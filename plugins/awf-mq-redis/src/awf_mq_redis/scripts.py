"""The Lua scripts: read from `lua/`, put together, named by their hash. Called by `link.py`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_QUEUE = ("prelude", "queue")
_SETTLE = (*_QUEUE, "fence", "replies")
_MOVE = (*_QUEUE, "stream", "parcels")
_PARTS: dict[str, tuple[str, ...]] = {
    "ack": _SETTLE,
    "browse": _QUEUE,
    "bury": _SETTLE,
    "claim": (*_QUEUE, "stream"),
    "drop": _MOVE,
    "extend": (*_QUEUE, "fence"),
    "held": (*_QUEUE, "fence"),
    "later": _QUEUE,
    "letter": ("prelude",),
    "letters": ("prelude",),
    "move": _MOVE,
    "nack": (*_QUEUE, "fence"),
    "pick": _MOVE,
    "probe": ("prelude",),
    "purge": _QUEUE,
    "push": ("prelude", "replies"),
    "put": _MOVE,
    "stats": _QUEUE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script as the server takes it: whole, or by its hash once it has seen it."""

    source: str
    sha: str


@cache
def script(name: str) -> Script:
    """The script of `lua/<name>.lua`, with the parts it is built on in front."""
    folder = files("awf_mq_redis") / "lua"
    source = "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in (*_PARTS[name], name))
    return Script(source=source, sha=hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def script_names() -> tuple[str, ...]:
    """Every script there is."""
    return tuple(_PARTS)
