"""Say whether a class fits the backend contract. Called by the loader and the doctor. Pure:
looks, calls nothing.
"""

from __future__ import annotations

import inspect

from awf_core.contract import API_VERSION
from awf_core.hookspecs import PROJECT, REQUIRED_HOOKS

_MARK = f"{PROJECT}_impl"


def complaint(loaded: object) -> str | None:
    """What is wrong with the object behind an entry point, to follow its name; None where nothing is."""
    if not isinstance(loaded, type):
        return "is not a class."
    return _version_complaint(loaded) or _hooks_complaint(loaded) or _settings_complaint(loaded)


def stated_version(cls: type) -> object:
    """The `api_version` of the class's own body, None where it has none.
    An inherited one would always look current.
    """
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
    return None
