"""Find what installed packages offer, and import one backend or plugin. The only file that knows stevedore.

`entries` reads metadata and imports nothing; every call reads it anew, so a package just installed is seen, except in
the block of `metadata_read_once`. Whatever is wrong with an entry becomes one ConfigError with package, version and
entry point: errors of stevedore or of the imported module never reach a user raw.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, NoReturn

from awf_core.config.backend_names import BACKEND_GROUP, DISTRIBUTIONS, OTHER_NAMES, install_line
from awf_core.config.did_you_mean import closest
from awf_core.errors import ConfigError, redact_url
from awf_core.plugin.checks import backend_complaint

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCTOR = "run `awf plugins doctor`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry point. `str()` of it names package, version and object: `awf-mq-x 1.0 (awf_mq_x.queue:Backend)`."""

    group: str
    name: str
    value: str
    distribution: str
    version: str
    point: EntryPoint = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} ({self.value})"


_read: ContextVar[dict[str, tuple[Entry, ...]] | None] = ContextVar("_read", default=None)


@contextmanager
def metadata_read_once() -> Iterator[None]:
    """In this block, and in this thread, `entries` reads each group once.

    A reading opens a file of every installed package, which takes about 10 ms in a small environment.
    """
    token = _read.set({})
    try:
        yield
    finally:
        _read.reset(token)


def entries(group: str) -> tuple[Entry, ...]:
    """The entry points of `group`, by name; a duplicate in the same package counts once."""
    read = _read.get()
    if read is None:
        return _entries(group)
    if group not in read:
        read[group] = _entries(group)
    return read[group]


def _entries(group: str) -> tuple[Entry, ...]:
    found = {_entry(point) for point in entry_points(group=group)}
    return tuple(sorted(found, key=lambda entry: (entry.name, entry.distribution, entry.value)))


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
    problem = backend_complaint(loaded)
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
    # AssertionError passes stevedore's own net, and a module that calls sys.exit must not silently end the command.
    except (Exception, SystemExit) as exc:
        raise ConfigError(f"mq.type {entry.name!r}: {entry} failed to import: {_cause(exc)}", hint=DOCTOR) from exc
    # Not `manager.driver`: it answers with the class for an object that is falsy.
    loaded: object = manager.extensions[0].plugin
    return loaded


def load_extension(entry: Entry) -> object:
    """The module or object behind an entry of `awf.plugins`. Raises ConfigError keeping the cause."""
    try:
        loaded: object = entry.point.load()
    # A plugin's module may raise anything, even SystemExit; the error names the plugin in every case.
    except (Exception, SystemExit) as exc:
        raise ConfigError(
            f"plugin {entry.name!r}: {entry} failed to import: {_cause(exc)}",
            hint=f"{DOCTOR}; AWF_DISABLE_PLUGINS={entry.name} starts without it",
        ) from exc
    return loaded


def _entry(point: EntryPoint) -> Entry:
    # Read once: each access parses the file anew.
    metadata = point.dist.metadata if point.dist else {"Name": "(unknown package)", "Version": "?"}
    return Entry(
        group=point.group,
        name=point.name,
        value=point.value,
        distribution=metadata["Name"],
        version=metadata["Version"],
        point=point,
    )


def _cause(exc: BaseException) -> str:
    return redact_url(f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__)


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
