"""The directories that hold workflows, and which file a name means.

Called by the catalogue, `awf list` and the worker. A name means a file in a workflow
directory or in a pack. A path is accepted only where the caller allows it; a worker never allows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from awf_core.config.did_you_mean import did_you_mean
from awf_core.errors import WorkflowNotFound
from awf_core.lang.go.quoting import quoted
from awf_core.lang.names import MALFORMED, SUFFIX, InvalidWorkflowName, WorkflowName, parse_name
from awf_core.lang.packs import FoundPack, find_packs, pack_candidates, pack_directories, pack_lists

NOT_FOUND = "USER.FACADE.WORKFLOW_NOT_FOUND"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A workflow that can be named: its file and the directory it was found in."""

    name: str
    path: Path
    directory: Path


class Discovery:
    """The search order of one process. Immutable, thread-safe; reads the file system at every call.

    `cwd` and `env` are those of the start of the process: a running worker keeps its directories.
    """

    def __init__(self, cwd: Path, env: Mapping[str, str]) -> None:
        self._cwd = cwd
        self._directories = _workflow_directories(cwd, env)
        self._pack_directories = pack_directories(cwd, env)

    def directories(self) -> tuple[Path, ...]:
        """The workflow directories, first one first, whether they exist or not."""
        return self._directories

    def candidates(self, name: str, *, allow_paths: bool) -> tuple[Path, ...]:
        """The files that `name` may mean, best first, whether they exist or not. Raises InvalidWorkflowName.

        The same for every call with the same arguments.
        """
        if not allow_paths:
            return self._named(parse_name(name))
        direct = Path(self._cwd, name)
        try:
            return (direct, *self._named(parse_name(name)))
        except InvalidWorkflowName:
            if _is_file(direct):
                return (direct,)
            raise

    def resolve(self, name: str, *, allow_paths: bool) -> Path:
        """The file `name` means.

        Raises InvalidWorkflowName, or WorkflowNotFound whose hint has the closest name and the directories searched.
        Without `allow_paths` a link out of its directory is refused: a user who may write there could otherwise have
        any file of the machine read. (Links within the directory, as mounted configuration has them, are fine.)
        """
        for path in self.candidates(name, allow_paths=allow_paths):
            if not _is_file(path):
                continue
            if allow_paths and path == Path(self._cwd, name):
                return path
            if not allow_paths:
                _refuse_leaving(path)
            parsed = parse_name(name)
            if not parsed.pack or pack_lists(path.parent.parent, parsed.workflow):
                return path
        raise self._not_found(name)

    def list(self) -> list[Found]:
        """Every workflow that can be named, by name; of two with one name the one that would be used. No packs."""
        found: dict[str, Found] = {}
        for directory in self._directories:
            for path in _files(directory):
                name = path.name.removesuffix(SUFFIX)
                found.setdefault(name, Found(name=name, path=path, directory=directory))
        return [found[name] for name in sorted(found)]

    def packs(self) -> tuple[FoundPack, ...]:
        """Every pack, by name; of two with one name the one that would be used."""
        return tuple(find_packs(self._pack_directories))

    def pack_directories(self) -> tuple[Path, ...]:
        """The directories that hold packs, first one first, whether they exist or not."""
        return self._pack_directories

    def _named(self, name: WorkflowName) -> tuple[Path, ...]:
        if name.pack:
            return pack_candidates(self._pack_directories, name)
        return tuple(directory / f"{name.workflow}{SUFFIX}" for directory in self._directories)

    def _not_found(self, name: str) -> WorkflowNotFound:
        parsed = parse_name(name)
        if parsed.pack:
            text = f"workflow {quoted(parsed.workflow)} not found in pack {quoted(parsed.pack)}"
            searched = self._pack_directories
        else:
            text, searched = f"workflow not found: {name}", self._directories
        advice = did_you_mean(name, (found.name for found in self.list()))
        hint = f"{advice} Searched: {', '.join(map(str, searched)) or 'nowhere'}.".lstrip()
        return WorkflowNotFound(text, code=NOT_FOUND, hint=hint)


def _workflow_directories(cwd: Path, env: Mapping[str, str]) -> tuple[Path, ...]:
    named = [Path(env["AWF_WORKFLOWS_PATH"])] if env.get("AWF_WORKFLOWS_PATH") else []
    named.append(Path(".awf", "workflows"))
    if env.get("AWF_CONFIG_HOME"):
        named.append(Path(env["AWF_CONFIG_HOME"], "workflows"))
    elif env.get("XDG_CONFIG_HOME"):
        named.append(Path(env["XDG_CONFIG_HOME"], "awf", "workflows"))
    elif env.get("HOME"):
        named.append(Path(env["HOME"], ".config", "awf", "workflows"))
    return tuple(dict.fromkeys(cwd / directory for directory in named))


def _refuse_leaving(path: Path) -> None:
    if path.resolve().is_relative_to(path.parent.resolve()):
        return
    raise InvalidWorkflowName(
        f"workflow file {path} is a link that leads out of its directory",
        code=MALFORMED,
        hint="Copy the file there, or link the whole directory.",
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        # A name too long for the file system, or a directory without permission: not a usable file.
        return False


def _files(directory: Path) -> list[Path]:
    try:
        paths = sorted(directory.iterdir())
    except OSError:
        return []
    # What `parse_name` refuses could be listed but not run.
    return [path for path in paths if path.name.endswith(SUFFIX) and _is_usable(path.name) and _is_file(path)]


def _is_usable(name: str) -> bool:
    try:
        parse_name(name)
    except InvalidWorkflowName:
        return False
    return True
