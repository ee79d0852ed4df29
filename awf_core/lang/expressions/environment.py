"""The names that an expression can read from a scope, and their parts.

Called by the emitter, which asks for readers while it compiles; the readers run at evaluation. A reader converts only
what it returns: `inputs.mode` converts one input. Never changes the scope.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.natures import BOOL, MAP, TEXT, UNKNOWN, Nature
from awf_core.lang.expressions.signatures import Compute, Overload, takes
from awf_core.lang.expressions.text_builtins import has_prefix, has_suffix
from awf_core.lang.expressions.values import NIL_MAP
from awf_core.lang.go.numbers import parse_float, parse_int
from awf_core.lang.go.text import Int64
from awf_core.lang.scope import Scope

Reader: TypeAlias = Callable[[Scope], object]

NAMES: Mapping[str, Nature] = {
    **dict.fromkeys(("inputs", "states", "env", "workflow", "context"), MAP),
    # Not always there; naming them here keeps `let` from hiding them.
    **dict.fromkeys(("loop", "error", "$env"), UNKNOWN),
}
FUNCTIONS: Mapping[str, tuple[Overload, ...]] = {
    "has_prefix": (takes(TEXT, TEXT, gives=BOOL),),
    "has_suffix": (takes(TEXT, TEXT, gives=BOOL),),
}
COMPUTED: Mapping[str, Compute] = {"has_prefix": has_prefix, "has_suffix": has_suffix}

_STATE_DEFAULTS: Mapping[str, object] = {
    "Output": "",
    "Stderr": "",
    "ExitCode": 0,
    "Status": "",
    "Response": NIL_MAP,
    "TokensUsed": 0,
}
_WORKFLOW_FIELDS = ("ID", "Name", "CurrentState", "Duration")
_CONTEXT_FIELDS = ("WorkingDir", "User", "Hostname")
_ERROR_FIELDS = ("Message", "State", "ExitCode", "Type")
_LOOP_FIELDS = ("Item", "Index", "Index1", "First", "Last", "Length", "Parent")
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER_STARTS = frozenset("0123456789+-.iInN")


def input_value(value: object) -> object:
    """An input as expressions see it: a text that reads as a bool, an integer or a float is one."""
    if not isinstance(value, str) or not value:
        return value
    if value[0] in _NUMBER_STARTS:
        integer = parse_int(value)
        if integer is not None:
            return Int64(integer)
        number = parse_float(value)
        return value if number is None else number
    return _BOOLS.get(value, value)


def state_field(record: Mapping[str, object], field: str) -> object:
    """A field of a state's record; one that was not recorded has its zero value, an unknown one is None."""
    if field not in _STATE_DEFAULTS:
        return None
    value = record.get(field)
    return _STATE_DEFAULTS[field] if value is None else value


def name_reader(name: str) -> Reader | None:
    """Reads the whole of a name, None for a name that does not exist."""
    return _WHOLE.get(name)


def part_reader(name: str, part: str) -> Reader | None:
    """Reads `name.part`, or None where only the whole can be read."""
    if name == "inputs":
        return lambda scope: input_value(scope.inputs.get(part))
    if name == "env":
        return lambda scope: scope.env.get(part)
    if name == "workflow":
        return lambda scope: scope.workflow.get(part, "") if part in _WORKFLOW_FIELDS else None
    if name == "context":
        return lambda scope: scope.context.get(part, "") if part in _CONTEXT_FIELDS else None
    return None


def state_reader(state: str, field: str, at: int) -> Reader:
    """Reads `states.state.field`; a state that has not run is a Fault at `at`."""

    def read(scope: Scope) -> object:
        record = scope.states.get(state)
        if record is None:
            raise Fault(f"cannot fetch {field} from <nil>", at)
        return state_field(record, field)

    return read


def _states(scope: Scope) -> object:
    return {
        name: {field: state_field(record, field) for field in _STATE_DEFAULTS} for name, record in scope.states.items()
    }


def _loop(loop: Mapping[str, object] | None) -> dict[str, object] | None:
    if loop is None:
        return None
    view = {field: loop.get(field) for field in _LOOP_FIELDS}
    if view["Index1"] is None and isinstance(view["Index"], int):
        view["Index1"] = view["Index"] + 1
    parent = view["Parent"]
    view["Parent"] = _loop(parent) if isinstance(parent, dict) else None
    return view


def _error(error: Mapping[str, object] | None) -> dict[str, object] | None:
    if error is None:
        return None
    return {field: error.get(field, 0 if field == "ExitCode" else "") for field in _ERROR_FIELDS}


_WHOLE: dict[str, Reader] = {
    "inputs": lambda scope: {name: input_value(value) for name, value in scope.inputs.items()},
    "states": _states,
    "env": lambda scope: dict(scope.env),
    "workflow": lambda scope: {field: scope.workflow.get(field, "") for field in _WORKFLOW_FIELDS},
    "context": lambda scope: {field: scope.context.get(field, "") for field in _CONTEXT_FIELDS},
    "loop": lambda scope: _loop(scope.loop),
    "error": lambda scope: _error(scope.error),
}
_WHOLE["$env"] = lambda scope: {name: read(scope) for name, read in _WHOLE.items() if name != "$env"}
