"""Choose a backend from the environment: a set `AWF_MQ_REDIS_URL` means redis. Called when no `mq.type` is given.

Reads entry points of group `awf.mq.env` (name = variable, value = the same object as in `awf.mq`); imports no backend.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from awf_core.config.backend_names import BACKEND_GROUP, VARIABLE_GROUP, install_line, twin
from awf_core.errors import ConfigError
from awf_core.plugin.loader import Entry, entries

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY = re.compile(r"^AWF_MQ_[A-Z0-9]+_")
_ADDRESS = re.compile(r"AWF_MQ_([A-Z0-9_]+?)_(?:QUEUE_)?URL")


def backend_from_environment(env: Mapping[str, str]) -> tuple[str, str] | None:
    """(backend, variable) that `env` selects, None where it selects none.

    Raises ConfigError when variables of two backends are set, or one that no installed backend reads.
    """
    refuse_unclaimed(env)
    chosen: dict[str, str] = {}
    for variable, name in sorted(_claims().items()):
        if env.get(variable):
            chosen.setdefault(name, variable)
    if len(chosen) > 1:
        listed = " and ".join(f"{variable} ({name})" for name, variable in sorted(chosen.items()))
        raise ConfigError(
            f"{listed} are both set, and no mq.type is given: which backend is meant?",
            hint="set AWF_MQ_TYPE, or `mq.type` in .awf/config.yaml, or unset one of them",
        )
    return next(iter(chosen.items()), None)


def refuse_unclaimed(env: Mapping[str, str]) -> None:
    """Raise ConfigError for a set `AWF_MQ_<NAME>_URL` that no installed backend reads, with what to install."""
    claims = _claims()
    for variable in sorted(env):
        match = _ADDRESS.fullmatch(variable)
        if match and env[variable] and variable not in claims:
            raise ConfigError(
                f"{variable} is set, but no installed backend reads it. "
                f"Install one with: {install_line(match.group(1).lower())}",
                hint="or unset the variable",
            )


def variables_of(backend: str) -> dict[str, str]:
    """Variables of `backend` that are not named like its keys, with the key of each: `{"AWF_MQ_AMQP_URL": "url"}`."""
    own = twin("mq", backend) + "_"
    return {
        variable: _KEY.sub("", variable).lower()
        for variable, name in _claims().items()
        if name == backend and not variable.startswith(own)
    }


def _claims() -> dict[str, str]:
    """Variable -> backend, of what is installed: what packages declare, and the `_URL` variables of each backend."""
    backends = entries(BACKEND_GROUP)
    claims: dict[str, str] = {}
    for backend in backends:
        for key in ("url", "queue_url"):
            claims[twin("mq", backend.name, key)] = backend.name
    for entry in entries(VARIABLE_GROUP):
        name = backend_behind(entry, backends)
        if name:
            claims[entry.name] = name
    return claims


def backend_behind(entry: Entry, backends: tuple[Entry, ...]) -> str | None:
    """The backend of the same package and object as `entry`, None where the package has none."""
    for backend in backends:
        if (backend.value, backend.distribution) == (entry.value, entry.distribution):
            return backend.name
    return None
