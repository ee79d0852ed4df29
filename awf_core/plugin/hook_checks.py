"""Say what is wrong with a plugin's hook implementations. Called by the manager and the doctor. Pure.

pluggy finds some of this only when the hook is called, and some of it never:
a misspelled name, a missing decorator, a coroutine function, a class in place of an instance.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from awf_core.config.did_you_mean import did_you_mean
from awf_core.hookspecs import PROJECT, SPEC_CLASSES, BackendSpecs, EventSpecs, RegistrationSpecs
from awf_core.plugin.backend_class import implemented_hooks, is_coroutine, is_marked

if TYPE_CHECKING:
    from collections.abc import Iterator


def _names(specs: type) -> tuple[str, ...]:
    return tuple(name for name in vars(specs) if name.startswith("awf_"))


PARAMETERS: dict[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(vars(specs)[name]).parameters)[1:] for specs in SPEC_CLASSES for name in _names(specs)
}
"""The parameters of every hook there is, in order."""

EVENTS = _names(EventSpecs)
REGISTRATIONS = _names(RegistrationSpecs)
BACKEND_HOOKS = _names(BackendSpecs)


def complaints(plugin: object) -> Iterator[str]:
    """What is wrong with `plugin`, to follow its name; nothing where nothing is."""
    if inspect.isclass(plugin):
        yield f"is a class; hooks need an instance (is a `()` missing behind {plugin.__name__!r}?)."
        return
    for attribute in implemented_hooks(plugin):
        yield from _hook_complaints(plugin, attribute)
    for name in PARAMETERS:
        function = inspect.getattr_static(plugin, name, None)
        if callable(function) and not is_marked(function):
            yield f"has {name}, but not as a hook (is it decorated with awf_core.hookimpl?)."


def _hook_complaints(plugin: object, attribute: str) -> Iterator[str]:
    function = getattr(plugin, attribute)
    options = _options(function)
    name = options.get("specname") or attribute
    if name not in PARAMETERS:
        if not options.get("optionalhook"):
            yield f"implements {name}, which is no hook.{did_you_mean(name, PARAMETERS)}"
        return
    if is_coroutine(function):
        yield f"implements {name} as a coroutine function; hooks are called, never awaited."
    wraps = options.get("wrapper") or options.get("hookwrapper")
    if wraps and name in (*EVENTS, *REGISTRATIONS):
        yield f"wraps {name}; events and registrations can't be wrapped, implement them."
    yield from _parameter_complaints(name, function)


def _parameter_complaints(name: str, function: Any) -> Iterator[str]:
    allowed = PARAMETERS[name]
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            yield f"implements {name} with the parameter {str(parameter)!r}; only plain parameters are filled."
        elif parameter.name not in allowed and parameter.default is parameter.empty:
            listed = ", ".join(allowed) or "none"
            yield (
                f"implements {name} with the parameter {parameter.name!r}, which the hook doesn't have."
                f"{did_you_mean(parameter.name, allowed)} (it has: {listed})"
            )


def _options(function: Any) -> dict[str, Any]:
    inner = getattr(function, "__func__", function)
    options: dict[str, Any] = getattr(inner, f"{PROJECT}_impl", {})
    return options
