"""Inputs of a run: defaults, required ones, and the workflow's own rules for their values.

Called before a run by the CLI and by the worker. Values are checked and never changed: `007` for an integer stays the
text it was. Pure but for `file_exists`, which reads the file system.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from awf_core.errors import InputError
from awf_core.lang.go.numbers import INT_MAX, float_text, parse_int
from awf_core.lang.go.quoting import quoted
from awf_core.lang.go.regexp import PatternError, matches
from awf_core.lang.go.text import printed, type_name
from awf_core.lang.model import InputDefinition, Workflow

VALIDATION_FAILED = "USER.INPUT.VALIDATION_FAILED"

_TRUE_WORDS = ("true", "yes", "1")
_FALSE_WORDS = ("false", "no", "0")
_MAX_SHOWN = 200
"""Characters of a value in a reason; reasons end up in results and logs."""


def apply_defaults(workflow: Workflow, given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with the default of every declared input it lacks."""
    defaults = {definition.name: definition.default for definition in workflow.inputs if definition.has_default}
    return {**defaults, **given}


def missing_required(workflow: Workflow, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Required inputs that were not given. A default does not stand in for one."""
    required = (definition.name for definition in workflow.inputs if definition.required)
    return tuple(name for name in required if given.get(name) is None)


def check_required(workflow: Workflow, given: Mapping[str, Any]) -> None:
    """Raises InputError naming every required input that was not given."""
    refuse([f"inputs.{name}: required but not provided" for name in missing_required(workflow, given)])


def check_inputs(workflow: Workflow, values: Mapping[str, Any], *, cwd: Path | None = None) -> None:
    """Raises InputError with every rule of the workflow's definitions that `values` break, defaults included.

    `cwd` is where relative paths of `file_exists` start, by default the process's own.
    """
    refuse([reason for definition in workflow.inputs for reason in _reasons(definition, values, cwd)])


def refuse(reasons: Sequence[str]) -> None:
    """Raises InputError in the original's words, unless `reasons` is empty."""
    if not reasons:
        return
    text = reasons[0] if len(reasons) == 1 else f"{len(reasons)} errors:\n  - " + "\n  - ".join(reasons)
    raise InputError(f"input validation failed: {text}", code=VALIDATION_FAILED)


def _reasons(definition: InputDefinition, values: Mapping[str, Any], cwd: Path | None) -> Iterator[str]:
    name, value = definition.name, values.get(definition.name)
    if definition.required and value is None:
        yield f"inputs.{name}: required but not provided"
    elif definition.required and value == "":
        yield f"inputs.{name}: required but empty"
    if value is None:
        return
    converted, refusal = _convert(value, definition.type)
    if not definition.type:
        found: Iterable[str] = _untyped_reasons(definition, value, cwd)
    else:
        found = (refusal,) if refusal else _rule_reasons(definition, converted, cwd)
    yield from (f"inputs.{name}: {reason}" for reason in found)


def _convert(value: Any, wanted: str) -> tuple[Any, str]:
    """The value as the declared type, and why it can't be (empty when it can)."""
    match wanted:
        case "":
            return value, ""  # its rules decide, see `_untyped_reasons`
        case "string":
            return _as_text(value), ""
        case "integer":
            return _as_integer(value)
        case "boolean":
            return _as_flag(value)
    return None, f"unknown type {quoted(wanted)}"


def _as_text(value: Any) -> str:
    if isinstance(value, float) and "e" in float_text(value):
        return format(value, "f").rstrip("0").rstrip(".")
    return printed(value)


def _as_integer(value: Any) -> tuple[int | None, str]:
    if isinstance(value, str):
        number = parse_int(value)
        return number, "" if number is not None else f"cannot convert {_shown(value)} to integer"
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= INT_MAX:
        return int(value), ""
    return None, f"cannot convert {type_name(value)} to integer"


def _as_flag(value: Any) -> tuple[bool | None, str]:
    if isinstance(value, bool):
        return value, ""
    if not isinstance(value, str):
        return None, f"cannot convert {type_name(value)} to boolean"
    word = value.lower()
    if word in _TRUE_WORDS or word in _FALSE_WORDS:
        return word in _TRUE_WORDS, ""
    return None, f"cannot convert {_shown(value)} to boolean"


def _untyped_reasons(definition: InputDefinition, value: Any, cwd: Path | None) -> Iterable[str]:
    """What is wrong with a value of an input without a type.

    Any value passes where there are no rules. Where there are, only text, numbers and booleans pass, and every rule is
    applied to them as they print: a list or a map would reach the shell as text that no rule has seen.
    """
    has_text_rules = bool(definition.pattern or definition.enum or definition.file_exists or definition.file_extension)
    has_range = definition.minimum is not None or definition.maximum is not None
    if not has_text_rules and not has_range:
        return []
    if not isinstance(value, (str, int, float)):
        return [f"a {type_name(value)} is not allowed: the rules of this input are for text, numbers and booleans"]
    reasons = [*_rule_reasons(definition, _as_text(value), cwd)] if has_text_rules else []
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        reasons += _range_reasons(definition, value)  # as in the original, text without a type has no range
    return reasons


def _rule_reasons(definition: InputDefinition, value: Any, cwd: Path | None) -> Iterable[str]:
    if isinstance(value, str):
        checks = (
            _pattern_reason(definition.pattern, value),
            _enum_reason(definition.enum, value),
            _file_reason(value, cwd) if definition.file_exists else "",
            _extension_reason(definition.file_extension, value),
        )
        return [reason for reason in checks if reason]
    if isinstance(value, int) and not isinstance(value, bool):
        return _range_reasons(definition, value)
    return []


def _pattern_reason(pattern: str | None, value: str) -> str:
    if not pattern:
        return ""
    try:
        if matches(pattern, value):
            return ""
    except PatternError as error:
        return f"invalid regex pattern {quoted(pattern)}: {error}"
    return f"value {_shown(value)} does not match pattern {quoted(pattern)}"


def _enum_reason(allowed: tuple[str, ...], value: str) -> str:
    if not allowed or value in allowed:
        return ""
    return f"value {_shown(value)} not in allowed values {printed(allowed)}"


def _range_reasons(definition: InputDefinition, value: float) -> list[str]:
    if definition.minimum is not None and value < definition.minimum:
        return [f"value {printed(value)} is below minimum {definition.minimum}"]
    if definition.maximum is not None and value > definition.maximum:
        return [f"value {printed(value)} exceeds maximum {definition.maximum}"]
    return []


def _file_reason(value: str, cwd: Path | None) -> str:
    if not value:
        return "file path cannot be empty"
    try:
        Path(cwd or "", value).stat()
    except FileNotFoundError:
        return f"file does not exist: {_cut(value)}"
    except OSError as error:
        return f"cannot access file: {_cut(value)}: {error.strerror or error}"
    except ValueError:
        # What Python says of a NUL differs from version to version.
        return f"cannot access file: {_cut(value)}: embedded null byte"
    return ""


def _extension_reason(allowed: tuple[str, ...], value: str) -> str:
    if not allowed or not value:
        return ""
    name = value.rpartition(os.sep)[2]
    extension = name[name.rfind(".") :] if "." in name else ""
    if not extension:
        return f"file {_shown(value)} has no extension, allowed: {printed(allowed)}"
    if extension in allowed:
        return ""
    return f"file extension {_shown(extension)} not in allowed extensions {printed(allowed)}"


def _shown(value: str) -> str:
    return quoted(_cut(value))


def _cut(value: str) -> str:
    return value if len(value) <= _MAX_SHOWN else value[:_MAX_SHOWN] + "…"
