"""What the steps `operation` and `agent` share: registered objects, values with templates, the context of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from awf_core.errors import ConfigError
from awf_core.extensions.outward import OutwardContext
from awf_core.extensions.steps import StepContext
from awf_core.lang.scope import Scope
from awf_core.lang.templates import Template, compile_template

Registered: TypeAlias = "Mapping[str, Any] | Callable[[], Mapping[str, Any]]"
"""Registered objects by name, or the function that returns them."""


def checked(registered: Registered, *, what: str, protocol: Any, method: str) -> Mapping[str, Any]:
    """The objects in `registered`, each of which has to be a `protocol`.

    Raises ConfigError for one that lacks the protocol's method, which the error spells as `method`; `what` says there
    what the objects are.
    """
    found = registered() if callable(registered) else registered
    for name, each in found.items():
        if not isinstance(each, protocol):
            raise ConfigError(
                f"{what} {name!r} of a plugin is {type(each).__qualname__}, which has no method {method}",
                hint=f"See {protocol.__module__}.{protocol.__qualname__}.",
            )
    return found


def compile_value(value: Any) -> Any:
    """`value` with every text that has `{{` in it, at any depth, compiled to a Template. Keys stay as they are."""
    if isinstance(value, str):
        return compile_template(value) if "{{" in value else value
    if isinstance(value, dict):
        return {key: compile_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [compile_value(item) for item in value]
    return value


def render_value(value: Any, scope: Scope) -> Any:
    """A value that `compile_value` returned, its templates filled in: new lists and dicts. Raises TemplateError."""
    if isinstance(value, Template):
        return value.render(scope)
    if isinstance(value, dict):
        return {key: render_value(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [render_value(item, scope) for item in value]
    return value


def outward_context(step: str, context: StepContext, settings: Mapping[str, str]) -> OutwardContext:
    """The context of a call made by state `step`. Programs get the process's environment, not the inputs."""
    execution = context.execution
    return OutwardContext(
        step=step,
        cwd=execution.cwd,
        env=execution.env,
        process_env=execution.hook_env,
        deadline=context.deadline,
        log=context.log,
        on_output=context.on_output,
        settings=settings,
        max_output_bytes=execution.environment.max_output_bytes,
    )
