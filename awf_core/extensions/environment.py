"""The environment as runs see it: variables, shell, directories. Read once, shared by all runs.

Made with the engine, so runs do not see a later change of `os.environ`. `awf run` passes all variables on, a worker
those that are on its list. Immutable and thread-safe.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from awf_core.config.shells import DEFAULT_SHELL, POSIX_SHELLS, is_posix_shell

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """env         what templates see as `.env`
    child_env   the same as bytes, for processes that are started
    offered     further variables, which a workflow gets that names them under `env:`
    shell       the program that runs commands, always a POSIX shell
    shell_note  why that is not `$SHELL`, for the user; empty where it is, or where `$SHELL` is not set
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
    offered: Mapping[str, str] = field(default_factory=dict)
    shell_note: str = ""
    max_output_bytes: int | None = None


def read_environment(
    env: Mapping[str, str],
    *,
    passed: Mapping[str, str] | None = None,
    offered: Mapping[str, str] = _NOTHING,
    shell: str | None = None,
    max_output_bytes: int | None = None,
) -> Environment:
    """The environment that `env` describes. Checks whether `$SHELL` exists, and changes nothing.

    `passed`: the variables that runs see, None = all of `env`. `shell` None = `$SHELL` where that is a POSIX shell.
    """
    home = env.get("HOME") or str(Path("~").expanduser())
    seen = env if passed is None else passed
    own_shell, note = (shell, "") if shell is not None else users_shell(env.get("SHELL", ""))
    return Environment(
        env=dict(seen),
        child_env={os.fsencode(name): os.fsencode(value) for name, value in seen.items()},
        offered=offered,
        shell=own_shell,
        shell_note=note,
        home=home,
        temp_dir=env.get("TMPDIR") or "/tmp",  # noqa: S108 - what the system says, and its default
        user=env.get("USER", ""),
        hostname=socket.gethostname(),
        awf=_awf_dirs(env, home),
        max_output_bytes=max_output_bytes,
    )


def users_shell(wanted: str) -> tuple[str, str]:
    """The shell for a user whose `$SHELL` is `wanted`, and a warning where it is another one.

    Commands are written for a POSIX shell, and `escape` quotes for one: fish and tcsh would run what it quotes.
    """
    if not wanted:
        return DEFAULT_SHELL, ""
    if not is_posix_shell(wanted):
        names = ", ".join(POSIX_SHELLS)
        return DEFAULT_SHELL, f"SHELL is {wanted!r}, which is none of {names}: commands run in {DEFAULT_SHELL}"
    if not Path(wanted).exists():
        return DEFAULT_SHELL, f"SHELL is {wanted!r}, which does not exist: commands run in {DEFAULT_SHELL}"
    return wanted, ""


def _awf_dirs(env: Mapping[str, str], home: str) -> dict[str, str]:
    config = env.get("AWF_CONFIG_HOME") or _under(env.get("XDG_CONFIG_HOME") or f"{home}/.config")
    data = _under(env.get("XDG_DATA_HOME") or f"{home}/.local/share")
    names = ("scripts", "prompts", "workflows", "skills", "roles")
    dirs = {f"{name}_dir": f"{config}/{name}" for name in names}
    return {"config_dir": config, "data_dir": data, "plugins_dir": f"{data}/plugins", **dirs}


def _under(parent: str) -> str:
    return f"{parent.rstrip('/')}/awf"
