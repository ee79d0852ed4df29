"""Which shells may run the commands of workflows: those that read the quotes of `escape` as POSIX has them. Pure."""

from __future__ import annotations

DEFAULT_SHELL = "/bin/sh"
POSIX_SHELLS = ("sh", "bash", "dash", "ash", "ksh", "mksh", "zsh")


def is_posix_shell(path: str) -> bool:
    """Whether `path` is absolute and ends in the name of a POSIX shell. Does not check that it exists."""
    return path.startswith("/") and path.rpartition("/")[2] in POSIX_SHELLS


def checked_shell(path: str) -> str:
    """`path`, if it may be `mq.shell`. Raises ValueError saying why not."""
    if not is_posix_shell(path):
        raise ValueError(
            f"{path!r} is not the absolute path of a POSIX shell ({', '.join(POSIX_SHELLS)}): "
            "`escape` quotes for those, and other shells would run what it quotes"
        )
    return path
