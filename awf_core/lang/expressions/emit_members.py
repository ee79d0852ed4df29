"""Code for `base.name` and `base[key]`. Called by the emitter.

The usual paths (`inputs.x`, `env.X`, `states.a.ExitCode`) read the scope directly, without building the whole
namespace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.lang.expressions.access import fetch
from awf_core.lang.expressions.environment import part_reader, state_reader
from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.nodes import Constant, Member, Name, Node
from awf_core.lang.expressions.values import is_nil

if TYPE_CHECKING:
    from collections.abc import Callable

    from awf_core.lang.expressions.environment import Reader
    from awf_core.lang.expressions.evaluation import Code, Frame


class ChainEnd(Exception):
    """Leaves an optional chain."""


def emit_member(node: Member, emit: Callable[[Node], Code]) -> Code:
    """The code of `node`; `emit` makes the code of its parts."""
    read = _direct(node)
    if read is not None:
        return lambda frame: read(frame.scope)
    base, key, at = emit(node.base), emit(node.key), node.at

    def run(frame: Frame) -> object:
        value = base(frame)
        try:
            return fetch(value, key(frame))
        except Fault as fault:
            raise fault if fault.at is not None else Fault(fault.message, at) from None

    def run_optional(frame: Frame) -> object:
        value = base(frame)
        if is_nil(value):
            raise ChainEnd
        try:
            return fetch(value, key(frame))
        except Fault as fault:
            raise fault if fault.at is not None else Fault(fault.message, at) from None

    return run_optional if node.optional else run


def _direct(node: Member) -> Reader | None:
    part = _literal_key(node)
    if part is None:
        return None
    if isinstance(node.base, Name):
        return part_reader(node.base.name, part)
    outer = node.base
    if not isinstance(outer, Member) or not isinstance(outer.base, Name) or outer.base.name != "states":
        return None
    state = _literal_key(outer)
    if state is None or node.optional:
        return None
    return state_reader(state, part, node.at)


def _literal_key(node: Member) -> str | None:
    key = node.key.value if isinstance(node.key, Constant) else None
    return key if isinstance(key, str) else None
