"""Which inputs are secret, and how their values are kept out of captured output.

Called by command steps, and by what keeps records. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MASK = "***"
_PREFIXES = ("SECRET_", "API_KEY", "PASSWORD", "TOKEN")


def secret_values(inputs: Mapping[str, Any]) -> tuple[str, ...]:
    """The values to mask, longest first, so that a secret that holds another is masked as a whole."""
    values = {
        value
        for name, value in inputs.items()
        if isinstance(value, str) and value and name.upper().startswith(_PREFIXES)
    }
    return tuple(sorted(values, key=lambda value: (-len(value), value)))


def masked_inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """`inputs` with the values of secret ones replaced, whatever their type."""
    return {name: MASK if name.upper().startswith(_PREFIXES) else value for name, value in inputs.items()}


def mask(text: str, values: tuple[str, ...]) -> str:
    """`text` with every one of `values` in it replaced by `***`."""
    for value in values:
        text = text.replace(value, MASK)
    return text
