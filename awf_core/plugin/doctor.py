"""The facts behind `awf plugins` and `awf plugins doctor`. Called by those commands only. Data, nothing drawn.

`list_plugins` imports nothing. `diagnose` imports every backend and plugin, and is the one place that does; it also
compares what packages require with what is installed, and says whose the script `awf` is.
"""

from __future__ import annotations

import csv
import os
import time
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path
from typing import TYPE_CHECKING

from awf_core.config.backend_names import BACKEND_GROUP, PLUGIN_GROUP, VARIABLE_GROUP
from awf_core.errors import ConfigError
from awf_core.plugin.checks import (
    address_notice,
    backend_complaint,
    implemented_hooks,
    missing_hooks,
    plugin_complaints,
    stated_version,
)
from awf_core.plugin.construct import construction_problem
from awf_core.plugin.environment import backend_behind
from awf_core.plugin.loader import Entry, entries, import_entry, load_extension

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CORE = "awf-core"


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFacts:
    """What is known of one entry point, of one unmet requirement (group `requires`) or of the script `awf`.

    None = not checked, or not applicable.

    `import_ms` is wall time in milliseconds, next to nothing where the module was imported before. `notice` is what is
    unusual and no problem: the start refuses nothing because of it.
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
    notice: str | None = None


def list_plugins() -> tuple[PluginFacts, ...]:
    """The installed backends and plugins. Imports none."""
    return tuple(_listed(entry) for group in (BACKEND_GROUP, PLUGIN_GROUP) for entry in entries(group))


def diagnose() -> tuple[PluginFacts, ...]:
    """Import and check every backend and plugin, and what they require. Never raises for what they do."""
    return (
        *_diagnosed_backends(),
        *_diagnosed_plugins(),
        *_diagnosed_variables(),
        *_unmet_requirements(),
        *script_facts(distribution(CORE)),
    )


def _diagnosed_backends() -> list[PluginFacts]:
    found = entries(BACKEND_GROUP)
    facts = []
    for entry in found:
        alone = tuple(other for other in found if other.name != entry.name or other is entry)
        fact, loaded = _imported(entry, partial(import_entry, entry, alone))
        if fact.imports:
            problem = _named(entry, backend_complaint(loaded)) or construction_problem(loaded, label=str(entry))
            notice = None if problem else address_notice(loaded, entry.name)
            fact = replace(fact, problem=problem, notice=_named(entry, notice))
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
            problem = next(plugin_complaints(loaded), None)
            fact = replace(fact, hooks=implemented_hooks(loaded), problem=_named(entry, problem))
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


def _named(entry: Entry, problem: str | None) -> str | None:
    return f"{entry} {problem}" if problem else None


def _unmet_requirements() -> list[PluginFacts]:
    """What our packages and those of plugins require and this environment does not have."""
    found = [entry for group in (BACKEND_GROUP, PLUGIN_GROUP, VARIABLE_GROUP) for entry in entries(group)]
    packages = {entry.distribution: entry.point.dist for entry in found if entry.point.dist is not None}
    packages.setdefault(CORE, distribution(CORE))
    return [fact for package in packages.values() for fact in _unmet(package)]


def _unmet(package: Distribution) -> Iterator[PluginFacts]:
    from packaging.requirements import Requirement

    for requirement in map(Requirement, package.requires or ()):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            installed = None
        if installed is None or not requirement.specifier.contains(installed, prereleases=True):
            name = f"{package.metadata['Name']} {package.version}"
            yield PluginFacts(
                group="requires",
                name=requirement.name,
                distribution=package.metadata["Name"],
                version=package.version,
                value=str(requirement),
                problem=f"{name} requires {requirement}, installed is {installed or 'none'}. "
                f"Install it with: pip install '{requirement.name}{requirement.specifier}'",
            )


def script_facts(core: Distribution) -> list[PluginFacts]:
    """Whose `bin/awf` is: a package of another project has a script of that name, and the last one installed wins."""
    # Not `core.files`, which leaves out files that are missing.
    record = csv.reader((core.read_text("RECORD") or "").splitlines())
    listed = [row[0] for row in record if row and row[0].endswith("bin/awf")]
    if not listed:
        return []
    path = Path(str(core.locate_file(listed[0])))
    text = path.read_text(errors="replace") if path.is_file() else ""
    owners = [entry for entry in entries("console_scripts") if entry.name == "awf" and entry.point.module in text]
    owner = owners[0].distribution if owners else "(unknown package)"
    state = "is missing" if not text else f"is the script of {owners[0]}" if owners and owner != CORE else None
    fix = f"Use `awfq` or `python -m awf_core`, or: pip install --force-reinstall --no-deps {CORE}"
    return [
        PluginFacts(
            group="console_scripts",
            name="awf",
            distribution=owner,
            version=owners[0].version if owners else "?",
            value=os.path.normpath(path),
            problem=f"{os.path.normpath(path)} {state}. {fix}" if state else None,
        )
    ]


def _claimed(fact: PluginFacts, found: tuple[Entry, ...]) -> PluginFacts:
    rivals = [str(entry) for entry in found if entry.name == fact.name]
    if len(rivals) < 2 or fact.problem:
        return fact
    return replace(fact, problem=f"{fact.name!r} is claimed twice: {'; '.join(rivals)}. Uninstall one.")
