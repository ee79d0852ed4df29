"""Where a value came from. Called by section, load and show. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from awf_core.config.yaml_source import KeyPath

Kind = Literal["flag", "environment", "file", "default"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A place a value can come from. `where` is the option, the variable or `file:line`; empty for a default."""

    kind: Kind
    where: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.where}".rstrip()


DEFAULT = Origin(kind="default")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A value given by a command's option, when the option isn't named like the key."""

    option: str
    value: object


def flag_origin(path: KeyPath, given: object) -> Origin:
    """The origin of an override: its own option name, else `--retry-max-attempts` for `mq.retry.max_attempts`."""
    if isinstance(given, Flag):
        return Origin(kind="flag", where=given.option)
    name = "-".join(str(part) for part in path[1:]).replace("_", "-")
    return Origin(kind="flag", where=f"--{name}")


def dotted(path: KeyPath) -> str:
    """`("mq", "retry", "jitter")` as `mq.retry.jitter`, list positions as `[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
