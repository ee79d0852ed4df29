"""What is wrong with the options of a Mistral Vibe agent, if anything. Called by `vibe.py`. Pure."""

from __future__ import annotations

import math
import posixpath
from decimal import Decimal
from typing import TYPE_CHECKING

from awf_core.engine.agents.options import is_set, text_option

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORMATS = ("text", "json", "streaming")
_TYPES = ((bool, "bool"), (str, "string"), (int, "int"), (float, "float"), (list, "list"), (dict, "map"))


def vibe_refusal(options: Mapping[str, object]) -> str | None:
    """Why these options can't be used, None when they can."""
    checks = (_profile(options), _format(options), *_counts(options), _price(options), _paths(options), _trust(options))
    return next((f"mistral_vibe option {fault}" for fault in checks if fault), None)


def clean_path(path: str) -> str:
    """`path` without what it does not need."""
    return posixpath.normpath(path)


def number_text(number: object) -> str:
    """A number as an argument: `5`, `0.5`."""
    return f"{Decimal(repr(number)):f}" if isinstance(number, float) else str(number)


def _profile(options: Mapping[str, object]) -> str:
    profile = text_option(options, "agent_profile")
    if not is_set(options, "dangerously_skip_permissions") or profile in (None, "auto-approve"):
        return ""
    return f"agent_profile conflicts with dangerously_skip_permissions: expected auto-approve, got {profile}"


def _format(options: Mapping[str, object]) -> str:
    wanted = text_option(options, "output_format")
    if not wanted or wanted in _FORMATS:
        return ""
    return f"output_format invalid: expected one of {', '.join(_FORMATS)}, got {wanted}"


def _counts(options: Mapping[str, object]) -> list[str]:
    faults = []
    for name in ("max_turns", "max_tokens"):
        value = options.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int):
            faults.append(f"{name} invalid: expected positive integer, got {_type(value)}")
        elif value <= 0:
            faults.append(f"{name} invalid: expected positive integer, got {value}")
    return faults


def _price(options: Mapping[str, object]) -> str:
    value = options.get("max_price", 0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return f"max_price invalid: expected non-negative number, got {_type(value)}"
    return f"max_price invalid: expected non-negative number, got {number_text(value)}" if value < 0 else ""


def _paths(options: Mapping[str, object]) -> str:
    workdir = text_option(options, "workdir")
    if workdir is not None and (fault := _path_fault(workdir)):
        return f"workdir invalid: {fault}"
    for name in ("enabled_tools", "add_dirs"):
        if name in options and (fault := _list_fault(name, options[name])):
            return fault
    return ""


def _list_fault(name: str, value: object) -> str:
    if not isinstance(value, list):
        return f"{name} invalid: expected list, got {_type(value)}"
    for index, item in enumerate(value):
        if not isinstance(item, str):
            return f"{name} invalid: expected string at index {index}, got {_type(item)}"
        if name == "add_dirs" and (fault := _path_fault(item)):
            return f"{name} invalid at index {index}: {fault}"
    return ""


def _path_fault(path: str) -> str:
    if not path.strip():
        return "path cannot be empty"
    return "path must not contain traversal segments" if ".." in path.split("/") else ""


def _trust(options: Mapping[str, object]) -> str:
    value = options.get("trust", False)
    return "" if isinstance(value, bool) else f"trust invalid: expected bool, got {_type(value)}"


def _type(value: object) -> str:
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "nil")
