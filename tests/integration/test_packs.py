"""Packs: installed from directories and archives through the installed command, and what an archive can't do."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from awf_core.errors import AwfError, UsageError
from awf_core.lang import pack_archive
from awf_core.lang.pack_archive import MAX_ENTRIES, MAX_UNPACKED_BYTES, safe_parts
from awf_core.lang.pack_install import install_pack, remove_pack
from awf_core.lang.pack_manifest import InvalidPack

if TYPE_CHECKING:
    from collections.abc import Callable

AWF = Path(sys.executable).with_name("awf")
MANIFEST = "name: demo\nversion: 1.2.0\ndescription: Shows packs.\nworkflows: [main, helper]\n"
MAIN = (
    "name: main\nstates:\n  initial: a\n  a: {type: step, script_file: '{{.awf.scripts_dir}}/p.sh', on_success: b}\n"
    "  b: {type: call_workflow, workflow: helper, on_success: done}\n  done: {type: terminal}\n"
)
HELPER = "name: helper\nstates:\n  initial: a\n  a: {type: step, command: echo helped >> log, on_success: done}\n  done: {type: terminal}\n"
FILES = {
    "manifest.yaml": MANIFEST,
    "workflows/main.yaml": MAIN,
    "workflows/helper.yaml": HELPER,
    "scripts/p.sh": "#!/bin/sh\necho from the pack\n",
    "README.md": "# demo\n",
}


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member, content in members:
            member.size = len(content) if member.isfile() else 0
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def tar_member(name: str, content: str | bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.mode = 0o755 if name.endswith(".sh") else 0o644
    for field, value in fields.items():
        setattr(member, field, value)
    return member, content.encode() if isinstance(content, str) else content


def pack_tar(*extra: tuple[tarfile.TarInfo, bytes], prefix: str = "", files: dict[str, str] | None = None) -> bytes:
    contents = FILES if files is None else files
    return tar_of(*(tar_member(prefix + name, text) for name, text in contents.items()), *extra)


def pack_zip(*extra: tuple[zipfile.ZipInfo, str], prefix: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in FILES.items():
            info = zipfile.ZipInfo(prefix + name)
            info.external_attr = (stat.S_IFREG | (0o755 if name.endswith(".sh") else 0o644)) << 16
            packed.writestr(info, text)
        for info, text in extra:
            packed.writestr(info, text, compress_type=zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def write_directory(target: Path, files: dict[str, str] | None = None) -> Path:
    for name, text in (FILES if files is None else files).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(text)
    (target / "scripts/p.sh").chmod(0o755)
    return target


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


class Shell:
    """The installed command in a project's directory, with a home of its own."""

    def __init__(self, root: Path) -> None:
        self.work, self.home = root / "work", root / "home"
        self.work.mkdir()
        self.home.mkdir()
        self.env = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "AWF_AUDIT_LOG": "off", "LANG": "C.UTF-8"}

    def awf(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        process = subprocess.run(
            [AWF, *arguments], cwd=self.work, env=self.env, capture_output=True, text=True, timeout=60, input=""
        )
        assert process.returncode == code, process.stdout + process.stderr
        return process

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.awf(*arguments, "--format", "json", code=code).stdout)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_an_archive_is_installed_listed_run_replaced_and_removed_by_the_command(shell: Shell, tmp_path: Path) -> None:
    archive = tmp_path / "demo-1.2.0.tar.gz"
    archive.write_bytes(pack_tar(prefix="demo-1.2.0/"))
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()

    installed = shell.json("pack", "install", str(archive), "--sha256", checksum)

    place = shell.work / ".awf/workflow-packs/demo"
    assert installed == {
        "name": "demo",
        "version": "1.2.0",
        "replaced": None,
        "path": str(place),
        "sha256": checksum,
        "workflows": [{"name": "demo/main", "error": None}, {"name": "demo/helper", "error": None}],
    }
    (listed,) = shell.json("list", "--packs")
    assert (listed["name"], listed["version"], listed["source"]) == ("demo", "1.2.0", str(archive))
    assert (listed["workflows"], listed["path"], listed["error"]) == (["demo/main", "demo/helper"], str(place), None)
    assert "demo/main, demo/helper" in shell.awf("list", "--packs").stdout
    assert shell.json("run", "demo/main")["states"]["a"]["Output"] == "from the pack\n"
    assert (shell.work / "log").read_text() == "helped\n"

    newer = {**FILES, "manifest.yaml": MANIFEST.replace("1.2.0", "v2.0.0-rc.1")}
    archive.write_bytes(pack_tar(files={name: text for name, text in newer.items() if name != "README.md"}))
    refused = shell.awf("pack", "install", str(archive), code=1)
    assert "installed already" in refused.stderr
    assert "--force replaces it" in refused.stderr
    replaced = shell.awf("pack", "install", str(archive), "--force")
    assert replaced.stdout == f"{place}\n"
    assert "replaced version 1.2.0: demo v2.0.0-rc.1" in replaced.stderr
    assert not (place / "README.md").exists()

    assert shell.awf("pack", "remove", "demo", code=130).stdout == ""
    assert shell.awf("pack", "remove", "demo", "--yes").stdout == f"{place}\n"
    assert shell.json("list", "--packs") == []
    assert names_in(place.parent) == []


def test_a_zip_and_a_directory_are_installed_for_the_user_by_the_command(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "demo.zip").write_bytes(pack_zip(prefix="top/"))
    (tmp_path / "demo.zip.sha256").write_text(
        hashlib.sha256((tmp_path / "demo.zip").read_bytes()).hexdigest() + "  demo.zip\n"
    )
    source = write_directory(tmp_path / "source", {**FILES, "manifest.yaml": MANIFEST.replace("demo", "other")})
    (source / ".git").mkdir()
    (source / ".git" / "config").write_text("secret")

    shell.awf("pack", "install", str(tmp_path / "demo.zip"), "--user")
    shell.awf("pack", "install", str(source), "--user")

    root = shell.home / ".local/share/awf/workflow-packs"
    assert names_in(root) == ["demo", "other"]
    assert not (root / "other/.git").exists()
    assert os.access(root / "demo/scripts/p.sh", os.X_OK)
    assert os.access(root / "other/scripts/p.sh", os.X_OK)
    assert [pack["name"] for pack in shell.json("list", "--packs")] == ["demo", "other"]
    assert shell.json("run", "other/main")["status"] == "completed"
    shell.awf("pack", "remove", "other", "--user", "--yes")
    assert names_in(root) == ["demo"]


def test_a_pack_can_be_installed_into_a_project_of_its_own_directory(tmp_path: Path) -> None:
    source = write_directory(tmp_path / "source")
    root = source / ".awf/workflow-packs"

    install_pack(source, root)
    again = install_pack(source, root, may_replace=True)

    assert again.replaced == "1.2.0"
    assert names_in(root / "demo") == ["README.md", "manifest.yaml", "scripts", "state.json", "workflows"]


def test_the_command_says_what_is_wrong_with_a_source(shell: Shell, tmp_path: Path) -> None:
    archive = tmp_path / "demo.tgz"
    archive.write_bytes(pack_tar())

    wrong = shell.awf("pack", "install", str(archive), "--sha256", "0" * 64, code=2)
    missing = shell.awf("pack", "install", "https://example.org/p.tar.gz", code=1)

    assert f"{archive}: its checksum is " in wrong.stderr
    assert f"and --sha256 says {'0' * 64}" in wrong.stderr
    assert "download an address first" in missing.stderr
    assert not (shell.work / ".awf/workflow-packs/demo").exists()


def test_a_workflow_that_does_not_load_is_named_and_a_broken_pack_is_listed(shell: Shell, tmp_path: Path) -> None:
    source = write_directory(tmp_path / "source", {**FILES, "workflows/helper.yaml": "name: helper\n"})

    installed = shell.awf("pack", "install", str(source))
    (shell.work / ".awf/workflow-packs/broken").mkdir()

    assert "warning: demo/helper: " in installed.stderr
    broken, demo = shell.json("list", "--packs")
    assert (broken["name"], broken["version"], broken["workflows"]) == ("broken", None, [])
    assert "manifest.yaml: no such file" in broken["error"]
    assert demo["error"] is None
    assert "does not work: " in shell.awf("list", "--packs").stdout


# What an archive can't do. `outside` is what it must not reach.


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "packs"


@pytest.fixture
def refused(tmp_path: Path, root: Path) -> Callable[[bytes], str]:
    """Install an archive that must be refused; the text of the error."""

    def run(archive: bytes) -> str:
        outside = tmp_path / "outside"
        outside.write_text("untouched")
        (tmp_path / "pack.bin").write_bytes(archive)
        with pytest.raises(InvalidPack) as caught:
            install_pack(tmp_path / "pack.bin", root)
        assert names_in(root) == []
        assert names_in(tmp_path) == ["outside", "pack.bin", "packs"]
        assert outside.read_text() == "untouched"
        return caught.value.message

    return run


def zip_member(name: str, *, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("placeholder")
    info.filename = name
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../outside", "leads out of the pack"),
        ("a/../../outside", "leads out of the pack"),
        ("/tmp/outside", "is no relative path"),
        ("..\\outside", "is no relative path"),
        ("C:/outside", "is no relative path"),
        ("a\nb", "a character that no file should have"),
        ("/".join("abcdefghijklmnopq"), "more than 16 directories deep"),
        ("manifest.yaml", "it is there twice"),
        ("Manifest.YAML", "it is there twice"),
        ("manifest.yaml/x", "a file and a directory at once"),
        ("workflows", "it is there twice"),
    ],
)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_name_that_leads_elsewhere_or_is_taken_is_refused(
    refused: Callable[[bytes], str], kind: str, name: str, why: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of two entries with one name in a zip
        archive = pack_tar(tar_member(name, "x")) if kind == "tar" else pack_zip((zip_member(name), "x"))

    assert why in refused(archive)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (tarfile.SYMTYPE, "it is a link"),
        (tarfile.LNKTYPE, "it is a link"),
        (tarfile.FIFOTYPE, "it is no regular file"),
        (tarfile.CHRTYPE, "it is no regular file"),
    ],
)
def test_a_tar_holds_no_links_and_no_devices(refused: Callable[[bytes], str], kind: bytes, why: str) -> None:
    link = tar_member("link", type=kind, linkname="../outside")

    assert why in refused(pack_tar(link, tar_member("link/x", "x")))


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o644])
def test_a_zip_holds_no_links_and_no_pipes(refused: Callable[[bytes], str], mode: int) -> None:
    why = "it is a link" if stat.S_ISLNK(mode) else "it is no regular file"

    assert why in refused(pack_zip((zip_member("link", mode=mode), "../outside")))


def test_a_directory_with_a_link_is_refused(tmp_path: Path, root: Path) -> None:
    source = write_directory(tmp_path / "source")
    (source / "scripts/passwd").symlink_to("/etc/passwd")

    with pytest.raises(InvalidPack, match=r"scripts/passwd.*it is a link"):
        install_pack(source, root)


def test_bombs_are_refused_by_what_they_unpack_to(
    refused: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack_archive, "MAX_UNPACKED_BYTES", 200_000)
    monkeypatch.setattr(pack_archive, "_TAR_OVERHEAD", 100_000)
    zeros = b"\0" * 10_000_000

    # The second claims a header of ten megabytes, which `tarfile` would read into memory.
    huge_header = gzip.compress(_pax_header(len(zeros)) + zeros + bytes(1024))
    for archive in (pack_tar(tar_member("big", zeros)), huge_header, pack_zip((zip_member("big"), zeros.decode()))):
        assert len(archive) < 100_000
        assert "larger than the 200000 bytes allowed" in refused(archive)


def _pax_header(size: int) -> bytes:
    member = tarfile.TarInfo("h")
    member.type, member.size = tarfile.XHDTYPE, size
    return member.tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_more_entries_than_a_pack_needs_are_refused(refused: Callable[[bytes], str], kind: str) -> None:
    names = [f"d/{number}" for number in range(MAX_ENTRIES)]
    if kind == "tar":
        archive = pack_tar(*(tar_member(name) for name in names))
    else:
        archive = pack_zip(*((zip_member(name), "") for name in names))

    assert f"{MAX_ENTRIES} entries allowed" in refused(archive)


def test_the_limits_are_those_of_a_pack_of_texts() -> None:
    assert MAX_UNPACKED_BYTES == 64 * 1024 * 1024
    assert safe_parts("./a//b/") == ("a", "b")
    assert safe_parts("./") == ()


@pytest.mark.parametrize(
    "archive",
    [b"", b"plain text", b"\x1f\x8b broken", b"PK\x03\x04 broken", pack_tar()[:-40], pack_zip()[:-40]],
    ids=["empty", "text", "gzip", "zip", "cut tar", "cut zip"],
)
def test_what_is_no_archive_or_is_cut_off_is_refused(refused: Callable[[bytes], str], archive: bytes) -> None:
    assert "archive" in refused(archive)


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        ("", "no mapping"),
        ("- a", "no mapping"),
        ("name: [", "manifest.yaml: "),
        ("name: Demo\nversion: 1.0.0\nworkflows: [main]", 'invalid pack name "Demo"'),
        ("name: ..\nversion: 1.0.0\nworkflows: [main]", 'invalid pack name ".."'),
        ("name: demo\nversion: latest\nworkflows: [main]", 'invalid version "latest"'),
        ("name: demo\nversion: 1.0.0", "the list `workflows` is empty"),
        ("name: demo\nversion: 1.0.0\nworkflows: main", "the list `workflows` is empty"),
        ("name: demo\nversion: 1.0.0\nworkflows: [../main]", 'invalid workflow name "../main"'),
        ("name: demo\nversion: 1.0.0\nworkflows: [other]", "does not have: workflows/other.yaml"),
        (None, "no such file"),
    ],
)
def test_a_pack_needs_a_manifest_that_holds(refused: Callable[[bytes], str], manifest: str | None, why: str) -> None:
    files = {**FILES, "manifest.yaml": manifest or ""}
    if manifest is None:
        del files["manifest.yaml"]

    text = refused(pack_tar(files=files))

    assert why in text
    assert ".installing-" not in text


def test_a_checksum_is_one_and_belongs_to_an_archive(tmp_path: Path, root: Path) -> None:
    source = write_directory(tmp_path / "source")
    archive = tmp_path / "p.zip"
    archive.write_bytes(pack_zip())
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()

    with pytest.raises(UsageError, match="is a directory, which has no checksum"):
        install_pack(source, root, sha256=checksum)
    with pytest.raises(UsageError, match="is no SHA-256 checksum"):
        install_pack(archive, root, sha256="abc")
    (tmp_path / "p.zip.sha256").write_text("0" * 64)
    with pytest.raises(InvalidPack, match=r"p\.zip\.sha256 says 000"):
        install_pack(archive, root)
    assert install_pack(archive, root, sha256=f"sha256:{checksum.upper()}").sha256 == checksum


def test_a_link_in_the_place_of_a_pack_is_neither_replaced_nor_removed(tmp_path: Path, root: Path) -> None:
    elsewhere = write_directory(tmp_path / "elsewhere")
    root.mkdir()
    (root / "demo").symlink_to(elsewhere)

    with pytest.raises(UsageError, match="is a link"):
        install_pack(elsewhere, root, may_replace=True)
    with pytest.raises(UsageError, match="is a link"):
        remove_pack("demo", root)

    assert (elsewhere / "manifest.yaml").exists()


@pytest.mark.parametrize("name", ["nope", "..", "a/b", ""])
def test_only_an_installed_pack_is_removed(root: Path, name: str) -> None:
    root.mkdir()
    (root.parent / "manifest.yaml").write_text("")

    with pytest.raises(AwfError):
        remove_pack(name, root)

    assert (root.parent / "manifest.yaml").exists()
