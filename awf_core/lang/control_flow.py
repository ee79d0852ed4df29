"""The control-flow graph of a workflow: which state can run before which. For `awf validate`. Pure.

The graph may have more paths than runs can take (which branch comes first, whether a condition ever holds), never
fewer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from awf_core.lang.model import State, TerminalSpec, Workflow


class ControlFlow:
    """The graph of a workflow's states, those that run inside others included."""

    def __init__(self, workflow: Workflow) -> None:
        states = workflow.states.values()
        inner = {state.name: _inner(state) for state in states}
        bodies = (name for state in states for name in getattr(state.spec, "body", ()))
        self._in_loops = _reached(bodies, inner)
        self._next: dict[str, set[str]] = defaultdict(set)
        for state in states:
            self._next[state.name].update(_onward(state), inner[state.name])
        self._reachable = _reached([workflow.initial], self._next)
        self._initial = workflow.initial
        self._states = workflow.states
        self._inner = {name for names in inner.values() for name in names}
        for state in states:
            for name in inner[state.name]:
                # What runs inside may be followed by what else does, and by what follows the whole.
                self._next[name] |= self._next[state.name] | {state.name}

    def is_reachable(self, state: str) -> bool:
        """Whether any path leads to `state`."""
        return state in self._reachable

    def may_precede(self, earlier: str, later: str) -> bool:
        """Whether there is a path on which `earlier` has run when `later` begins for the first time."""
        if earlier == later or earlier not in _reached([self._initial], self._next, without=later):
            return False
        return later in _reached([earlier], self._next)

    def survives(self, state: str) -> bool:
        """Whether a run may complete although `state` has failed.

        What runs inside another state may fail without harm: `best_effort` and `break_when` see to that.
        """
        on_failure = self._states[state].on_failure
        if on_failure is None:
            return state in self._inner
        ends = (self._states[name].spec for name in _reached([on_failure], self._next) if name in self._states)
        return state in self._inner or any(isinstance(end, TerminalSpec) and end.status == "success" for end in ends)

    def may_be_in_loop(self, state: str) -> bool:
        """Whether `state` can run in the body of a loop."""
        return state in self._in_loops


def _reached(starts: Iterable[str], following: Mapping[str, Iterable[str]], *, without: str | None = None) -> set[str]:
    found: set[str] = set()
    waiting = list(starts)
    while waiting:
        name = waiting.pop()
        if name not in found and name != without:
            found.add(name)
            waiting.extend(following.get(name, ()))
    return found


def _onward(state: State) -> Iterator[str]:
    yield from (name for name in (state.on_success, state.on_failure) if name)
    yield from (transition.goto for transition in state.transitions)
    # Specs that run other states or go on to them say so: see StepParser.
    yield from getattr(state.spec, "leads_to", ())


def _inner(state: State) -> tuple[str, ...]:
    """The states that run inside of `state`; of a type that says no more, all it says it leads to may be."""
    spec = state.spec
    if hasattr(spec, "branches") or hasattr(spec, "body"):
        return (*getattr(spec, "branches", ()), *getattr(spec, "body", ()))
    return tuple(getattr(spec, "leads_to", ()))
