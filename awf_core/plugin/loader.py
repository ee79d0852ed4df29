"""Load the one backend that `mq.type` names. Called by the composition and the doctor.
The only file that knows stevedore.

Imports nothing but that backend. Whatever is wrong with it becomes one ConfigError naming package, version and entry
point; errors of stevedore or of the backend's module never reach a user raw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from awf_core.config.backend_names import BACKEND_GROUP, DISTRIBUTIONS, OTHER_NAMES, install_line
from awf_core.config.did_you_mean import closest
from awf_core.errors import ConfigError, redact_url
from awf_core.plugin.backend_class import complaint
from awf_core.plugin.entries import Entry, entries

DOCTOR = "run `awf plugins doctor`"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendInfo:
    """An installed backend: `name` is what users write as `mq.type`, `value` the object behind it."""

    name: str
    distribution: str
    version: str
    value: str


def installed_backends() -> tuple[BackendInfo, ...]:
    """The installed backends by name. Imports none of them."""
    return tuple(
        BackendInfo(name=entry.name, distribution=entry.distribution, version=entry.version, value=entry.value)
        for entry in entries(BACKEND_GROUP)
    )


def load_backend(name: str) -> type:
    """The class behind `mq.type: name`, checked against the contract (see `contract.BackendClass`).

    Raises ConfigError when it isn't installed, is claimed twice, fails to import, or doesn't fit.
    """
    found = entries(BACKEND_GROUP)
    matches = tuple(entry for entry in found if entry.name == name)
    if not matches:
        raise _unknown(name, found)
    if len(matches) > 1:
        claims = "; ".join(str(entry) for entry in matches)
        raise ConfigError(f"mq.type {name!r} is claimed twice: {claims}. Uninstall one.", hint=DOCTOR)
    loaded = import_entry(matches[0], found)
    problem = complaint(loaded)
    if problem:
        raise ConfigError(f"mq.type {name!r}: {matches[0]} {problem}", hint=DOCTOR)
    assert isinstance(loaded, type)
    return loaded


def import_entry(entry: Entry, found: tuple[Entry, ...]) -> object:
    """The object behind `entry`, one of `found`, whatever it is. Raises ConfigError keeping the cause."""
    from stevedore.driver import DriverManager
    from stevedore.extension import ExtensionManager

    # stevedore would otherwise read a file cache keyed on times rounded to 128 s, which serves entry points of
    # packages changed in between, and without their packages.
    ExtensionManager.ENTRY_POINT_CACHE[entry.group] = [each.point for each in found]
    try:
        manager: Any = DriverManager(entry.group, entry.name, on_load_failure_callback=_raise)
    # AssertionError passes stevedore's own net, and a module that calls sys.exit must not end the command unsaid.
    except (Exception, SystemExit) as exc:
        cause = redact_url(f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__)
        raise ConfigError(f"mq.type {entry.name!r}: {entry} failed to import: {cause}", hint=DOCTOR) from exc
    # Not `manager.driver`: it answers with the class for an object that is falsy.
    loaded: object = manager.extensions[0].plugin
    return loaded


def _raise(_manager: object, _entry_point: object, exc: BaseException) -> NoReturn:
    raise exc


def _unknown(name: str, found: tuple[Entry, ...]) -> ConfigError:
    installed = sorted({entry.name for entry in found})
    listed = ", ".join(installed) or "none"
    text = f"mq.type {name!r}: no such backend is installed (installed: {listed})."
    meant = OTHER_NAMES.get(name) or closest(name, {*installed, *DISTRIBUTIONS})
    if name in DISTRIBUTIONS:
        text += f" Install it with: {install_line(name)}"
    elif meant:
        text += f" Did you mean {meant!r}?"
        text += "" if meant in installed else f" Install it with: {install_line(meant)}"
    return ConfigError(text, hint=DOCTOR)
