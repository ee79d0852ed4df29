"""The plan of `awf run --dry-run` as text. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from awf_core.cli.output import value_text
from awf_core.units import format_duration

if TYPE_CHECKING:
    from awf_core.engine.plan.plan import Plan, PlannedState
    from awf_core.engine.plan.walk import Route

_INDENT = "    "


def plan_lines(plan: Plan) -> Iterator[str]:
    """The plan, line by line."""
    yield f"{plan.workflow.name} ({plan.workflow.source})"
    yield "Dry run: nothing is executed, nothing is written."
    yield ""
    yield "Inputs:" if plan.inputs else "Inputs: none"
    yield from (f"  {name} = {line}" for name, value in plan.inputs.items() for line in _folded(value_text(value)))
    for name, actions in plan.hooks.items():
        yield f"Hook {name}:"
        yield from (f"  {line}" for action in actions for line in _folded(action))
    yield ""
    yield "States that the run may reach:"
    for number, state in enumerate(plan.states, 1):
        yield from _state_lines(number, state)
    if plan.skipped:
        yield ""
        yield "Skipped:"
        yield from (f"  {one.name}: {one.reason}" for one in plan.skipped)
    if plan.problems:
        yield ""
        yield "Every run that reaches these places fails there:"
        yield from (f"  {line}" for problem in plan.problems for line in _folded(problem))


def _state_lines(number: int, planned: PlannedState) -> Iterator[str]:
    state, stop = planned.stop.state, planned.stop
    inside = f", inside {stop.inside}" if stop.inside else ""
    yield f"  {number}. {state.name} ({state.type}{inside})"
    for key, value in planned.does.items():
        first, *rest = _folded(value_text(value))
        later = "   (the rest is known when the run gets there)" if _is_later(key, planned) else ""
        yield f"{_INDENT} {key}: {first}{later}"
        yield from (f"{_INDENT}   {line}" for line in rest)
    for name, actions in (("pre", planned.pre), ("post", planned.post)):
        yield from (f"{_INDENT} hook {name}: {line}" for action in actions for line in _folded(action))
    if limits := ", ".join(_limits(planned)):
        yield f"{_INDENT} {limits}"
    yield from (f"{_INDENT} {_route_line(route)}" for route in stop.routes)


def _is_later(key: str, planned: PlannedState) -> bool:
    return any(name == key or name.startswith(f"{key}.") for name in planned.resolves_later)


def _limits(planned: PlannedState) -> Iterator[str]:
    state = planned.stop.state
    if state.timeout_s:
        yield f"time limit {format_duration(state.timeout_s)}"
    if state.retry is not None and state.retry.max_attempts > 1:
        yield f"up to {state.retry.max_attempts} attempts"
    if state.continue_on_error:
        yield "goes on after a failure"


def _route_line(route: Route) -> str:
    condition = f"when {route.when}" if route.when else {"transition": "otherwise"}.get(route.on, f"on {route.on}")
    return f"{condition} -> {route.goto}" + ("" if route.is_possible else f"   (skipped: {route.why})")


def _folded(text: Any) -> list[str]:
    """The lines of a text, without characters that a terminal would act on."""
    lines = str(text).rstrip("\n").split("\n")
    return [
        "".join(char if char.isprintable() or char == "\t" else repr(char)[1:-1] for char in line) for line in lines
    ]
