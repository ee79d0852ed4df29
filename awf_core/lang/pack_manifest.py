"""The manifest of a workflow pack: what `manifest.yaml` says, and whether the pack has what it lists.

Called by `awf list --packs` and by the installation of packs. It reads the manifest and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from awf_core.errors import WorkflowError
from awf_core.lang.go.quoting import quoted
from awf_core.lang.yaml_decode import as_any, as_text, read_yaml
from awf_core.yaml.nodes import Node, YamlError, pairs

MANIFEST = "manifest.yaml"
WORKFLOWS = "workflows"
MAX_MANIFEST_BYTES = 1024 * 1024
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_VERSION = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?")
_TEXTS = ("name", "version", "description", "author", "license", "awf_version")
_SHOWN = 80


class InvalidPack(WorkflowError):
    """A pack that can't be used: the text names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a manifest says. `awf_version` is the constraint on the original tool's version; nothing checks it here."""

    name: str
    version: str
    description: str = ""
    author: str = ""
    license: str = ""
    awf_version: str = ""
    workflows: tuple[str, ...] = ()


def read_manifest(pack: Path) -> Manifest:
    """The manifest of the pack in the directory `pack`. Raises InvalidPack."""
    path = pack / MANIFEST
    try:
        with path.open("rb") as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
    except FileNotFoundError:
        hint = "A pack is a directory with manifest.yaml and workflows/."
        raise InvalidPack(f"{path}: no such file, so {pack} is no pack", hint=hint) from None
    except OSError as problem:
        raise InvalidPack(f"{path}: {problem.strerror or problem}") from problem
    if len(data) > MAX_MANIFEST_BYTES:
        raise InvalidPack(f"{path}: larger than the {MAX_MANIFEST_BYTES} bytes allowed")
    try:
        return _manifest(path, read_yaml(data))
    except YamlError as problem:
        raise InvalidPack(f"{path}: {problem}") from problem


def check_contents(pack: Path, manifest: Manifest) -> None:
    """Raise InvalidPack when the directory `pack` lacks a workflow that `manifest` lists."""
    missing = [name for name in manifest.workflows if not (pack / WORKFLOWS / f"{name}.yaml").is_file()]
    if missing:
        names = ", ".join(f"{WORKFLOWS}/{name}.yaml" for name in missing)
        raise InvalidPack(f"{pack / MANIFEST}: lists workflows that the pack does not have: {names}")


def _manifest(path: Path, root: Node | None) -> Manifest:
    if root is None or root.kind != "map":
        raise InvalidPack(f"{path}: no mapping", hint="Write `name`, `version` and the list `workflows`.")
    nodes = {key.value: value for key, value in pairs(root)}
    texts = {key: as_text(nodes[key], re_encoded=False) for key in _TEXTS if key in nodes}
    workflows = as_any(nodes["workflows"], re_encoded=False) if "workflows" in nodes else None
    name, version = texts.get("name", ""), texts.get("version", "")
    if not _NAME.fullmatch(name):
        raise InvalidPack(f"{path}: invalid pack name {_shown(name)}: must match ^[a-z][a-z0-9-]*$")
    if not _VERSION.fullmatch(version):
        raise InvalidPack(f"{path}: invalid version {_shown(version)}", hint="Write a version such as 1.0.0.")
    others = {key: text for key, text in texts.items() if key not in ("name", "version")}
    return Manifest(name=name, version=version, workflows=_workflows(path, workflows), **others)


def _workflows(path: Path, written: Any) -> tuple[str, ...]:
    if not isinstance(written, list) or not written:
        raise InvalidPack(f"{path}: the list `workflows` is empty", hint="Name each workflow that can be run.")
    for name in written:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidPack(f"{path}: invalid workflow name {_shown(str(name))}: must match ^[a-z][a-z0-9-]*$")
    return tuple(dict.fromkeys(written))


def _shown(text: str) -> str:
    return quoted(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
