"""The terminal step type: where a run ends.

Registered by `StepTypes` itself, since every workflow needs one. It decides nothing at run time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from awf_core.lang.go.quoting import quoted
from awf_core.lang.model import TERMINAL, TerminalSpec
from awf_core.lang.problems import StepProblem
from awf_core.lang.templates import compile_template

if TYPE_CHECKING:
    from awf_core.lang.fields import StateFields


class TerminalParser:
    """Reads `status`, `message` and `exitcode`."""

    name = TERMINAL
    aliases: tuple[str, ...] = ()

    def parse(self, fields: StateFields) -> TerminalSpec:
        """The spec. Raises StepProblem for a status that is neither `success` nor `failure`."""
        message = fields.text("message")
        return TerminalSpec(
            status=_status(fields.text("status")),
            message=compile_template(message) if message else None,
            exit_code=fields.integer("exitcode"),
        )


def inline_failure(message: str, exit_code: int) -> TerminalSpec:
    """The spec of the state that an inline `on_failure: {message, status}` becomes."""
    return TerminalSpec(status="failure", message=compile_template(message), exit_code=exit_code)


def _status(written: str) -> Literal["success", "failure"]:
    match written:
        case "" | "success":
            return "success"
        case "failure":
            return "failure"
    raise StepProblem(f"invalid terminal status {quoted(written)}: must be 'success' or 'failure'", key="status")
