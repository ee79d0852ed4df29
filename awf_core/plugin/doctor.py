"""The facts behind `awf plugins` and `awf plugins doctor`. Called by those commands only.
Data, nothing drawn.

`list_plugins` imports nothing; `diagnose` imports everything, and is the one place that does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from awf_core.config.backend_names import BACKEND_GROUP, VARIABLE_GROUP
from awf_core.errors import ConfigError
from awf_core.plugin.backend_class import complaint, implemented_hooks, missing_hooks, stated_version
from awf_core.plugin.entries import PLUGIN_GROUP, Entry, entries
from awf_core.plugin.environment import backend_behind
from awf_core.plugin.hook_checks import complaints
from awf_core.plugin.loader import import_entry
from awf_core.plugin.manager import load_extension

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFacts:
    """What is known of one entry point. None = not looked at, or not applicable.

    `import_ms` is wall time in milliseconds, next to nothing where the module was imported before.
    """

    group: str
    name: str
    distribution: str
    version: str
    value: str
    imports: bool | None = None
    import_ms: float | None = None
    api_version: object = None
    missing_hooks: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    problem: str | None = None


def list_plugins() -> tuple[PluginFacts, ...]:
    """The installed backends and plugins. Imports none."""
    return tuple(_listed(entry) for group in (BACKEND_GROUP, PLUGIN_GROUP) for entry in entries(group))


def diagnose() -> tuple[PluginFacts, ...]:
    """Import every backend and plugin and look at it. Never raises for what they do."""
    return (*_diagnosed_backends(), *_diagnosed_plugins(), *_diagnosed_variables())


def _diagnosed_backends() -> list[PluginFacts]:
    found = entries(BACKEND_GROUP)
    facts = []
    for entry in found:
        alone = tuple(other for other in found if other.name != entry.name or other is entry)
        fact, loaded = _imported(entry, partial(import_entry, entry, alone))
        if fact.imports:
            fact = replace(fact, problem=_told(entry, complaint(loaded)))
        if isinstance(loaded, type):
            fact = replace(
                fact,
                api_version=stated_version(loaded),
                missing_hooks=missing_hooks(loaded),
                hooks=implemented_hooks(loaded),
            )
        facts.append(_claimed(fact, found))
    return facts


def _diagnosed_plugins() -> list[PluginFacts]:
    found = entries(PLUGIN_GROUP)
    facts = []
    for entry in found:
        fact, loaded = _imported(entry, partial(load_extension, entry))
        if fact.imports:
            problem = next(complaints(loaded), None)
            fact = replace(fact, hooks=implemented_hooks(loaded), problem=_told(entry, problem))
        facts.append(_claimed(fact, found))
    return facts


def _diagnosed_variables() -> list[PluginFacts]:
    backends = entries(BACKEND_GROUP)
    return [
        replace(
            _listed(entry),
            problem=f"{entry} is declared for variable {entry.name}, but the package has no such backend",
        )
        for entry in entries(VARIABLE_GROUP)
        if backend_behind(entry, backends) is None
    ]


def _listed(entry: Entry) -> PluginFacts:
    return PluginFacts(
        group=entry.group,
        name=entry.name,
        distribution=entry.distribution,
        version=entry.version,
        value=entry.value,
    )


def _imported(entry: Entry, load: Callable[[], object]) -> tuple[PluginFacts, object]:
    started = time.perf_counter()
    try:
        loaded = load()
    except ConfigError as exc:
        return replace(_listed(entry), imports=False, problem=exc.message), None
    import_ms = (time.perf_counter() - started) * 1000
    return replace(_listed(entry), imports=True, import_ms=import_ms), loaded


def _told(entry: Entry, problem: str | None) -> str | None:
    return f"{entry} {problem}" if problem else None


def _claimed(fact: PluginFacts, found: tuple[Entry, ...]) -> PluginFacts:
    rivals = [str(entry) for entry in found if entry.name == fact.name]
    if len(rivals) < 2 or fact.problem:
        return fact
    return replace(fact, problem=f"{fact.name!r} is claimed twice: {'; '.join(rivals)}. Uninstall one.")
