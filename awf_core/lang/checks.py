"""Rules between the states of a workflow: every name that is used exists, and the workflow can end.

Called by the loader after every state was read on its own. Pure. Not checked, as in the original: whether a state can
be reached, cycles, names of parallel branches, targets of transitions inside loop bodies.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

from awf_core.config.did_you_mean import did_you_mean
from awf_core.lang.fields import Fields
from awf_core.lang.findings import Findings, Stage
from awf_core.lang.model import State
from awf_core.lang.problems import MISSING_STATE, Problem, StepProblem
from awf_core.lang.states import Links, ReadState, check_gotos


def check_rules(read: Sequence[ReadState], *, initial: str, states_fields: Fields, findings: Findings) -> None:
    """Put what breaks a rule into `findings`; the first broken rule of each state."""
    written = {name for name, _, _ in states_fields.entries()} - {"initial"}
    names = written | {one.inline.name for one in read if one.inline is not None}
    problem = None
    if initial and initial not in names:
        problem = _no_such_beginning(initial, names, states_fields)
    elif len(read) == len(written) and not any(one.is_terminal or one.inline is not None for one in read):
        problem = _no_end(states_fields)
    if problem is not None:
        findings.add(Stage.RULES, problem)
    _check_states(read, names, findings, stage=Stage.RULES if problem is None else Stage.LINKS)


def _no_such_beginning(initial: str, names: Collection[str], fields: Fields) -> Problem:
    text = f"initial state '{initial}' not found in steps"
    return Problem(message=text, line=fields.line_of("initial"), code=MISSING_STATE, hint=_close(initial, names))


def _no_end(fields: Fields) -> Problem:
    hint = "Add a state such as `done: {type: terminal}` and lead to it."
    return Problem(message="at least one terminal state is required", line=fields.line, hint=hint)


def check_plugins(plugins: Mapping[str, str], fields: Fields, findings: Findings) -> None:
    """An alias needs a target."""
    for alias, target in plugins.items():
        if not target:
            text = f'plugin alias "{alias}" maps to empty target'
            findings.add(Stage.RULES, Problem(message=text, line=fields.line_of("plugins")))


def _check_states(read: Sequence[ReadState], names: Collection[str], findings: Findings, *, stage: Stage) -> None:
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
        findings.attempt(check, stage, one.fields, prefix=f"step '{one.name}': ")


def _check_state(state: State, links: Links, names: Collection[str], *, must_lead: bool, in_loop_body: bool) -> None:
    if must_lead and not (state.on_success or state.on_failure or state.transitions):
        text = "command step must have OnSuccess/OnFailure or Transitions"
        raise StepProblem(text, hint="Add `on_success: <state>` to it.")
    check_gotos(state.transitions)
    if not in_loop_body:
        _check_known("transition", (edge.goto for edge in state.transitions), names, key="transitions")
    _check_known("on_success", (state.on_success,), names)
    _check_known("on_failure", (state.on_failure,), names)
    _check_known("loop body", links.body, names, key="body", what="step")
    if links.body:
        _check_known("on_complete", (links.on_complete,), names)


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
    return did_you_mean(name, states).strip() or None
