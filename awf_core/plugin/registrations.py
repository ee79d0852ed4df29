"""Collect what plugins add: step types, operations, providers, executors, commands.
Called once each, at start.

A plugin that raises while registering, or takes a name that is taken, stops the start; the error names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from awf_core.errors import ConfigError

if TYPE_CHECKING:
    import pluggy

Implementations = Callable[[str], "tuple[pluggy.HookImpl, ...]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Registered:
    """One thing a plugin added. `name` is empty where the thing itself knows its name (step types, commands)."""

    value: object
    plugin: str
    name: str = ""


class Registrations:
    """What plugins add, by kind, in the order they were registered."""

    def __init__(self, implementations: Implementations) -> None:
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
