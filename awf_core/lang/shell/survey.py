"""Which places of shell text are no place for a value from a message, whatever it holds. Pure. For `awf validate`."""

from __future__ import annotations

from collections.abc import Sequence

from awf_core.lang.shell.cursor import Value
from awf_core.lang.shell.judge import fault
from awf_core.lang.shell.tokenizer import Reader

_HOSTILE = "'\"\\`$(x);\n"


def may_be_syntax(text: str, values: Sequence[Value]) -> list[tuple[Value, str]]:
    """Those of `values` that a shell may read as syntax if they hold the wrong characters, each with its place.

    `text` has something harmless in their places.
    """
    survey = _Survey(text, {value.start: value for value in values if value.end > value.start})
    survey.read()
    return survey.found


class _Survey(Reader):
    """Reads to the end, whatever stands there."""

    def __init__(self, text: str, values: dict[int, Value]) -> None:
        super().__init__(text, values)
        self.found: list[tuple[Value, str]] = []

    def fault_of(self, value: Value, text: str) -> tuple[str, str] | None:  # noqa: ARG002 - any text may stand there
        """Nothing: what would be wrong goes into `found`."""
        hostile = "'" + _HOSTILE.replace("'", "'\\''") + "'" if value.is_escaped else _HOSTILE
        found = fault(hostile, self.place(value), is_escaped=value.is_escaped)
        if found is not None:
            self.found.append((value, found[1]))
        return None
