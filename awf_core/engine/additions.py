"""What plugins add to a table of built-in things of one kind. Called by the registries, once at start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from awf_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


def with_added(
    builtin: Mapping[str, T], added: Mapping[str, Any], *, what: str, protocol: Any, method: str
) -> dict[str, T]:
    """`builtin` and `added` as one table; `what` says what they are, `protocol` what each has to be.

    `method` is how an error spells the method that the protocol asks for.
    Raises ConfigError for one of `added` that lacks the method, or has the name of a built-in one.
    """
    for name, thing in added.items():
        if not isinstance(thing, protocol):
            raise ConfigError(
                f"{what} {name!r} of a plugin is {type(thing).__qualname__}, which has no method {method}",
                hint=f"See {protocol.__module__}.{protocol.__qualname__}.",
            )
        if name in builtin:
            raise ConfigError(
                f"{what} {name!r} is registered twice: it is built in, and a plugin adds it",
                hint=f"Give the plugin's {what.rsplit(maxsplit=1)[-1]} a name of its own.",
            )
    return {**builtin, **added}
