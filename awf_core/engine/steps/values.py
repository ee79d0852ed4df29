"""Values of a workflow file with templates in their texts: compiled once at load, filled in at every visit.

Called by steps that take inputs or options of any shape. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awf_core.lang.templates import Template, compile_template

if TYPE_CHECKING:
    from awf_core.lang.scope import Scope


def compile_value(value: Any) -> Any:
    """`value` with every text that has `{{` in it, at any depth, made a Template. Keys stay as they are."""
    if isinstance(value, str):
        return compile_template(value) if "{{" in value else value
    if isinstance(value, dict):
        return {key: compile_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [compile_value(item) for item in value]
    return value


def render_value(value: Any, scope: Scope) -> Any:
    """What `compile_value` made, filled in: new lists and dicts. Raises TemplateError."""
    if isinstance(value, Template):
        return value.render(scope)
    if isinstance(value, dict):
        return {key: render_value(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [render_value(item, scope) for item in value]
    return value
