"""Copy a pack from a directory, a .tar.gz or a .zip into an empty directory, without trusting what it holds.

Called by the installation of packs. Only regular files and directories are accepted, only below the target, and only up
to the limits below, which count what is really unpacked. It never creates a link, so no path can lead out.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from pathlib import Path
from typing import IO, NoReturn

from awf_core.lang.go.quoting import quoted
from awf_core.lang.pack_manifest import InvalidPack

MAX_ARCHIVE_BYTES = 32 * 1024 * 1024
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
MAX_ENTRIES = 4096
MAX_DEPTH = 16
_CHUNK = 64 * 1024
_TAR_OVERHEAD = 1024 + MAX_ENTRIES * 2048
"""What the headers and the padding of a tar file may take beside its contents."""
_DRIVE = re.compile(r"[A-Za-z]:")
_SKIPPED = frozenset({".git"})
_ZIP_HEADER = b"PK\x01\x02"
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
_SHOWN = 120


def safe_parts(name: str) -> tuple[str, ...]:
    """The components of an entry's name, none for the top directory. Raises InvalidPack for an unsafe one. Pure."""
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
        _refuse(name, "its name has a character that no file should have")
    if name.startswith("/") or "\\" in name or _DRIVE.match(name):
        _refuse(name, "its name is no relative path")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        _refuse(name, "its name leads out of the pack")
    if len(parts) > MAX_DEPTH:
        _refuse(name, f"it lies more than {MAX_DEPTH} directories deep")
    return parts


def copy_directory(source: Path, target: Path) -> None:
    """Copy the files of `source`, except `.git` and the directory that `target` lies in. Raises InvalidPack, OSError.

    The latter matters to a pack that is installed into a project of its own directory: `awf pack install .`.
    """
    writer = _Writer(target)
    around = set(target.resolve().parents)
    waiting: list[tuple[Path, tuple[str, ...]]] = [(source, ())]
    while waiting:
        directory, parts = waiting.pop()
        for item in sorted(os.scandir(directory), key=lambda each: each.name):
            inner = safe_parts("/".join((*parts, item.name)))
            if item.is_symlink():
                _refuse("/".join(inner), "it is a link")
            if item.is_dir(follow_symlinks=False):
                if item.name not in _SKIPPED and Path(item.path).resolve() not in around:
                    waiting.append((Path(item.path), inner))
            elif item.is_file(follow_symlinks=False):
                # O_NOFOLLOW: a link that has just replaced the file is no file of the pack.
                with os.fdopen(os.open(item.path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                    writer.file(inner, file, is_executable=bool(item.stat().st_mode & stat.S_IXUSR))
            else:
                _refuse("/".join(inner), "it is neither a file nor a directory")


def unpack(archive: bytes, target: Path) -> None:
    """Unpack a .tar.gz or a .zip, distinguished by their first bytes. Raises InvalidPack, OSError."""
    try:
        if archive.startswith(b"\x1f\x8b"):
            _unpack_tar(archive, _Writer(target))
        elif archive.startswith(b"PK"):
            _unpack_zip(archive, _Writer(target))
        else:
            raise InvalidPack("the file is no .tar.gz and no .zip archive")
    except (*_BROKEN, gzip.BadGzipFile) as problem:
        raise InvalidPack(f"the archive is damaged: {problem}") from problem


def _unpack_tar(archive: bytes, writer: _Writer) -> None:
    plain = _Limited(gzip.GzipFile(fileobj=io.BytesIO(archive)), MAX_UNPACKED_BYTES + _TAR_OVERHEAD)
    with tarfile.open(fileobj=plain, mode="r|") as tar:
        for member in tar:
            parts = safe_parts(member.name)
            if member.isdir():
                writer.directory(parts)
            elif member.isfile() and not member.issparse() and (content := tar.extractfile(member)) is not None:
                writer.file(parts, content, is_executable=bool(member.mode & stat.S_IXUSR))
            else:
                _refuse(member.name, "it is a link" if member.issym() or member.islnk() else "it is no regular file")


def _unpack_zip(archive: bytes, writer: _Writer) -> None:
    # Before `zipfile` makes an object of each.
    if archive.count(_ZIP_HEADER) > MAX_ENTRIES:
        raise InvalidPack(f"the archive has more than the {MAX_ENTRIES} entries allowed")
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        for info in packed.infolist():
            parts = safe_parts(info.orig_filename)  # `filename` ends at a null byte
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                _refuse(info.filename, "it is a link" if stat.S_ISLNK(mode) else "it is no regular file")
            if info.flag_bits & 1:
                _refuse(info.filename, "it is encrypted")
            if info.is_dir():
                writer.directory(parts)
                continue
            with packed.open(info) as content:
                writer.file(parts, content, is_executable=bool(mode & stat.S_IXUSR))


class _Writer:
    """Writes entries below `target`, and counts them."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._bytes = 0
        self._entries = 0
        self._files: dict[str, str] = {}

    def directory(self, parts: tuple[str, ...]) -> None:
        self._count("/".join(parts))
        self._make(parts)

    def file(self, parts: tuple[str, ...], content: IO[bytes], *, is_executable: bool) -> None:
        name = "/".join(parts)
        self._count(name)
        if not parts:
            _refuse(name, "it has no name")
        # Files whose names differ in case alone are one file on some machines.
        if (first := self._files.setdefault(name.casefold(), name)) != name or (self._target / name).exists():
            _refuse(name, f"it is there twice, as {quoted(first)} before")
        self._make(parts[:-1])
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(self._target.joinpath(*parts), flags, 0o755 if is_executable else 0o644)
        with os.fdopen(descriptor, "wb") as file:
            while chunk := content.read(_CHUNK):
                self._bytes += len(chunk)
                if self._bytes > MAX_UNPACKED_BYTES:
                    raise InvalidPack(f"the pack is larger than the {MAX_UNPACKED_BYTES} bytes allowed")
                file.write(chunk)

    def _make(self, parts: tuple[str, ...]) -> None:
        try:
            self._target.joinpath(*parts).mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            _refuse("/".join(parts), "it is a file and a directory at once")

    def _count(self, name: str) -> None:
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            _refuse(name, f"it is one more than the {MAX_ENTRIES} entries allowed")


class _Limited(io.RawIOBase):
    """Reads `source`, and raises InvalidPack once it has given more than `limit` bytes."""

    def __init__(self, source: IO[bytes] | gzip.GzipFile, limit: int) -> None:
        self._source = source
        self._left = limit

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, never more than the limit leaves."""
        wanted = self._left + 1 if size < 0 else min(size, self._left + 1)
        data = self._source.read(wanted)
        self._left -= len(data)
        if self._left < 0:
            raise InvalidPack(f"the pack is larger than the {MAX_UNPACKED_BYTES} bytes allowed")
        return data


def _refuse(name: str, why: str) -> NoReturn:
    shown = quoted(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")
    raise InvalidPack(f"entry {shown} is refused: {why}", hint="Nothing was installed. Make the archive anew.")
