"""The entry points of the installed packages, with the package each belongs to.
Called by everything that discovers.

Reads metadata only; imports nothing. Every call looks afresh, so a package just installed is seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points

PLUGIN_GROUP = "awf.plugins"
BUILTIN_PLUGIN = "builtin"
"""The entry point of this package's own integrations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry point. `str()` of it names package, version and object:
    `awf-mq-x 1.0 (awf_mq_x.queue:Backend)`.
    """

    group: str
    name: str
    value: str
    distribution: str
    version: str
    point: EntryPoint = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} ({self.value})"


def entries(group: str) -> tuple[Entry, ...]:
    """The entry points of `group`, by name; one that is found twice in the same package counts once."""
    found = {_entry(point) for point in entry_points(group=group)}
    return tuple(sorted(found, key=lambda entry: (entry.name, entry.distribution, entry.value)))


def _entry(point: EntryPoint) -> Entry:
    dist = point.dist
    return Entry(
        group=point.group,
        name=point.name,
        value=point.value,
        distribution=dist.metadata["Name"] if dist else "(unknown package)",
        version=dist.version if dist else "?",
        point=point,
    )


def has_third_party_plugins() -> bool:
    """Whether a package other than this one adds a plugin. Imports none, and reads names only: it is fast."""
    return any(point.name != BUILTIN_PLUGIN for point in entry_points(group=PLUGIN_GROUP))
