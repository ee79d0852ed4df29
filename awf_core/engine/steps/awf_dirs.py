"""Let a project's own scripts and prompts stand before the user's global ones. Called by steps; only looks.

Where a rendered text names `<global scripts dir>/x` and the project has `scripts/x` beside its workflow
directory, the project's file takes its place; a bare directory is replaced when the project has that
directory.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from awf_core.lang.packs import pack_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_KINDS = ("scripts", "prompts")
_TAIL = r"(?P<tail>(?:/[^\s'\"`;|&<>()$]*)?)(?![\w.-])"


def prefer_local(text: str, *, awf: Mapping[str, str], workflow_file: Path, cwd: Path | None = None) -> str:
    """`text` with each global scripts or prompts path that the project has too replaced by the project's.

    For a workflow of a pack, what the project under `cwd` keeps for that pack comes before the pack's own.
    """
    pack = pack_of(workflow_file)
    for kind in _KINDS:
        global_dir = awf[f"{kind}_dir"]
        if global_dir in text:
            own = workflow_file.parent.parent / kind
            places = (own,) if pack is None or cwd is None else (cwd / ".awf" / kind / pack, own)
            text = _pattern(global_dir).sub(partial(_choose, places=places), text)
    return text


def _choose(found: re.Match[str], *, places: Sequence[Path]) -> str:
    tail = found["tail"]
    for place in places:
        if (place / tail.lstrip("/") if tail.strip("/") else place).exists():
            return f"{place}{tail}"
    return found[0]


@lru_cache(maxsize=16)
def _pattern(global_dir: str) -> re.Pattern[str]:
    return re.compile(re.escape(global_dir) + _TAIL)
