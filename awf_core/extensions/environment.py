"""The process's environment as runs see it: variables, shell, directories. Read once, shared by all runs.

Made with the engine, so runs do not see a later change of `os.environ`. Immutable and thread-safe.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_FALLBACK_SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """env         what templates see as `.env`
    child_env   the same as bytes, for processes that are started
    temp_dir    where scripts are written to be executed
    awf         the directories that templates see as `.awf.*`
    max_output_bytes   how much of each output of a command is kept, None = all
    """

    env: Mapping[str, str]
    child_env: Mapping[bytes, bytes]
    shell: str
    home: str
    temp_dir: str
    user: str
    hostname: str
    awf: Mapping[str, str]
    max_output_bytes: int | None = None


def read_environment(env: Mapping[str, str], *, max_output_bytes: int | None = None) -> Environment:
    """The environment that `env` describes. Checks whether `$SHELL` exists, and changes nothing."""
    home = env.get("HOME") or str(Path("~").expanduser())
    return Environment(
        env=dict(env),
        child_env={os.fsencode(name): os.fsencode(value) for name, value in env.items()},
        shell=_shell(env.get("SHELL", "")),
        home=home,
        temp_dir=env.get("TMPDIR") or "/tmp",  # noqa: S108 - what the system says, and its default
        user=env.get("USER", ""),
        hostname=socket.gethostname(),
        awf=_awf_dirs(env, home),
        max_output_bytes=max_output_bytes,
    )


def _shell(wanted: str) -> str:
    return wanted if wanted.startswith("/") and Path(wanted).exists() else _FALLBACK_SHELL


def _awf_dirs(env: Mapping[str, str], home: str) -> dict[str, str]:
    config = env.get("AWF_CONFIG_HOME") or _under(env.get("XDG_CONFIG_HOME") or f"{home}/.config")
    data = _under(env.get("XDG_DATA_HOME") or f"{home}/.local/share")
    names = ("scripts", "prompts", "workflows", "skills", "roles")
    dirs = {f"{name}_dir": f"{config}/{name}" for name in names}
    return {"config_dir": config, "data_dir": data, "plugins_dir": f"{data}/plugins", **dirs}


def _under(parent: str) -> str:
    return f"{parent.rstrip('/')}/awf"
