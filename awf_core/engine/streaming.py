"""Hand a running step's output on as it comes, without its secrets.

Made by the runner when somebody watches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.engine.secrets import MASK

if TYPE_CHECKING:
    from collections.abc import Callable


class MaskedOutput:
    """Gets raw pieces, gives masked ones.

    With secrets to mask it holds back unfinished lines until `flush`.
    """

    def __init__(self, secrets: tuple[str, ...], give: Callable[[str, bytes], None]) -> None:
        self._secrets = [value.encode("utf-8", "surrogatepass") for value in secrets]
        self._give = give
        self._held: dict[str, bytes] = {}

    def __call__(self, stream: str, data: bytes) -> None:
        """Take a piece of `stream`."""
        if not self._secrets:
            self._give(stream, data)
            return
        done, newline, rest = (self._held.get(stream, b"") + data).rpartition(b"\n")
        self._held[stream] = rest
        self._pass(stream, done + newline)

    def flush(self) -> None:
        """Give what is held back: no more will come."""
        for stream, rest in self._held.items():
            self._pass(stream, rest)
        self._held.clear()

    def _pass(self, stream: str, data: bytes) -> None:
        for value in self._secrets:
            data = data.replace(value, MASK.encode())
        if data:
            self._give(stream, data)
