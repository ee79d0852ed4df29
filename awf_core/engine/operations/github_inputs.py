"""Read the inputs of the `github.*` operations. Pure. Raises OperationFailed for what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awf_core.engine.operations import OperationFailed

if TYPE_CHECKING:
    from collections.abc import Mapping


def text(inputs: Mapping[str, Any], name: str) -> str:
    """A text without the space around it; empty for anything else."""
    value = inputs.get(name)
    return value.strip() if isinstance(value, str) else ""


def need(inputs: Mapping[str, Any], *names: str) -> list[str]:
    """The texts of `names`, none of which may be empty."""
    found = [text(inputs, name) for name in names]
    if all(found):
        return found
    if len(names) == 1:
        raise OperationFailed(f"{names[0]} is required")
    raise OperationFailed(f"{', '.join(names[:-1])}, and {names[-1]} are required")


def number(inputs: Mapping[str, Any]) -> str:
    """The number of an issue or pull request, given as a number or a text."""
    value = inputs.get("number")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str) and value:
        if value.startswith("-"):
            raise OperationFailed(f"number {value!r} is none")
        return value
    raise OperationFailed("number is required")


def texts(inputs: Mapping[str, Any], name: str) -> list[str]:
    """The texts of a list; what is no text in it is left out."""
    value = inputs.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
