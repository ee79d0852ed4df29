"""Put the chosen backend and all plugins together. Called by the composition.
The only file that knows pluggy's manager.

Everything wrong with a plugin is found here, at start, and said with package, version and entry point.
Connects to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

from awf_core.errors import ConfigError, redact_url
from awf_core.hookspecs import PROJECT, SPEC_CLASSES
from awf_core.plugin.core import CORE, CorePlugin
from awf_core.plugin.entries import BUILTIN_PLUGIN, PLUGIN_GROUP, Entry, entries
from awf_core.plugin.hook_checks import BACKEND_HOOKS, complaints
from awf_core.plugin.registrations import Registrations
from awf_core.plugin.trace import trace_calls, tracing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.mq import HookRelay

DISABLE_VARIABLE = "AWF_DISABLE_PLUGINS"
DOCTOR = "run `awf plugins doctor`"


class Plugins:
    """What is registered. `hook` is pluggy's relay, for `Mq`; `registered` is what plugins add to the core.

    `names` are the registered plugins in order, `disabled` those that AWF_DISABLE_PLUGINS kept out.
    """

    def __init__(self, manager: pluggy.PluginManager, *, disabled: tuple[str, ...], trace: bool) -> None:
        self._manager = manager
        self.disabled = disabled
        self.trace = trace
        self.hook: HookRelay = manager.hook
        self.registered = Registrations(self.implementations)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of everything registered, in order."""
        return tuple(name for name, plugin in self._manager.list_name_plugin() if plugin is not None)

    def implementations(self, hook: str) -> tuple[pluggy.HookImpl, ...]:
        """The implementations of `hook` in the order they were registered, wrappers included."""
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        return tuple(caller.get_hookimpls())


def build_plugins(
    backend: object | None, backend_name: str | None, *, env: Mapping[str, str], backend_label: str = ""
) -> Plugins:
    """Register the core, the plugins of group `awf.plugins`, and `backend` (None:
    commands that need no queue).

    AWF_DISABLE_PLUGINS=a,b (or `*`) keeps plugins out, AWF_TRACE_HOOKS=1 writes every hook call to stderr.
    Raises ConfigError naming the plugin that does not fit.
    """
    manager = pluggy.PluginManager(PROJECT)
    for specs in SPEC_CLASSES:
        manager.add_hookspecs(specs)
    _register(manager, CorePlugin(), CORE, CORE)
    disabled = _register_extensions(manager, env)
    if backend is not None:
        name = f"awf.mq:{backend_name}"
        _register(manager, backend, name, backend_label or f"backend {backend_name!r}")
    _verify(manager)
    if tracing(env):
        trace_calls(manager)
    return Plugins(manager, disabled=disabled, trace=tracing(env))


def load_extension(entry: Entry) -> object:
    """The module or object behind an entry of `awf.plugins`. Raises ConfigError keeping the cause."""
    try:
        loaded: object = entry.point.load()
    # A plugin's module may raise anything, even SystemExit; who it was has to be said in every case.
    except (Exception, SystemExit) as exc:
        cause = redact_url(f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__)
        raise ConfigError(
            f"plugin {entry.name!r}: {entry} failed to import: {cause}",
            hint=f"{DOCTOR}; {DISABLE_VARIABLE}={entry.name} starts without it",
        ) from exc
    return loaded


def is_disabled(name: str, env: Mapping[str, str]) -> bool:
    """Whether AWF_DISABLE_PLUGINS keeps the plugin `name` out. `*` means every third party's."""
    blocked = {part.strip() for part in env.get(DISABLE_VARIABLE, "").split(",")}
    return name in blocked or ("*" in blocked and name != BUILTIN_PLUGIN)


def _register_extensions(manager: pluggy.PluginManager, env: Mapping[str, str]) -> tuple[str, ...]:
    owners: dict[str, Entry] = {}
    disabled = []
    for entry in entries(PLUGIN_GROUP):
        if is_disabled(entry.name, env):
            disabled.append(entry.name)
            continue
        if entry.name in owners:
            raise ConfigError(
                f"plugin {entry.name!r} is claimed twice: {owners[entry.name]}; {entry}. Uninstall one.",
                hint=DOCTOR,
            )
        owners[entry.name] = entry
        _register(manager, load_extension(entry), entry.name, f"plugin {entry.name!r}: {entry}")
    return tuple(disabled)


def _register(manager: pluggy.PluginManager, plugin: object, name: str, label: str) -> None:
    for complaint in complaints(plugin):
        raise ConfigError(f"{label} {complaint}", hint=DOCTOR)
    try:
        manager.register(plugin, name=name)
    # ValueError: the same object, or an equal one, is there already.
    except (pluggy.PluginValidationError, ValueError) as exc:
        raise ConfigError(f"{label} can't be registered: {' '.join(str(exc).split())}", hint=DOCTOR) from exc


def _verify(manager: pluggy.PluginManager) -> None:
    """Each backend hook has one implementation at most, and no hook is left that nobody declared."""
    for hook in BACKEND_HOOKS:
        owners = [
            implementation.plugin_name
            for implementation in getattr(manager.hook, hook).get_hookimpls()
            if not (implementation.wrapper or implementation.hookwrapper)
        ]
        if len(owners) > 1:
            raise ConfigError(
                f"{hook} is implemented twice: by {' and by '.join(repr(owner) for owner in owners)}. "
                "One backend serves a worker; others may only wrap it (hookimpl(wrapper=True)).",
                hint=f"{DISABLE_VARIABLE} keeps a plugin out",
            )
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as exc:
        raise ConfigError(f"a plugin does not fit: {' '.join(str(exc).split())}", hint=DOCTOR) from exc
