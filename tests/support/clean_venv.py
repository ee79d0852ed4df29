"""A virtual environment where nothing of ours is, and packages put into it from local trees alone: no download."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

OURS = ("awf", "_awf", "__editable__")


def clean_python(directory: Path) -> Path:
    """A virtual environment that has the third-party libraries of this one, and nothing of ours."""
    venv.create(directory, with_pip=False, symlinks=True)
    python = directory / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    libraries = directory / "libraries"
    libraries.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        # Neither our editable packages nor what is known about them; .pth files there are not read, so not needed.
        if not entry.name.startswith(OURS) and entry.suffix != ".pth":
            (libraries / entry.name).symlink_to(entry)
    (Path(site) / "libraries.pth").write_text(f"{libraries}\n")
    return python


def install(python: Path, *packages: Path) -> None:
    """With this environment's pip, from the local trees alone."""
    subprocess.run(
        [
            sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps",
            "--no-build-isolation", "--ignore-installed", "--disable-pip-version-check", *packages,
        ],
        check=True, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
