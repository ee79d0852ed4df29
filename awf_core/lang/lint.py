"""What is probably wrong with a workflow although it loads: for `awf validate`.

Never called before a run: real workflows that run well would fail such checks. Templates and conditions that don't
compile, and references that can't hold, are errors, because every run that reaches them fails; the rest are warnings.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TypeVar

from awf_core.lang.control_flow import ControlFlow
from awf_core.lang.expressions import Expression, ExpressionError, compile_expression
from awf_core.lang.lint_references import Written, certain_inputs, reference_problems
from awf_core.lang.lint_shell import shell_problems
from awf_core.lang.load import load_workflow
from awf_core.lang.model import TERMINAL, State, Workflow
from awf_core.lang.problems import LoadError, Problem
from awf_core.lang.step_types import StepTypes
from awf_core.lang.templates import Template

T = TypeVar("T", Template, Expression)

_ACTION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_INPUT = re.compile(r"(?<![\w.\"`])\.?inputs\.(?P<name>[A-Za-z_]\w*)")
_ANSWER = re.compile(r"\bstates\.(?P<name>[A-Za-z_]\w*)\.(?P<field>Response|JSON|Data|Tokens\w+)")
_CALL = re.compile(r"\b(?P<name>[A-Za-z_]\w*)\s*\(")
_TEXT_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`")
_PORTABLE_FUNCTIONS = frozenset({"has_prefix", "has_suffix", "and", "or", "not", "in"})
"""What may stand before a parenthesis in a `when` everywhere: two functions and the operators that are words."""
_KEYS = {
    **{(loop, "limit"): "max_iterations" for loop in ("for_each", "while")},
    ("while", "condition"): "while",
    ("parallel", "branches"): "parallel",
    (TERMINAL, "exit_code"): "exitcode",
}
"""Fields of specs, by step type, that have another name than their key."""


def lint_file(path: Path, step_types: StepTypes, *, given_inputs: Collection[str] = ()) -> list[Problem]:
    """Everything wrong with the file: what keeps it from loading, or else what `lint` finds. Sorted by line.

    `given_inputs` are those that the project or the command line gives, whatever the workflow declares. Raises
    WorkflowNotFound and SystemFailure as loading does.
    """
    try:
        return lint(load_workflow(path, step_types), given_inputs=given_inputs)
    except LoadError as error:
        return sorted((*error.problems, *error.later), key=lambda problem: (problem.line, problem.message))


def lint(workflow: Workflow, *, given_inputs: Collection[str] = ()) -> list[Problem]:
    """The findings about a loaded workflow, by line. Pure. (`workflow.warnings` are not repeated.)"""
    written, flow = list(written_templates(workflow)), ControlFlow(workflow)
    found = [
        *(Problem(message=f"{one.path}: {error}", line=one.line) for one in written if (error := one.template.error)),
        *_condition_problems(workflow),
        *_unreachable(workflow, flow),
        *reference_problems(workflow, flow, written, given_inputs=given_inputs),
        *_name_problems(workflow, flow, written, given_inputs),
        *_of_specs(workflow),
        *shell_problems(workflow, written),
    ]
    return sorted(found, key=lambda problem: (problem.line, problem.message))


def _condition_problems(workflow: Workflow) -> Iterator[Problem]:
    for state, when in _conditions(workflow):
        place = f"states.{state.name}.transitions"
        try:
            compile_expression(when.text)
        except ExpressionError as error:
            yield Problem(message=f"{place}: {error.message}", line=state.line)
        for name in sorted({match["name"] for match in _CALL.finditer(_TEXT_LITERAL.sub("''", when.text))}):
            if name not in _PORTABLE_FUNCTIONS:
                yield Problem(
                    message=f"{place}: the original tool has no function '{name}' in a `when`",
                    line=state.line,
                    severity="warning",
                )


def _conditions(workflow: Workflow) -> Iterator[tuple[State, Expression]]:
    for state in workflow.states.values():
        for transition in state.transitions:
            if transition.when is not None:
                yield state, transition.when


def _unreachable(workflow: Workflow, flow: ControlFlow) -> Iterator[Problem]:
    for state in workflow.states.values():
        if not flow.is_reachable(state.name):
            yield Problem(message=f"state '{state.name}' is never reached", line=state.line, severity="warning")


def _name_problems(
    workflow: Workflow, flow: ControlFlow, written: Sequence[Written], given: Collection[str]
) -> Iterator[Problem]:
    """Inputs that may be missed, and answers of branches that are gone."""
    certain = certain_inputs(written, flow)
    declared = {definition.name for definition in workflow.inputs}
    branches = {name for state in workflow.states.values() for name in getattr(state.spec, "branches", ())}
    for line, place, text in _texts(workflow, written):
        for name in dict.fromkeys(match["name"] for match in _INPUT.finditer(text)):
            # An input whose absence is certain to fail is an error already.
            is_error = any(name == wanted and place.startswith(f"states.{state}.") for state, wanted in certain)
            if name not in declared and (name in given or not is_error):
                why = ", so no message can give it" if name in given else ""
                yield Problem(message=f"{place}: input '{name}' is not declared{why}", line=line, severity="warning")
        for name, field in dict.fromkeys((match["name"], match["field"]) for match in _ANSWER.finditer(text)):
            if name in branches:
                message = f"{place}: states.{name}.{field} is lost after the parallel step, which keeps only the output"
                yield Problem(message=message, line=line, severity="warning")


def _of_specs(workflow: Workflow) -> Iterator[Problem]:
    for state in workflow.states.values():
        problems = getattr(state.spec, "problems", None)
        if problems is not None:
            yield from problems(state, workflow)


def _texts(workflow: Workflow, written: Sequence[Written]) -> Iterator[tuple[int, str, str]]:
    """Line, place and text of the parts of templates and conditions in which names mean something."""
    for one in written:
        yield one.line, one.path, " ".join(_ACTION.findall(one.template.text))
    for state, when in _conditions(workflow):
        yield state.line, f"states.{state.name}.transitions", when.text
    for state in workflow.states.values():
        for key, expression in _inside("", state.spec, Expression):
            yield state.line, f"states.{state.name}.{written_key(state, key)}", expression.text


def written_templates(workflow: Workflow) -> Iterator[Written]:
    """Every template with what is known of where it is rendered."""
    for name in ("start", "end", "error", "cancel"):
        for action in getattr(workflow.hooks, name):
            yield Written(key=action.kind, template=action.text, hook=f"workflow_{name}")
    for state in workflow.states.values():
        for key, template in _inside("", state.spec, Template):
            yield Written(key=written_key(state, key), template=template, state=state)
        for name in ("pre", "post"):
            for action in getattr(state, name):
                yield Written(key=action.kind, template=action.text, state=state, hook=name)


def written_key(state: State, name: str) -> str:
    """The key of the workflow file that the field `name` of a spec was read from."""
    return _KEYS.get((state.type, name), name)


def _inside(key: str, value: object, kind: type[T]) -> Iterator[tuple[str, T]]:
    """The templates or expressions in a spec, whatever its type, with the key each stands under."""
    if isinstance(value, kind):
        yield key, value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _inside(field.name, getattr(value, field.name), kind)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _inside(str(name), item, kind)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _inside(key, item, kind)
