"""Install a workflow pack from a directory or an archive, or remove one. Called by `awf pack`.

A pack appears in its place complete and checked, or not at all: it is unpacked beside it and renamed.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from awf_core.errors import SystemFailure, UsageError
from awf_core.lang.pack_archive import MAX_ARCHIVE_BYTES, copy_directory, unpack
from awf_core.lang.pack_manifest import MANIFEST, InvalidPack, Manifest, check_contents, read_manifest
from awf_core.lang.packs import STATE, pack_directories, user_pack_directory

_SHA256 = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")
HIDDEN = ".installing-"
"""What the names of unfinished installations begin with; no pack can have such a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A pack that was installed. `sha256` is that of the archive, None for a directory; `replaced` the old version."""

    manifest: Manifest
    path: Path
    source: Path
    sha256: str | None
    replaced: str | None = None


def packs_root(cwd: Path, env: Mapping[str, str], *, is_for_user: bool) -> Path:
    """The directory to install into: the project's, or the user's. Raises UsageError without a home directory."""
    if not is_for_user:
        return pack_directories(cwd, env)[0]
    directory = user_pack_directory(env)
    if directory is None:
        raise UsageError("no directory for packs of the user", hint="Set HOME or XDG_DATA_HOME.")
    return directory


def install_pack(source: Path, root: Path, *, sha256: str | None = None, may_replace: bool = False) -> Installed:
    """Install the pack at `source`, a directory or a .tar.gz or .zip file, into `root`.

    `sha256` is the expected checksum of the archive; without it, a file `<source>.sha256` beside it is. Raises
    UsageError, InvalidPack, and SystemFailure for what the machine refuses.
    """
    try:
        archive = None if source.is_dir() else _read_archive(source)
        checksum = _checked(source, archive, sha256)
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=HIDDEN, dir=root) as scratch:
            pack = _unpacked(source, archive, Path(scratch, "new"))
            manifest = read_manifest(pack)
            check_contents(pack, manifest)
            done = Installed(manifest=manifest, path=root / manifest.name, source=source, sha256=checksum)
            (pack / STATE).write_text(json.dumps(_state(done), indent=2) + "\n", encoding="utf-8")
            return _put_in_place(pack, done, aside=Path(scratch, "old"), may_replace=may_replace)
    except InvalidPack as problem:
        # Names of the scratch directory mean nothing to the user.
        text = re.sub(rf"{re.escape(str(root))}/{re.escape(HIDDEN)}\w+/new", str(source), problem.message)
        raise InvalidPack(text if str(source) in text else f"{source}: {text}", hint=problem.hint) from problem
    except OSError as problem:
        raise SystemFailure(f"{problem.filename or source}: {problem.strerror or problem}") from problem


def remove_pack(name: str, root: Path) -> Path:
    """Remove the pack `name` from `root`; the directory it was in. Raises UsageError, SystemFailure."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise UsageError(f"{name!r} can't be the name of a pack", hint="`awf list --packs` shows the names.")
    path = root / name
    if path.is_symlink():
        raise UsageError(f"{path} is a link, not an installed pack", hint="Remove the link yourself.")
    if not (path / MANIFEST).is_file():
        raise UsageError(f"no pack {name!r} in {root}", hint="`awf list --packs` shows where each pack is.")
    try:
        with tempfile.TemporaryDirectory(prefix=HIDDEN, dir=root) as scratch:
            path.rename(Path(scratch, "old"))
    except OSError as problem:
        raise SystemFailure(f"{path}: {problem.strerror or problem}") from problem
    return path


def _read_archive(source: Path) -> bytes:
    try:
        with source.open("rb") as file:
            archive = file.read(MAX_ARCHIVE_BYTES + 1)
    except FileNotFoundError:
        hint = "Name a directory, a .tar.gz or a .zip file of this machine; download an address first."
        raise UsageError(f"{source}: no such file or directory", hint=hint) from None
    if len(archive) > MAX_ARCHIVE_BYTES:
        raise InvalidPack(f"{source}: larger than the {MAX_ARCHIVE_BYTES} bytes allowed")
    return archive


def _checked(source: Path, archive: bytes | None, expected: str | None) -> str | None:
    """The checksum of the archive. Raises InvalidPack when it is not the expected one."""
    if archive is None:
        if expected is not None:
            raise UsageError(f"{source} is a directory, which has no checksum", hint="Give --sha256 with an archive.")
        return None
    origin = "--sha256"
    beside = source.with_name(f"{source.name}.sha256")
    if expected is None and beside.is_file():
        expected, origin = (beside.read_text(encoding="utf-8", errors="replace").split() or [""])[0], str(beside)
    found = hashlib.sha256(archive).hexdigest()
    if expected is None:
        return found
    wanted = _SHA256.fullmatch(expected)
    if wanted is None:
        raise UsageError(f"{origin}: {expected[:80]!r} is no SHA-256 checksum", hint="It has 64 hexadecimal digits.")
    if wanted[1].lower() != found:
        hint = "Nothing was installed. Download the archive again, and compare where the checksum comes from."
        raise InvalidPack(f"{source}: its checksum is {found}, and {origin} says {wanted[1].lower()}", hint=hint)
    return found


def _unpacked(source: Path, archive: bytes | None, target: Path) -> Path:
    """The pack, unpacked at or below `target`: archives often have one directory around everything."""
    target.mkdir()
    if archive is None:
        copy_directory(source, target)
        return target
    unpack(archive, target)
    inside = list(target.iterdir())
    is_wrapped = len(inside) == 1 and inside[0].is_dir() and not (target / MANIFEST).exists()
    return inside[0] if is_wrapped else target


def _state(done: Installed) -> dict[str, object]:
    """What is remembered about the installation, under the names of the original tool."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    source = {
        "repository": str(done.source.absolute()),
        "version": done.manifest.version,
        "installed_at": now,
        "updated_at": now,
        **({"sha256": done.sha256} if done.sha256 else {}),
    }
    return {"name": done.manifest.name, "enabled": True, "source_data": source}


def _put_in_place(pack: Path, done: Installed, *, aside: Path, may_replace: bool) -> Installed:
    if done.path.is_symlink():
        raise UsageError(f"{done.path} is a link, which is never replaced", hint="Remove the link yourself.")
    if not done.path.exists():
        pack.rename(done.path)
        return done
    version = _version_at(done.path)
    if not may_replace:
        text = f"pack {done.manifest.name!r} is installed already: {done.path}, version {version}"
        raise UsageError(text, hint="--force replaces it.")
    done.path.rename(aside)
    try:
        pack.rename(done.path)
    except OSError:
        aside.rename(done.path)
        raise
    return replace(done, replaced=version)


def _version_at(path: Path) -> str:
    try:
        return read_manifest(path).version
    except InvalidPack:
        return "unknown"
