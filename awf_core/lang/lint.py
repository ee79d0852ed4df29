"""What looks wrong with a workflow although it loads: for `awf validate`.

Never called before a run: real workflows that run well would fail such checks. Templates and conditions that don't
compile, and references that can't hold, are errors, because every run that reaches them fails; the rest are warnings.
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, TypeVar

from awf_core.lang.expressions import Expression, ExpressionError, compile_expression
from awf_core.lang.lint_references import Written, certain_inputs, reference_problems
from awf_core.lang.load import load_workflow
from awf_core.lang.model import TerminalSpec
from awf_core.lang.problems import LoadError, Problem
from awf_core.lang.templates import Template

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from awf_core.lang.model import HookAction, State, Workflow
    from awf_core.lang.step_types import StepTypes

T = TypeVar("T", Template, Expression)

_ACTION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_INPUT = re.compile(r"(?<![\w.\"`])\.?inputs\.(?P<name>[A-Za-z_]\w*)")
_ANSWER = re.compile(r"\bstates\.(?P<name>[A-Za-z_]\w*)\.(?P<field>Response|JSON|Data|Tokens\w+)")
_CALL = re.compile(r"\b(?P<name>[A-Za-z_]\w*)\s*\(")
_TEXT_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`")
_PORTABLE_FUNCTIONS = frozenset({"has_prefix", "has_suffix", "and", "or", "not", "in"})
"""What may stand before a parenthesis in a `when` everywhere: two functions and the operators that are words."""


def lint_file(path: Path, step_types: StepTypes, *, known_inputs: Collection[str] = ()) -> list[Problem]:
    """Everything wrong with the file: what keeps it from loading, or else what `lint` finds. Sorted by line.

    `known_inputs` are given by the project, whatever the workflow declares. Raises WorkflowNotFound and
    SystemFailure as loading does.
    """
    try:
        return lint(load_workflow(path, step_types), known_inputs=known_inputs)
    except LoadError as error:
        return sorted((*error.problems, *error.later), key=lambda problem: (problem.line, problem.message))


def lint(workflow: Workflow, *, known_inputs: Collection[str] = ()) -> list[Problem]:
    """The findings about a loaded workflow, by line. Pure. (`workflow.warnings` are not repeated.)"""
    written = list(_written(workflow))
    found = [
        *_template_errors(workflow),
        *_condition_problems(workflow),
        *_unreachable(workflow),
        *reference_problems(workflow, written, known_inputs=known_inputs),
        *_undeclared_inputs(workflow, known_inputs, certain_inputs(written)),
        *_lost_answers(workflow),
        *_of_specs(workflow),
    ]
    return sorted(found, key=lambda problem: (problem.line, problem.message))


def _template_errors(workflow: Workflow) -> Iterator[Problem]:
    for line, place, template in _templates(workflow):
        if template.error is not None:
            yield Problem(message=f"{place}: {template.error}", line=line)


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


def _unreachable(workflow: Workflow) -> Iterator[Problem]:
    reached, waiting = set(), [workflow.initial]
    while waiting:
        name = waiting.pop()
        if name in workflow.states and name not in reached:
            reached.add(name)
            waiting.extend(_leads_to(workflow.states[name]))
    for state in workflow.states.values():
        if state.name not in reached:
            yield Problem(message=f"state '{state.name}' is never reached", line=state.line, severity="warning")


def _leads_to(state: State) -> Iterator[str]:
    yield from (name for name in (state.on_success, state.on_failure) if name)
    yield from (transition.goto for transition in state.transitions)
    # Specs that run other states or go on to them say so: see StepParser.
    yield from getattr(state.spec, "leads_to", ())


def _undeclared_inputs(
    workflow: Workflow, known: Collection[str], certain: Collection[tuple[str, str]]
) -> Iterator[Problem]:
    """Inputs that may be missed; those whose want is certain, by state, are errors already."""
    declared = {definition.name for definition in workflow.inputs} | set(known)
    for line, place, text in _texts(workflow):
        for name in dict.fromkeys(match["name"] for match in _INPUT.finditer(text)):
            is_error = any(name == wanted and place.startswith(f"states.{state}.") for state, wanted in certain)
            if name not in declared and not is_error:
                yield Problem(message=f"{place}: input '{name}' is not declared", line=line, severity="warning")


def _of_specs(workflow: Workflow) -> Iterator[Problem]:
    for state in workflow.states.values():
        problems = getattr(state.spec, "problems", None)
        if problems is not None:
            yield from problems(state, workflow)


def _lost_answers(workflow: Workflow) -> Iterator[Problem]:
    """Uses of what the record of a branch no longer has after its parallel step."""
    branches = {name for state in workflow.states.values() for name in getattr(state.spec, "branches", ())}
    for line, place, text in _texts(workflow):
        for name, field in dict.fromkeys((match["name"], match["field"]) for match in _ANSWER.finditer(text)):
            if name in branches:
                message = f"{place}: states.{name}.{field} is lost after the parallel step, which keeps only the output"
                yield Problem(message=message, line=line, severity="warning")


def _texts(workflow: Workflow) -> Iterator[tuple[int, str, str]]:
    """The parts of templates and conditions in which names mean something."""
    for line, place, template in _templates(workflow):
        yield line, place, " ".join(_ACTION.findall(template.text))
    for state, when in _conditions(workflow):
        yield state.line, f"states.{state.name}.transitions", when.text
    for state in workflow.states.values():
        for key, expression in _inside("", state.spec, Expression):
            yield state.line, f"states.{state.name}.{key}", expression.text


def _written(workflow: Workflow) -> Iterator[Written]:
    """Every template with what is known of where it is rendered."""
    hooks = workflow.hooks
    named = (("start", hooks.start), ("end", hooks.end), ("error", hooks.error), ("cancel", hooks.cancel))
    for name, actions in named:
        for action in actions:
            yield Written(
                place=f"hooks.workflow_{name}",
                key=action.kind,
                template=action.text,
                sees_error=name == "error",
                is_soft=name != "start",
            )
    for state in workflow.states.values():
        place, line = f"steps.{state.name}", state.line
        is_soft = isinstance(state.spec, TerminalSpec)
        for key, template in _inside("", state.spec, Template):
            yield Written(place=place, key=key, template=template, line=line, state=state, is_soft=is_soft)
        for name, actions in (("pre", state.pre), ("post", state.post)):
            for action in actions:
                yield Written(
                    place=f"{place}.hooks.{name}",
                    key=action.kind,
                    template=action.text,
                    line=line,
                    state=state,
                    is_after=name == "post",
                    is_soft=True,
                )


def _templates(workflow: Workflow) -> Iterator[tuple[int, str, Template]]:
    hooks = workflow.hooks
    for name, actions in (("start", hooks.start), ("end", hooks.end), ("error", hooks.error), ("cancel", hooks.cancel)):
        yield from ((0, f"hooks.workflow_{name}", template) for template in _of_actions(actions))
    for state in workflow.states.values():
        place = f"states.{state.name}"
        yield from ((state.line, f"{place}.{key}", template) for key, template in _inside("", state.spec, Template))
        for name, actions in (("pre", state.pre), ("post", state.post)):
            yield from ((state.line, f"{place}.hooks.{name}", template) for template in _of_actions(actions))


def _of_actions(actions: tuple[HookAction, ...]) -> Iterator[Template]:
    yield from (action.text for action in actions)


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
