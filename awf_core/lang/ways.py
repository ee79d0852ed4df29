"""The ways through a workflow: what can run before what. For `awf validate`. Pure.

There may be more ways here than runs can take (which branch comes first, whether a condition ever holds), never fewer.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from awf_core.lang.model import State, Workflow


class Ways:
    """The graph of a workflow's states, those that run inside others included."""

    def __init__(self, workflow: Workflow) -> None:
        self._initial = workflow.initial
        self._next: dict[str, set[str]] = defaultdict(set)
        self._loops = frozenset(_in_loops(workflow))
        for state in workflow.states.values():
            self._next[state.name].update(_onward(state), _inner(state))
        for state in workflow.states.values():
            for name in _inner(state):
                # What runs inside may be followed by what else does, and by what follows the whole.
                self._next[name] |= self._next[state.name] | {state.name}

    def is_reachable(self, state: str) -> bool:
        """Whether any way leads to `state`."""
        return state in self._reached(self._initial, without=None)

    def may_precede(self, earlier: str, later: str) -> bool:
        """Whether there is a way on which `earlier` has run when `later` begins for the first time."""
        if earlier == later or earlier not in self._reached(self._initial, without=later):
            return False
        return later in self._reached(earlier, without=None)

    def may_be_in_loop(self, state: str) -> bool:
        """Whether `state` can run in the body of a loop."""
        return state in self._loops

    def _reached(self, start: str, *, without: str | None) -> set[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            name = waiting.pop()
            if name not in found and name != without:
                found.add(name)
                waiting.extend(self._next[name])
        return found


def _onward(state: State) -> Iterator[str]:
    yield from (name for name in (state.on_success, state.on_failure) if name)
    yield from (transition.goto for transition in state.transitions)
    yield from getattr(state.spec, "leads_to", ())


def _inner(state: State) -> tuple[str, ...]:
    """The states that run inside of `state`; of a type nobody knows here, all it says it leads to may be."""
    spec = state.spec
    if hasattr(spec, "branches") or hasattr(spec, "body"):
        return (*getattr(spec, "branches", ()), *getattr(spec, "body", ()))
    return tuple(getattr(spec, "leads_to", ()))


def _in_loops(workflow: Workflow) -> set[str]:
    found: set[str] = set()
    waiting = [name for state in workflow.states.values() for name in getattr(state.spec, "body", ())]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            state = workflow.states.get(name)
            waiting.extend(_inner(state) if state is not None else ())
    return found
