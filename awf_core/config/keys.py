"""A settings model as the keys of a file: names, nesting, what is allowed. Called by section, problems and show. Pure.

Works on any pydantic model, so a backend's settings get the same treatment as the core's.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from awf_core.config.yaml_source import KeyPath

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

Model = type[BaseModel]


def fields_by_key(model: Model) -> dict[str, FieldInfo]:
    """The model's fields under the names users write (an alias where there is one)."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def attribute_for(model: Model, key: str) -> str:
    """The attribute that holds `key`."""
    return next(name for name, field in model.model_fields.items() if (field.alias or name) == key)


def nested_model(annotation: object) -> Model | None:
    """The model a field holds directly (`X` or `X | None`), None where it holds anything else."""
    for part in _alternatives(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def takes_text(field: FieldInfo) -> bool:
    """Whether a variable's text is the value itself, not a piece of YAML to be read."""
    parts = [part for part in _alternatives(field.annotation) if part is not type(None)]
    return any(_is_textual(part) for part in parts)


def field_at(model: Model, path: KeyPath) -> tuple[Model, FieldInfo | None]:
    """The model that has the last key of `path`, and that key's field, None = no such key. Walks maps of models."""
    current: Any = model
    field: FieldInfo | None = None
    for depth, part in enumerate(path):
        field = fields_by_key(current).get(str(part))
        if field is None or depth == len(path) - 1:
            return current, field
        below = nested_model(field.annotation)
        if below is None:
            below = _mapped_model(field.annotation)
            if below is None or len(path) <= depth + 2:
                return current, field
            return field_at(below, path[depth + 2 :])
        current = below
    return current, field


def _mapped_model(annotation: object) -> Model | None:
    for part in _alternatives(annotation):
        if get_origin(part) in (dict, Mapping):
            return nested_model(get_args(part)[1])
    return None


def _alternatives(annotation: object) -> tuple[Any, ...]:
    if get_origin(annotation) in (Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


def _is_textual(part: object) -> bool:
    if get_origin(part) is Literal:
        return True
    if get_origin(part) is not None:
        # Annotated[str, ...] hides its type one level down; lists and maps are YAML.
        arguments = get_args(part)
        return hasattr(part, "__metadata__") and _is_textual(arguments[0])
    return isinstance(part, type) and not issubclass(part, (bool, int, float, list, dict, BaseModel))
