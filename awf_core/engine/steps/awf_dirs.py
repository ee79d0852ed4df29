"""Let a project's own scripts and prompts stand before the user's global ones. Called by steps; only looks.

Where a rendered text names `<global scripts dir>/x` and the project has `scripts/x` beside its workflow
directory, the project's file takes its place; a bare directory is replaced when the project has that
directory.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_KINDS = ("scripts", "prompts")
_TAIL = r"(?P<tail>(?:/[^\s'\"`;|&<>()$]*)?)(?![\w.-])"


def prefer_local(text: str, *, awf: Mapping[str, str], workflow_file: Path) -> str:
    """`text` with each global scripts or prompts path that the project has too replaced by the project's."""
    for kind in _KINDS:
        global_dir = awf[f"{kind}_dir"]
        if global_dir in text:
            local_dir = workflow_file.parent.parent / kind
            text = _pattern(global_dir).sub(lambda found, local=local_dir: _choose(found, local), text)  # type: ignore[misc]
    return text


def _choose(found: re.Match[str], local_dir: Path) -> str:
    tail = found["tail"]
    local = local_dir / tail.lstrip("/") if tail.strip("/") else local_dir
    return f"{local_dir}{tail}" if local.exists() else found[0]


@lru_cache(maxsize=16)
def _pattern(global_dir: str) -> re.Pattern[str]:
    return re.compile(re.escape(global_dir) + _TAIL)
