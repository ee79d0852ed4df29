"""Find and read the files that skills and roles are: a directory with one Markdown file that says what to do.

Called by `skills.py` and `roles.py`. Looks in the places of the workflow language, in their order; changes nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from awf_core.lang.go.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FRONT = "---\n"


class ReferenceMissing(Exception):
    """A skill or role that is not there or can't be read; the text says where it was looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the run looks: its directory, the workflow file's, the user's home and the environment."""

    cwd: Path
    workflow_dir: Path
    home: str
    env: Mapping[str, str]
    awf: Mapping[str, str]


def search_path(
    places: Places, *, variable: str, local: Sequence[str], config_key: str, home: Sequence[str]
) -> list[str]:
    """The directories to look in, as they are shown: `variable` alone where it is set."""
    given = places.env.get(variable)
    if given:
        return given.split(os.pathsep)
    return [*local, places.awf[config_key], *(f"{places.home}/{name}" for name in home)]


def find_named(name: str, searched: Sequence[str], *, file: str, cwd: Path, kind: str) -> Path:
    """The directory `name` in the first of `searched` that has `file` in it. Raises ReferenceMissing."""
    if "/" in name or "\\" in name or ".." in name:
        raise ReferenceMissing(f"invalid {kind} name {quoted(name)}: must not contain path separators or '..'")
    for directory in searched:
        if (cwd / directory / name / file).exists():
            return cwd / directory / name
    raise missing(name, searched, kind=kind)


def missing(name: str, searched: Sequence[str], *, kind: str) -> ReferenceMissing:
    """The error for a `kind` that is nowhere in `searched`."""
    return ReferenceMissing(f"{kind} {quoted(name)} not found in search paths: {', '.join(searched)}")


def normal(path: Path) -> Path:
    """`path` without `..` and `.`, links left as they are."""
    return Path(os.path.normpath(path))


def read_body(path: Path) -> str:
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
