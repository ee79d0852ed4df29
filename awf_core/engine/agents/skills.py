"""The skills an agent is given: instructions put before its prompt. Called by the agent step. Only reads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from awf_core.engine.agents.reference_files import Places, find_named, missing, normal, read_body, search_path
from awf_core.lang.go.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = "SKILL.md"
_SKIPPED = frozenset({".git", "node_modules"})
_MAX_DEPTH = 4
_MAX_RESOURCES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillReference:
    """A skill by name, to be looked for, or by the path of its directory."""

    name: str = ""
    path: str = ""


def skills_text(references: Sequence[SkillReference], places: Places) -> str:
    """The blocks of all `references`, with a blank line between two. Raises ReferenceMissing."""
    return "\n\n".join(_block(_directory(reference, places)) for reference in references)


def _directory(reference: SkillReference, places: Places) -> Path:
    if not reference.path:
        searched = search_path(
            places,
            variable="AWF_SKILLS_PATH",
            local=(".awf/skills", ".agents/skills", ".claude/skills"),
            config_key="skills_dir",
            home=(".agents/skills", ".claude/skills"),
        )
        return normal(find_named(reference.name, searched, file=FILE, cwd=places.cwd, kind="skill"))
    directory = normal(places.workflow_dir / reference.path)
    if not (directory / FILE).exists():
        raise missing(directory.name, [str(directory)], kind="skill")
    return directory


def _block(directory: Path) -> str:
    resources = _resources(directory)
    lines = [
        f"<skill_content name={quoted(directory.name)}>",
        read_body(directory / FILE),
        "",
        f"Skill directory: {directory}",
        "Relative paths in this skill are relative to the skill directory.",
    ]
    if resources:
        lines += ["", "<skill_resources>", *(f"<file>{name}</file>" for name in resources), "</skill_resources>"]
    return "\n".join([*lines, "</skill_content>"])


def _resources(directory: Path) -> list[str]:
    """Files of the skill besides its text, by relative path. Bounded: a skill may stand in a large tree."""
    found: list[str] = []
    for root, directories, files in os.walk(directory):
        inside = Path(root).relative_to(directory)
        directories[:] = sorted(set(directories) - _SKIPPED) if len(inside.parts) < _MAX_DEPTH else []
        found += [str(inside / name) for name in files]
        if len(found) > _MAX_RESOURCES:
            break
    return sorted(name for name in found[:_MAX_RESOURCES] if name != FILE)
