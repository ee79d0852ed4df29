"""Workflow packs: directories with a manifest, whose workflows are named `pack/workflow`.

Called by discovery with names already checked. It reads manifests and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from awf_core.lang.names import WorkflowName
from awf_core.lang.yaml_decode import MAX_BYTES, as_any, read_yaml
from awf_core.yaml.nodes import YamlError

_PREFIX = "awf-workflow-"
_WORKFLOWS = "workflows"
_FOLDER = "workflow-packs"


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
