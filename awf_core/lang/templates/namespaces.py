"""The names that a template can read from a Scope: the root map, its structs, and the same under dotless names.

Called by the execution state, once a rendering and only for the names a template uses. It never copies the data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from awf_core.lang.go.numbers import format_float
from awf_core.lang.scope import Scope
from awf_core.lang.templates.errors import FunctionError
from awf_core.lang.templates.json_text import to_json
from awf_core.lang.templates.timestamps import ZERO_TIME, read_timestamp
from awf_core.lang.templates.values import (
    MISSING,
    NIL_MAP,
    Field,
    Kind,
    MapView,
    Method,
    Opaque,
    Pointer,
    Struct,
    StructType,
    Value,
    kind_of,
    register_kind,
    type_name,
)


class LoopItem(Opaque):
    """The item of a loop: prints as a text or as compact JSON, and hides what is in it from everything else."""

    __slots__ = ("original", "text")
    type_name = "interpolation.serializableItem"
    hidden_fields = ("original", "serialized")

    def __init__(self, original: Value) -> None:
        self.original = original
        self.text = _item_text(original)

    def go_string(self) -> str:
        """The item as it prints."""
        return self.text

    def hidden_values(self) -> tuple[Value, ...]:
        """The item itself and its text."""
        return (self.original, self.text)


def _item_text(item: Value) -> str:
    kind = kind_of(item)
    if kind == Kind.NIL:
        return "null"
    if kind == Kind.STRING:
        return str(item)
    if kind == Kind.BOOL:
        return "true" if item else "false"
    if kind == Kind.FLOAT:
        return format_float(item, "f")
    try:
        return to_json(item)
    except FunctionError:
        return f"<unsupported:{type_name(item)}>"


LoopItem.methods = {"String": Method(call=LoopItem.go_string)}
register_kind(LoopItem, Kind.STRUCT)


def _fields(**zeros: Value) -> dict[str, Field]:
    return {name: Field(zero=zero) for name, zero in zeros.items()}


STEP_STATE: Final = StructType(
    name="interpolation.StepStateData",
    fields=_fields(
        Output="",
        Stderr="",
        ExitCode=0,
        Status="",
        Response=NIL_MAP,
        TokensUsed=0,
        TokensInput=0,
        TokensOutput=0,
        TokensEstimated=False,
        JSON=None,
        Data=NIL_MAP,
    ),
    is_comparable=False,
)
WORKFLOW: Final = StructType(
    name="interpolation.WorkflowData",
    fields={**_fields(ID="", Name="", CurrentState=""), "StartedAt": Field(zero=ZERO_TIME, wrap=read_timestamp)},
    methods={"Duration": Method(call=lambda workflow: workflow.data.get("Duration") or "0s")},
)
CONTEXT: Final = StructType(
    name="interpolation.ContextData",
    fields=_fields(WorkingDir="", User="", Hostname=""),
)
ERROR: Final = StructType(
    name="interpolation.ErrorData",
    fields=_fields(Message="", State="", ExitCode=0, Type=""),
)


def _enclosing(data: Mapping[str, Any] | None) -> Pointer:
    return Pointer(_ENCLOSING_LOOP, None if data is None else Struct(_ENCLOSING_LOOP, data))


def _index1(loop: Struct) -> int:
    return int(loop.data.get("Index") or 0) + 1


def _loop_type(item: Field) -> StructType:
    return StructType(
        name="interpolation.LoopData",
        fields={
            "Item": item,
            "Index": Field(zero=0),
            "First": Field(zero=False),
            "Last": Field(zero=False),
            "Length": Field(zero=0),
            "Parent": Field(wrap=_enclosing, wraps_nil=True),
        },
        methods={"Index1": Method(call=_index1)},
    )


LOOP: Final = _loop_type(Field(wrap=LoopItem, wraps_nil=True))
_ENCLOSING_LOOP: Final = _loop_type(Field(zero=None))
"""A loop around the innermost one. Its item is a plain value, as in the original: it prints as Go prints it."""


def _texts(data: Mapping[str, Any]) -> MapView:
    return MapView(data, "map[string]string", "")


_NO_STATE: Final = Struct(STEP_STATE, {})


def _states(scope: Scope) -> MapView:
    return MapView(scope.states, "map[string]interpolation.StepStateData", _NO_STATE, partial(Struct, STEP_STATE))


def _optional(kind: StructType, data: Mapping[str, Any] | None) -> Value:
    return MISSING if data is None else Pointer(kind, Struct(kind, data))


_ROOTS: Final[dict[str, Callable[[Scope], Value]]] = {
    "awf": lambda scope: _texts(scope.awf),
    "context": lambda scope: Struct(CONTEXT, scope.context),
    "env": lambda scope: _texts(scope.env),
    "error": lambda scope: _optional(ERROR, scope.error),
    "inputs": lambda scope: scope.inputs,
    "loop": lambda scope: _optional(LOOP, scope.loop),
    "states": _states,
    "workflow": lambda scope: Struct(WORKFLOW, scope.workflow),
}


class Root(Mapping[str, Any]):
    """The map a template starts with as `.` and `$`."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __getitem__(self, name: str) -> Value:
        value = self.find(name)
        if value is MISSING:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name in _ROOTS if self.find(name) is not MISSING)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def find(self, name: str) -> Value:
        """The part of that name, or MISSING."""
        build = _ROOTS.get(name)
        return MISSING if build is None else build(self._scope)

    def dotless(self, name: str) -> Value:
        """What the function `name` returns: the same, but snake_case keys for loop, context and error.

        Raises FunctionError outside a loop or an error hook.
        """
        if name not in _DOTLESS:
            return self.find(name)
        value: Value = self.find(name)
        if value is MISSING:
            raise FunctionError(f"undefined variable: {name}", variable=name)
        return _DOTLESS[name](value.target if type(value) is Pointer else value)


register_kind(Root, Kind.MAP)


def _snake_loop(loop: Struct) -> dict[str, Value]:
    # Read as an innermost loop: without the dot, the item of an enclosing loop prints as JSON too.
    innermost = Struct(LOOP, loop.data)
    by_name = {name.lower(): innermost.get(name) for name in LOOP.fields}
    parent = by_name["parent"].target
    return {**by_name, "index1": _index1(loop), "parent": None if parent is None else _snake_loop(parent)}


def _snake(value: Struct) -> dict[str, Value]:
    return {_snake_name(name): value.get(name) for name in value.type.fields}


def _snake_name(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


_DOTLESS: Final[dict[str, Callable[[Value], Value]]] = {"loop": _snake_loop, "context": _snake, "error": _snake}
SNAKE_NAMES: Final[Mapping[str, frozenset[str]]] = {
    "loop": frozenset(map(_snake_name, (*LOOP.fields, *LOOP.methods))),
    "context": frozenset(map(_snake_name, CONTEXT.fields)),
    "error": frozenset(map(_snake_name, ERROR.fields)),
}
"""What the parts of these have for names where the name has no dot."""
ROOT_NAMES: Final = frozenset(_ROOTS)
