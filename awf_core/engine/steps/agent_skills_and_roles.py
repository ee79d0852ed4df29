"""The skills and the role of an agent: directories with one Markdown file that is put before its prompt.

Called by the agent step. Searches the directories of the workflow language, in their order; changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from awf_core.lang.go.quoting import quoted

SKILL_FILE = "SKILL.md"
ROLE_FILE = "AGENTS.md"
_ROLE = "agent role"
_FRONT = "---\n"
_SKIPPED = frozenset({".git", "node_modules"})
_MAX_DEPTH = 4
_MAX_RESOURCES = 1000


class ReferenceMissing(Exception):
    """A skill or role that is missing or can't be read; the text names the directories that were searched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlaces:
    """The places to search: the run's directory, the workflow file's, the user's home, the environment."""

    cwd: Path
    workflow_dir: Path
    home: str
    env: Mapping[str, str]
    awf: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillReference:
    """A skill by name, to be searched, or by the path of its directory."""

    name: str = ""
    path: str = ""


def skills_text(references: Sequence[SkillReference], places: SearchPlaces) -> str:
    """The blocks of all `references`, with a blank line between two. Raises ReferenceMissing."""
    return "\n\n".join(_skill_block(_skill_directory(reference, places)) for reference in references)


def _skill_directory(reference: SkillReference, places: SearchPlaces) -> Path:
    if not reference.path:
        searched = _search_path(
            places,
            variable="AWF_SKILLS_PATH",
            local=(".awf/skills", ".agents/skills", ".claude/skills"),
            config_key="skills_dir",
            home=(".agents/skills", ".claude/skills"),
        )
        return _normal(_find_named(reference.name, searched, file=SKILL_FILE, cwd=places.cwd, kind="skill"))
    directory = _normal(places.workflow_dir / reference.path)
    if not (directory / SKILL_FILE).exists():
        raise _missing(directory.name, [str(directory)], kind="skill")
    return directory


def _skill_block(directory: Path) -> str:
    resources = _resources(directory)
    lines = [
        f"<skill_content name={quoted(directory.name)}>",
        _read_body(directory / SKILL_FILE),
        "",
        f"Skill directory: {directory}",
        "Relative paths in this skill are relative to the skill directory.",
    ]
    if resources:
        lines += ["", "<skill_resources>", *(f"<file>{name}</file>" for name in resources), "</skill_resources>"]
    return "\n".join([*lines, "</skill_content>"])


def _resources(directory: Path) -> list[str]:
    """Files of the skill besides its text, by relative path. Bounded: a skill may be in a large tree."""
    found: list[str] = []
    for root, directories, files in os.walk(directory):
        inside = Path(root).relative_to(directory)
        directories[:] = sorted(set(directories) - _SKIPPED) if len(inside.parts) < _MAX_DEPTH else []
        found += [str(inside / name) for name in files]
        if len(found) > _MAX_RESOURCES:
            break
    return sorted(name for name in found[:_MAX_RESOURCES] if name != SKILL_FILE)


def role_text(reference: str, places: SearchPlaces) -> str:
    """The text of the role; empty for an empty reference. Raises ReferenceMissing."""
    if not reference:
        return ""
    try:
        return _read_body(_role_file(reference, places))
    except ReferenceMissing as problem:
        raise ReferenceMissing(f"resolve role {quoted(reference)}: {problem}") from problem


def _role_file(reference: str, places: SearchPlaces) -> Path:
    if not _is_path(reference):
        searched = _search_path(
            places,
            variable="AWF_ROLES_PATH",
            local=(".awf/roles", ".agents/roles"),
            config_key="roles_dir",
            home=(".agents/roles",),
        )
        return _find_named(reference, searched, file=ROLE_FILE, cwd=places.cwd, kind=_ROLE) / ROLE_FILE
    path = _normal(_expanded(reference, places))
    file = path if path.name == ROLE_FILE else path / ROLE_FILE
    if not file.exists():
        raise _missing(path.name, [str(path)], kind=_ROLE)
    return file


def _is_path(reference: str) -> bool:
    return "/" in reference or "\\" in reference or reference[0] in ".~"


def _expanded(reference: str, places: SearchPlaces) -> Path:
    if reference == "~" or reference.startswith("~/"):
        return Path(places.home) / reference[2:]
    return places.workflow_dir / reference


def _search_path(
    places: SearchPlaces, *, variable: str, local: Sequence[str], config_key: str, home: Sequence[str]
) -> list[str]:
    """The directories to search, as errors show them: those of `variable` alone where it is set."""
    given = places.env.get(variable)
    if given:
        return given.split(os.pathsep)
    return [*local, places.awf[config_key], *(f"{places.home}/{name}" for name in home)]


def _find_named(name: str, searched: Sequence[str], *, file: str, cwd: Path, kind: str) -> Path:
    """The directory `name` in the first of `searched` that has `file` in it. Raises ReferenceMissing."""
    if "/" in name or "\\" in name or ".." in name:
        raise ReferenceMissing(f"invalid {kind} name {quoted(name)}: must not contain path separators or '..'")
    for directory in searched:
        if (cwd / directory / name / file).exists():
            return cwd / directory / name
    raise _missing(name, searched, kind=kind)


def _missing(name: str, searched: Sequence[str], *, kind: str) -> ReferenceMissing:
    """The error for a `kind` that is in none of `searched`."""
    return ReferenceMissing(f"{kind} {quoted(name)} not found in search paths: {', '.join(searched)}")


def _normal(path: Path) -> Path:
    """`path` without `..` and `.`, links left as they are."""
    return Path(os.path.normpath(path))


def _read_body(path: Path) -> str:
    """The text of a Markdown file without the front matter it may begin with. Raises ReferenceMissing."""
    try:
        content = path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as problem:
        reason = os.strerror(problem.errno).lower() if problem.errno else str(problem)
        raise ReferenceMissing(f"reading {path.name} in {path.parent}: {reason}") from problem
    if not content.startswith(_FRONT):
        return content
    rest = content.removeprefix(_FRONT)
    _, end, body = rest.partition("\n---\n")
    if end:
        return body.strip()
    return "" if rest.endswith("\n---") else content
