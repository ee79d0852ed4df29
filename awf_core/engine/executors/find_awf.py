"""Find the original tool's `awf`, which has the name of our own command. Called by the `awf-cli` executor."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from awf_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM = "awf"
_OURS = b"awf_core"
_HEAD_BYTES = 4096


def find_awf(named: str | None, *, cwd: Path, env: Mapping[str, str]) -> Path:
    """The program `named` in the configuration, relative to `cwd`, or the first `awf` on PATH that is not ours.

    Raises ConfigError where there is none.
    """
    if named is not None:
        return _named(cwd / Path(named).expanduser())
    for directory in env.get("PATH", "").split(os.pathsep):
        found = shutil.which(PROGRAM, path=str(cwd / directory)) if directory else None
        if found is not None and not is_ours(Path(found)):
            return Path(found)
    raise ConfigError(
        "executor 'awf-cli': no `awf` of the original tool on PATH",
        hint="Install it (https://github.com/awf-project/cli), or name it in the configuration: "
        "`executor_path: /path/to/awf`.",
    )


def _named(path: Path) -> Path:
    if not os.access(path, os.X_OK) or path.is_dir():
        raise ConfigError(
            f"executor_path: {path} is no program that can be run",
            hint="Name the original tool's `awf`, and make it executable.",
        )
    if is_ours(path):
        raise ConfigError(
            f"executor_path: {path} is this very command, not the original tool",
            hint="Name the original tool's `awf`, or leave the key out to have it looked for on PATH.",
        )
    return path


def is_ours(path: Path) -> bool:
    """Whether the program at `path` is this package's command: a script that names the package, or this process's."""
    try:
        if path.resolve() == Path(sys.argv[0]).resolve():
            return True
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return head.startswith(b"#!") and _OURS in head
