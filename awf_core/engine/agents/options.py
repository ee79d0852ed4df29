"""Read an agent's options by type. Pure. A value of another type counts as absent, as in the original.

Called by providers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


def text_option(options: Mapping[str, Any], name: str) -> str | None:
    """The text of option `name`, None when it is absent or none."""
    value = options.get(name)
    return value if isinstance(value, str) else None


def is_set(options: Mapping[str, Any], name: str) -> bool:
    """Whether option `name` is true, a text `true` not included."""
    return options.get(name) is True


def list_option(options: Mapping[str, Any], name: str) -> list[str]:
    """The texts of a list option; what is no text in it is left out."""
    value = options.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def flag_and_value(options: Mapping[str, Any], name: str, flag: str) -> list[str]:
    """`[flag, value]` where option `name` is a text that is not empty, else nothing."""
    value = text_option(options, name)
    return [flag, value] if value else []


def misspelt(options: Iterable[str], known: Iterable[str]) -> list[tuple[str, str]]:
    """Options written in camelCase, which nothing reads, with the spelling that is read."""
    names = frozenset(known)
    pairs = ((name, _CAPITAL.sub("_", name).lower()) for name in options)
    return [(name, meant) for name, meant in pairs if name != meant and meant in names]
