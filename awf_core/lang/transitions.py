"""Conditional transitions of a state, their conditions compiled.

Called by the loader. A condition is put to the load-time check, which knows nothing of the values it will meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.lang.expressions import check_when, compile_late
from awf_core.lang.model import Transition
from awf_core.lang.problems import StepProblem

if TYPE_CHECKING:
    from awf_core.lang.expressions import Expression
    from awf_core.lang.fields import Fields


def read_transitions(fields: Fields) -> tuple[Transition, ...]:
    """The transitions in order. Raises StepProblem for a `when` that does not compile.

    A missing `goto` comes out as an empty one, for `check_gotos`.
    """
    entries = fields.each("transitions", "repository.yamlTransition")
    return tuple(_transition(index, entry) for index, entry in enumerate(entries))


def check_gotos(transitions: tuple[Transition, ...]) -> None:
    """Raises StepProblem for the first transition that leads nowhere."""
    for index, transition in enumerate(transitions):
        if not transition.goto:
            raise StepProblem(f"transition {index}: transition goto is required", key="transitions")


def _transition(index: int, entry: Fields) -> Transition:
    when, goto = entry.text("when"), entry.text("goto")
    return Transition(when=_condition(index, when) if when else None, goto=goto)


def _condition(index: int, when: str) -> Expression:
    refusal = check_when(when)
    if refusal is not None:
        raise StepProblem(f"transition {index} expression '{when}': {refusal}", key="transitions")
    # What passes the check and still does not compile fails where it is evaluated, as in the original.
    return compile_late(when)
