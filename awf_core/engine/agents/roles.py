"""The role an agent plays: a file that is put before its system prompt. Called by the agent step. Only reads."""

from __future__ import annotations

from pathlib import Path

from awf_core.engine.agents.reference_files import (
    Places,
    ReferenceMissing,
    find_named,
    missing,
    normal,
    read_body,
    search_path,
)
from awf_core.lang.go.quoting import quoted

FILE = "AGENTS.md"
_KIND = "agent role"


def role_text(reference: str, places: Places) -> str:
    """What the role says; empty for an empty reference. Raises ReferenceMissing."""
    if not reference:
        return ""
    try:
        return read_body(_file(reference, places))
    except ReferenceMissing as problem:
        raise ReferenceMissing(f"resolve role {quoted(reference)}: {problem}") from problem


def _file(reference: str, places: Places) -> Path:
    if not _is_path(reference):
        searched = search_path(
            places,
            variable="AWF_ROLES_PATH",
            local=(".awf/roles", ".agents/roles"),
            config_key="roles_dir",
            home=(".agents/roles",),
        )
        return find_named(reference, searched, file=FILE, cwd=places.cwd, kind=_KIND) / FILE
    path = normal(_expanded(reference, places))
    file = path if path.name == FILE else path / FILE
    if not file.exists():
        raise missing(path.name, [str(path)], kind=_KIND)
    return file


def _is_path(reference: str) -> bool:
    return "/" in reference or "\\" in reference or reference[0] in ".~"


def _expanded(reference: str, places: Places) -> Path:
    if reference == "~" or reference.startswith("~/"):
        return Path(places.home) / reference[2:]
    return places.workflow_dir / reference
