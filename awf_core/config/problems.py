"""Say what is wrong with a value: where, key, value, what is allowed. Called by section. Pure.

Turns pydantic's findings into one line each, and never shows a value that may be a secret.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from awf_core.config.did_you_mean import did_you_mean
from awf_core.config.keys import Model, field_at, fields_by_key
from awf_core.config.origins import dotted
from awf_core.config.secrets import masked
from awf_core.config.yaml_source import KeyPath
from awf_core.errors import ConfigError, redact_url

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_MAX_SHOWN = 80
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a text",
    "list": "a list",
    "dict": "a mapping of keys",
    "model": "a mapping of keys",
}
_RENAMED = {"unknown_hold": "defer_unknown"}
_BOUNDS = {"ge": "at least {}", "gt": "more than {}", "le": "at most {}", "lt": "less than {}"}


def unknown_key(where: str, path: KeyPath, known: Sequence[str]) -> str:
    """A key that no setting has, with the one that was probably meant."""
    return f"{where}: {dotted(path)}: {_unknown(str(path[-1]), known)}"


def not_a_mapping(where: str, path: KeyPath, value: object) -> str:
    """A single value in the place of keys."""
    return f"{where}: {dotted(path)}: {shown(path, value)} is not a mapping of keys"


def refused(model: Model, prefix: KeyPath, error: ErrorDetails, where: str | None, variable: str) -> str:
    """One finding of pydantic's. `where` is None for a default;
    `variable` is the key's environment variable.
    """
    path = (*prefix, *error["loc"])
    place = f"{where}: " if where else ""
    if error["type"] == "missing":
        return f"{place}{dotted(path)}: required, and not set (set it in the file, or as {variable})"
    return f"{place}{dotted(path)}: {_sentence(model, error, path)}"


def shown(path: KeyPath, value: object) -> str:
    """`value` as a reader may see it: secrets masked, long ones cut."""
    safe = masked(str(path[-1]) if path else "", value)
    text = repr(safe) if isinstance(safe, str) else json.dumps(safe, default=str, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


def raise_all(problems: Sequence[str]) -> None:
    """Raise one ConfigError with every problem, a line each; nothing where there is none."""
    if not problems:
        return
    hint = "`awf config show` prints every value with its origin"
    if len(problems) == 1:
        raise ConfigError(problems[0], hint=hint)
    listed = "\n  ".join(problems)
    raise ConfigError(f"{len(problems)} problems in the configuration:\n  {listed}", hint=hint)


def _sentence(model: Model, error: ErrorDetails, path: KeyPath) -> str:
    kind, value = error["type"], shown(path, error["input"])
    holder, field = field_at(model, error["loc"])
    if kind == "extra_forbidden":
        return _unknown(str(path[-1]), fields_by_key(holder))
    if kind == "value_error":
        return redact_url(str(error.get("ctx", {}).get("error", error["msg"])))
    if kind == "literal_error":
        choices = [str(choice) for choice in get_args(field.annotation)] if field else []
        meant = did_you_mean(str(error["input"]), choices)
        return f"{value} is not allowed.{meant} (allowed: {', '.join(choices)})"
    allowed = _allowed(field.metadata) if field else ""
    wanted = _KINDS.get(kind.split("_")[0])
    if wanted and kind.split("_")[-1] in ("type", "parsing", "float", "size"):
        return f"{value} is not {wanted}{allowed}"
    if kind in ("greater_than_equal", "less_than_equal", "greater_than", "less_than"):
        return f"{value} is out of range{allowed}"
    return f"{value}: {redact_url(error['msg'])}{allowed}"


def _unknown(name: str, known: Iterable[str]) -> str:
    listed = sorted(known)
    meant = did_you_mean(_RENAMED.get(name, name), listed)
    return f"unknown key {name!r}.{meant} (allowed: {', '.join(listed)})"


def _allowed(metadata: Sequence[Any]) -> str:
    bounds: Mapping[str, Any] = {
        name: getattr(item, name) for item in metadata for name in _BOUNDS if getattr(item, name, None) is not None
    }
    if "ge" in bounds and "le" in bounds:
        return f" (allowed: {bounds['ge']} to {bounds['le']})"
    listed = " and ".join(text.format(bounds[name]) for name, text in _BOUNDS.items() if name in bounds)
    return f" (allowed: {listed})" if listed else ""
