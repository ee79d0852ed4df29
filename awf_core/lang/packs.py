"""Workflow packs: directories with a manifest, whose workflows are named `pack/workflow`.

Called by discovery with names already checked, and by `awf list --packs`. It reads manifests and installation records.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from awf_core.lang.names import WorkflowName
from awf_core.lang.pack_manifest import InvalidPack, Manifest, check_contents, read_manifest
from awf_core.lang.yaml_decode import MAX_BYTES, as_any, read_yaml
from awf_core.yaml.nodes import YamlError

_PREFIX = "awf-workflow-"
_WORKFLOWS = "workflows"
_FOLDER = "workflow-packs"
STATE = "state.json"
"""What an installation has written about a pack."""
_MAX_STATE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPack:
    """A pack in a pack directory.

    name       as workflows of it are called: the name of its directory without `awf-workflow-`
    manifest   None when it can't be read; `error` says why then, or what the pack lacks
    source     where it was installed from, empty = nothing says so
    """

    name: str
    path: Path
    manifest: Manifest | None
    error: str = ""
    source: str = ""


def find_packs(roots: Iterable[Path]) -> list[FoundPack]:
    """Every pack by name, broken ones included; of two with one name the one that would be used."""
    found: dict[str, FoundPack] = {}
    for root in roots:
        for path in _subdirectories(root):
            name = path.name.removeprefix(_PREFIX)
            if name not in found:
                found[name] = _found(name, path)
    return [found[name] for name in sorted(found)]


def _found(name: str, path: Path) -> FoundPack:
    manifest = None
    try:
        manifest = read_manifest(path)
        check_contents(path, manifest)
    except InvalidPack as problem:
        return FoundPack(name=name, path=path, manifest=manifest, error=problem.message, source=_source(path))
    return FoundPack(name=name, path=path, manifest=manifest, source=_source(path))


def _source(path: Path) -> str:
    try:
        with (path / STATE).open("rb") as file:
            state = json.loads(file.read(_MAX_STATE_BYTES))
    except (OSError, ValueError, RecursionError):
        return ""
    data = state.get("source_data") if isinstance(state, dict) else None
    source = data.get("repository") if isinstance(data, dict) else None
    return source if isinstance(source, str) else ""


def _subdirectories(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def user_pack_directory(env: Mapping[str, str]) -> Path | None:
    """Where packs of the user are installed, None without a home directory."""
    home = env.get("HOME", "")
    data = env.get("XDG_DATA_HOME") or (f"{home}/.local/share" if home else "")
    return Path(data, "awf", _FOLDER) if data else None


def pack_directories(cwd: Path, env: Mapping[str, str]) -> tuple[Path, ...]:
    """The directories that hold packs, first one first."""
    home = env.get("HOME", "")
    config = env.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    data = env.get("XDG_DATA_HOME") or (f"{home}/.local/share" if home else "")
    named = [
        Path(".awf", _FOLDER),
        *([Path(config, ".awf", _FOLDER), Path(config, "awf", _FOLDER)] if config else []),
        *([Path(data, "awf", _FOLDER)] if data else []),
        *([Path(home, ".awf", _FOLDER)] if home else []),
    ]
    return tuple(dict.fromkeys(cwd / directory for directory in named))


def pack_candidates(roots: tuple[Path, ...], name: WorkflowName) -> tuple[Path, ...]:
    """The files `name` may mean: in each root the pack as written, then with or without the prefix `awf-workflow-`."""
    other = name.pack.removeprefix(_PREFIX) if name.pack.startswith(_PREFIX) else _PREFIX + name.pack
    spellings = [pack for pack in (name.pack, other) if pack]
    return tuple(root / pack / _WORKFLOWS / f"{name.workflow}.yaml" for root in roots for pack in spellings)


def pack_of(workflow_file: Path) -> str | None:
    """The name of the pack that `workflow_file` belongs to, by where it lies; None outside of packs."""
    folder = workflow_file.parent
    if folder.name != _WORKFLOWS or folder.parent.parent.name != _FOLDER:
        return None
    return folder.parent.name.removeprefix(_PREFIX)


def pack_lists(pack: Path, workflow: str) -> bool:
    """Whether the manifest of the pack directory `pack` lists `workflow`; False for an unreadable manifest."""
    try:
        with (pack / "manifest.yaml").open("rb") as file:
            root = read_yaml(file.read(MAX_BYTES + 1))
        manifest = as_any(root, re_encoded=False) if root is not None else None
    except (OSError, YamlError):
        return False
    listed = manifest.get("workflows") if isinstance(manifest, dict) else None
    return isinstance(listed, list) and workflow in listed
