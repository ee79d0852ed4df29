"""Rules between the states of a workflow: every name that is used exists, and the workflow can end.

Called by the loader after every state was read on its own. Pure. Not checked, as in the original: whether a state can
be reached, cycles, names of parallel branches, targets of transitions inside loop bodies.
"""

from __future__ import annotations

import difflib
from functools import partial
from typing import TYPE_CHECKING

from awf_core.workflow.findings import Findings, Stage
from awf_core.workflow.problems import MISSING_STATE, Problem, StepProblem
from awf_core.workflow.transitions import check_gotos

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from awf_core.workflow.fields import Fields
    from awf_core.workflow.model import State
    from awf_core.workflow.states import Links, ReadState


def check_rules(read: Sequence[ReadState], *, initial: str, states_fields: Fields, findings: Findings) -> None:
    """Put what breaks a rule into `findings`; the first broken rule of each state."""
    names = {one.name for one in read} | {one.inline.name for one in read if one.inline is not None}
    if initial not in names:
        text = f"initial state '{initial}' not found in steps"
        line = states_fields.line_of("initial")
        problem = Problem(message=text, line=line, code=MISSING_STATE, hint=_close(initial, names))
        findings.add(Stage.RULES, problem)
    elif not any(one.is_terminal or one.inline is not None for one in read):
        hint = "Add a state such as `done: {type: terminal}` and lead to it."
        text = "at least one terminal state is required"
        findings.add(Stage.RULES, Problem(message=text, line=states_fields.line, hint=hint))
    else:
        _check_states(read, names, findings)


def check_plugins(plugins: Mapping[str, str], fields: Fields, findings: Findings) -> None:
    """An alias needs a target."""
    for alias, target in plugins.items():
        if not target:
            text = f'plugin alias "{alias}" maps to empty target'
            findings.add(Stage.RULES, Problem(message=text, line=fields.line_of("plugins")))


def _check_states(read: Sequence[ReadState], names: Collection[str], findings: Findings) -> None:
    branches = {name for one in read for name in one.links.branches}
    bodies = {name for one in read for name in one.links.body}
    for one in read:
        if one.state is None:
            continue
        check = partial(
            _check_state,
            one.state,
            one.links,
            names,
            must_lead=one.is_command and one.name not in branches,
            in_loop_body=one.name in bodies,
        )
        findings.attempt(check, Stage.RULES, one.fields, prefix=f"step '{one.name}': ")


def _check_state(state: State, links: Links, names: Collection[str], *, must_lead: bool, in_loop_body: bool) -> None:
    if must_lead:
        _check_leads_somewhere(state)
    check_gotos(state.transitions)
    if not in_loop_body:
        _check_known("transition", (edge.goto for edge in state.transitions), names, key="transitions")
    _check_known("on_success", (state.on_success,), names)
    _check_known("on_failure", (state.on_failure,), names)
    _check_known("loop body", links.body, names, key="body", what="step")
    if links.body:
        _check_known("on_complete", (links.on_complete,), names)


def _check_leads_somewhere(state: State) -> None:
    if not (state.on_success or state.on_failure or state.transitions):
        raise StepProblem(
            "command step must have OnSuccess/OnFailure or Transitions",
            hint="Add `on_success: <state>` to it.",
        )


def _check_known(
    label: str, names: Iterable[str | None], states: Collection[str], *, key: str = "", what: str = "state"
) -> None:
    for name in names:
        if name and name not in states:
            raise StepProblem(
                f"{label} references unknown {what} '{name}'",
                key=key or label,
                code=MISSING_STATE,
                hint=_close(name, states),
            )


def _close(name: str, states: Collection[str]) -> str | None:
    close = difflib.get_close_matches(name, states, n=1)
    return f"Did you mean '{close[0]}'?" if close else None
