"""Put the chosen backend and all plugins together, and collect what they register. Called by assemble.py.

The only file that knows pluggy's manager. Everything wrong with a plugin is found here, at start, and reported with
package, version and entry point. Connects to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pluggy

from awf_core.config.backend_names import BUILTIN_PLUGIN, PLUGIN_GROUP
from awf_core.errors import ConfigError
from awf_core.hookspecs import PROJECT, SPEC_CLASSES, hookimpl
from awf_core.plugin.checks import BACKEND_HOOKS, plugin_complaints
from awf_core.plugin.loader import DOCTOR, Entry, entries, load_extension
from awf_core.plugin.trace import trace_calls, tracing
from awf_core.result import format_result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from awf_core.contract import Delivery, Formatted
    from awf_core.message import Message
    from awf_core.mq import HookRelay
    from awf_core.result import Outcome

CORE = "awf_core"
DISABLE_VARIABLE = "AWF_DISABLE_PLUGINS"


class Plugins:
    """What is registered. `hook` is pluggy's relay, for `Mq`; `registered` has what plugins add to the core.

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
    """Register the core, the plugins of group `awf.plugins`, and `backend` (None: the
    command needs no queue).

    AWF_DISABLE_PLUGINS=a,b (or `*`) keeps plugins out, AWF_TRACE_HOOKS=1 writes every hook call to stderr.
    Raises ConfigError naming the plugin that does not fit.
    """
    manager = pluggy.PluginManager(PROJECT)
    for specs in SPEC_CLASSES:
        manager.add_hookspecs(specs)
    _register(manager, _CorePlugin(), CORE, CORE)
    disabled = _register_extensions(manager, env)
    if backend is not None:
        name = f"awf.mq:{backend_name}"
        _register(manager, backend, name, backend_label or f"backend {backend_name!r}")
    _verify(manager)
    if tracing(env):
        trace_calls(manager)
    return Plugins(manager, disabled=disabled, trace=tracing(env))


def is_disabled(name: str, env: Mapping[str, str]) -> bool:
    """Whether AWF_DISABLE_PLUGINS keeps the plugin `name` out. `*` means every third party's."""
    blocked = _disabled_names(env)
    return name in blocked or ("*" in blocked and name != BUILTIN_PLUGIN)


def is_disabled_backend(name: str, env: Mapping[str, str]) -> bool:
    """Whether AWF_DISABLE_PLUGINS names the backend. `*` is about plugins: a backend is used only if it is chosen."""
    return name in _disabled_names(env)


def _disabled_names(env: Mapping[str, str]) -> set[str]:
    return {part.strip() for part in env.get(DISABLE_VARIABLE, "").split(",")}


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
    for complaint in plugin_complaints(plugin):
        raise ConfigError(f"{label} {complaint}", hint=DOCTOR)
    try:
        manager.register(plugin, name=name)
    # ValueError: the same object, or an equal one, is there already.
    except (pluggy.PluginValidationError, ValueError) as exc:
        raise ConfigError(f"{label} can't be registered: {' '.join(str(exc).split())}", hint=DOCTOR) from exc


def _verify(manager: pluggy.PluginManager) -> None:
    """Each backend hook has one implementation at most, and each implemented hook is declared."""
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


class _CorePlugin:
    """Answers the hooks that need an answer, where no plugin does. Registered like a plugin; comes last."""

    @hookimpl(trylast=True)
    def awf_format_result(self, delivery: Delivery, message: Message | None, outcome: Outcome) -> Formatted:
        """The result as JSON."""
        return format_result(delivery, message, outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Registered:
    """One thing a plugin added. `name` is empty where the thing itself knows its name (step types, commands)."""

    value: object
    plugin: str
    name: str = ""


class Registrations:
    """What plugins add, by kind, in the order they were registered."""

    def __init__(self, implementations: Callable[[str], tuple[pluggy.HookImpl, ...]]) -> None:
        self._implementations = implementations

    def step_types(self) -> tuple[Any, ...]:
        """New `type:`s of state, as plugins gave them."""
        return tuple(each.value for each in self._collect("awf_register_step_types", "step type"))

    def commands(self) -> tuple[Any, ...]:
        """Commands for `awf`, as plugins gave them."""
        return tuple(each.value for each in self._collect("awf_register_commands", "command"))

    def operations(self) -> Mapping[str, Any]:
        """Operations of `type: operation` states, by name."""
        return self._named("awf_register_operations", "operation")

    def agent_providers(self) -> Mapping[str, Any]:
        """`provider:`s of agent states, by name."""
        return self._named("awf_register_agent_providers", "agent provider")

    def executors(self) -> Mapping[str, Any]:
        """What can run whole workflows, by name."""
        return self._named("awf_register_executors", "executor")

    def _named(self, hook: str, kind: str) -> Mapping[str, Any]:
        return {each.name: each.value for each in self._collect(hook, kind)}

    def _collect(self, hook: str, kind: str) -> tuple[_Registered, ...]:
        things: list[_Registered] = []
        for implementation in self._implementations(hook):
            register = _collector(things, implementation.plugin_name, kind)
            wanted = {"register": register} if "register" in implementation.argnames else {}
            try:
                implementation.function(**wanted)
            except ConfigError:
                raise
            # Half-registered plugins do half of what they should, unseen; so any error stops the start.
            except Exception as exc:
                raise ConfigError(
                    f"plugin {implementation.plugin_name!r} failed in {hook}: {type(exc).__name__}: {exc}",
                    hint=f"AWF_DISABLE_PLUGINS={implementation.plugin_name} starts without it",
                ) from exc
        return tuple(things)


def _collector(things: list[_Registered], plugin: str, kind: str) -> Callable[..., None]:
    def register(*given: Any) -> None:
        name = given[0] if len(given) == 2 else ""
        for other in things:
            if name and other.name == name:
                raise ConfigError(
                    f"{kind} {name!r} is registered twice: by plugin {other.plugin!r} and by plugin {plugin!r}"
                )
        things.append(_Registered(name=name, value=given[-1], plugin=plugin))

    return register
