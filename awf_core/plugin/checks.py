"""Say what is wrong with a backend class or with a plugin's hooks. Called by loader, manager and doctor. Pure.

pluggy finds some of this only when the hook is called, and some of it never: a misspelled name, a missing decorator, a
coroutine function, a class in place of an instance.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from awf_core.config.backend_names import twin
from awf_core.config.did_you_mean import did_you_mean
from awf_core.contract import API_VERSION, Capabilities
from awf_core.hookspecs import PROJECT, REQUIRED_HOOKS, SPEC_CLASSES, BackendSpecs, EventSpecs, RegistrationSpecs

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARK = f"{PROJECT}_impl"


def _names(specs: type) -> tuple[str, ...]:
    return tuple(name for name in vars(specs) if name.startswith("awf_"))


PARAMETERS: dict[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(vars(specs)[name]).parameters)[1:] for specs in SPEC_CLASSES for name in _names(specs)
}
"""The parameters of every hook there is, in order."""

EVENTS = _names(EventSpecs)
REGISTRATIONS = _names(RegistrationSpecs)
BACKEND_HOOKS = _names(BackendSpecs)


def backend_complaint(loaded: object) -> str | None:
    """What is wrong with the object behind an entry point of backends, to follow its name; None where nothing is."""
    if not isinstance(loaded, type):
        return "is not a class."
    return _version_complaint(loaded) or _hooks_complaint(loaded) or _settings_complaint(loaded)


def stated_version(cls: type) -> object:
    """The `api_version` of the class's own body, None where it has none. An inherited one would always seem current."""
    return vars(cls).get("api_version")


def missing_hooks(cls: type) -> tuple[str, ...]:
    """The required hooks that the class does not implement, in the contract's order."""
    return tuple(name for name in REQUIRED_HOOKS if not is_marked(getattr(cls, name, None)))


def implemented_hooks(owner: object) -> tuple[str, ...]:
    """Every hook marked on a class or module, by name."""
    static = (name for name in dir(owner) if not name.startswith("__"))
    return tuple(name for name in static if is_marked(inspect.getattr_static(owner, name, None)))


def is_marked(function: object) -> bool:
    """Whether `function` was decorated with our `hookimpl`."""
    inner = getattr(function, "__func__", function)
    return isinstance(getattr(inner, _MARK, None), dict)


def is_coroutine(function: object) -> bool:
    """Whether calling `function` would only make something to be awaited."""
    inner = getattr(function, "__func__", function)
    return inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner)


def capabilities_complaint(backend: object) -> str | None:
    """What is wrong with the capabilities of a constructed backend; None where nothing is."""
    if isinstance(getattr(backend, "capabilities", None), Capabilities):
        return None
    return "sets no `capabilities` (expected: a contract.Capabilities)"


def _version_complaint(cls: type) -> str | None:
    version = stated_version(cls)
    if version is None:
        return f"states no api_version in its own class body (expected: `api_version = {API_VERSION}`)."
    if isinstance(version, bool) or not isinstance(version, int):
        return f"states api_version {version!r}, which is not a whole number."
    if version == API_VERSION:
        return None
    older = "the backend's package" if version < API_VERSION else "awf-core"
    return f"speaks MQ API {version}, this awf-core speaks {API_VERSION}. Upgrade {older}."


def _hooks_complaint(cls: type) -> str | None:
    waiting = [name for name in implemented_hooks(cls) if is_coroutine(getattr(cls, name))]
    if waiting:
        return f"implements {', '.join(waiting)} as a coroutine function; hooks are called, never awaited."
    missing = missing_hooks(cls)
    if not missing:
        return None
    unmarked = any(hasattr(cls, name) for name in missing)
    question = " (is it decorated with awf_core.hookimpl?)" if unmarked else ""
    return f"does not implement {', '.join(missing)}{question}."


def _settings_complaint(cls: type) -> str | None:
    from pydantic import BaseModel

    settings = getattr(cls, "Settings", None)
    if settings is None:
        return "has no Settings (expected: a pydantic model, `Settings = MySettings`)."
    if not (isinstance(settings, type) and issubclass(settings, BaseModel)):
        return f"has Settings {settings!r}, which is not a pydantic model class."
    if settings.model_config.get("extra") != "forbid":
        return 'has Settings that accept unknown keys (expected: `model_config = ConfigDict(extra="forbid")`).'
    return None


ADDRESSES = ("url", "queue_url", "path")
"""Settings that the core takes for the address of a broker: environment variables, and the conformance kit."""


def address_notice(cls: Any, name: str) -> str | None:
    """A word about a checked backend class without any of ADDRESSES in its settings; None where there is one."""
    keys = {info.alias or field for field, info in cls.Settings.model_fields.items()}
    if keys & set(ADDRESSES):
        return None
    return (
        f"has Settings without an address called {' or '.join(ADDRESSES)} (settings: {', '.join(sorted(keys))}). "
        f"{twin('mq', name, 'url')} in the environment can't select this backend, and the conformance kit skips the "
        "cases of a server."
    )


def plugin_complaints(plugin: object) -> Iterator[str]:
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
    options: dict[str, Any] = getattr(inner, _MARK, {})
    return options
