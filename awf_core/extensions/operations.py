"""What an operation is: a named piece of work that a state of `type: operation` runs in this process.

A plugin adds one by `register("name", operation)` in its hook `awf_register_operations`; the object needs the one
method of `Operation`. The built-in ones are in `awf_core.integrations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from awf_core.extensions.outward import OutwardContext


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationResult:
    """What an operation returns.

    outputs   plain values by name; the state's `Response`, and its `Output` as lines `name=value`
    error     why it failed, empty on success. A failure may have outputs too (the answer it failed on)
    """

    outputs: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


class OperationFailed(Exception):
    """The operation could not be carried out; the text becomes the state's Error.

    `outputs` are those it still has, None = none at all (the state then has no `Response`).
    """

    def __init__(self, text: str, *, outputs: Mapping[str, Any] | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.outputs = outputs


@runtime_checkable
class Operation(Protocol):
    """One object serves all runs and threads: keep no state of a run in it."""

    def run(self, inputs: Mapping[str, Any], context: OutwardContext) -> OperationResult:
        """Run it. `inputs` are the state's: templates in texts filled in, other values as YAML gives them.

        Raises OperationFailed. Any other exception counts as a bug and ends the run. Must return soon after
        `context.deadline` is over. Inputs may hold secrets: put none of them into an error or a log line.
        """
