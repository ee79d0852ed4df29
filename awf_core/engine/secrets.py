"""Which inputs are secret, and how their values are masked in captured output and in a running step's output.

Called by steps, integrations and records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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


class MaskedOutput:
    """Passes a running step's output on as it comes, masked. Made by the engine when a caller watches.

    With secrets to mask it buffers unfinished lines until `flush`.
    """

    def __init__(self, secrets: tuple[str, ...], pass_on: Callable[[str, bytes], None]) -> None:
        self._secrets = [value.encode("utf-8", "surrogatepass") for value in secrets]
        self._pass_on = pass_on
        self._unfinished: dict[str, bytes] = {}

    def __call__(self, stream: str, data: bytes) -> None:
        """Pass on a piece of `stream`."""
        if not self._secrets:
            self._pass_on(stream, data)
            return
        done, newline, rest = (self._unfinished.get(stream, b"") + data).rpartition(b"\n")
        self._unfinished[stream] = rest
        self._mask_and_pass_on(stream, done + newline)

    def flush(self) -> None:
        """Pass on what is buffered: no more will come."""
        for stream, rest in self._unfinished.items():
            self._mask_and_pass_on(stream, rest)
        self._unfinished.clear()

    def _mask_and_pass_on(self, stream: str, data: bytes) -> None:
        for value in self._secrets:
            data = data.replace(value, MASK.encode())
        if data:
            self._pass_on(stream, data)
