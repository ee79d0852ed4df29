"""The step types a workflow may use: a registry of parsers, one a `type:`, and the parser of the type that ends a run.

Filled once at start by the engine and by plugins, then asked by the loader. It never runs anything: what a parser
returns is kept in `State.spec` untouched.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol, runtime_checkable

from awf_core.config.did_you_mean import did_you_mean
from awf_core.errors import ConfigError
from awf_core.lang.fields import StateFields
from awf_core.lang.go.quoting import quoted
from awf_core.lang.model import TERMINAL, TerminalSpec
from awf_core.lang.problems import StepProblem
from awf_core.lang.templates import compile_template

LANGUAGE_TYPES = frozenset(
    {"step", "command", "parallel", "terminal", "for_each", "while", "operation", "call_workflow", "agent"}
)
"""Every `type:` the workflow language knows, whether this installation can run it or not."""

COMMAND_TYPES = frozenset({"step", "command"})
"""The spellings of the command step, which has to lead somewhere."""


@runtime_checkable
class StepParser(Protocol):
    """Reads what belongs to one step type alone.

    `name` is what `State.type` will hold, `aliases` are other spellings; both are compared in lower case.
    A spec may have `leads_to`, the names of states it runs or goes on to, so that `awf validate` knows them, and
    `problems(state, workflow)`, what `awf validate` is to say about it beyond its templates.
    """

    name: str
    aliases: tuple[str, ...] = ()

    def parse(self, fields: StateFields) -> object:
        """The spec of this state. Pure. Raises StepProblem, whose text is put behind `step '<name>': `."""


class StepTypes:
    """Parsers by type name. Not locked: register everything before the first workflow is loaded.

    `terminal` is always there, because a workflow without one can't load.
    """

    def __init__(self, parsers: Iterable[StepParser] = ()) -> None:
        self._parsers: dict[str, StepParser] = {}
        self.register(TerminalParser())
        for parser in parsers:
            self.register(parser)

    def register(self, parser: StepParser) -> None:
        """Add a parser under its name and aliases. Raises ConfigError when one of them is taken; adds none then."""
        spellings = [spelling.lower() for spelling in (parser.name, *parser.aliases)]
        for spelling in spellings:
            if (holder := self._parsers.get(spelling)) is not None:
                raise ConfigError(
                    f"step type '{spelling}' is registered twice: by {_origin(holder)} and by {_origin(parser)}",
                    hint="Uninstall one of the two, or rename its step type.",
                )
        for spelling in spellings:
            self._parsers[spelling] = parser

    def get(self, written: str) -> StepParser | None:
        """The parser for `type: <written>`, None when no such type is registered. Case does not matter."""
        return self._parsers.get(written.lower())

    def names(self) -> tuple[str, ...]:
        """Every registered spelling, sorted."""
        return tuple(sorted(self._parsers))

    def refusal(self, written: str) -> tuple[str, str]:
        """Why `type: <written>` can't be loaded, and what to do about it. For types `get` has no parser for."""
        if written.lower() in LANGUAGE_TYPES:
            return f"type '{written}' is not supported by this version", f"Supported here: {', '.join(self.names())}."
        here = (
            f"Supported here: {', '.join(self.names())}; `executor: awf-cli` runs types of the original tool's plugins."
        )
        advice = did_you_mean(written, (*self._parsers, *LANGUAGE_TYPES)).strip() or here
        return f"unknown step type: {written}", advice


def _origin(parser: StepParser) -> str:
    kind = type(parser)
    return f"{kind.__module__}.{kind.__qualname__}"


class TerminalParser(StepParser):
    """Reads `status`, `message` and `exitcode`."""

    name = TERMINAL

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
