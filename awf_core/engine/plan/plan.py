"""The plan of a run: its inputs, its states with what each would run, what would be skipped, what would fail.

Called by `awf run --dry-run`. It runs nothing and writes nothing; it reads the files of scripts, step templates and
`readFile`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from awf_core.clock import SystemClock
from awf_core.engine.plan.texts import Resolved, resolve
from awf_core.engine.plan.walk import Skipped, Stop, Walk, routes_as_json
from awf_core.engine.run.child_runs import Find, find_called
from awf_core.engine.run.engine import Engine, expand_templates
from awf_core.engine.run.execution import Execution
from awf_core.engine.secrets import mask, masked_inputs, secret_values
from awf_core.engine.steps.script import prefer_local, script_path
from awf_core.errors import AwfError
from awf_core.extensions.deadline import Cancel
from awf_core.extensions.environment import read_environment
from awf_core.lang.expressions import Expression
from awf_core.lang.lint import lint, written_key
from awf_core.lang.model import HookAction, State, TerminalSpec, Workflow
from awf_core.lang.scope import Scope
from awf_core.lang.step_templates import StepTemplates
from awf_core.lang.step_types import StepTypes
from awf_core.lang.templates import Template

_FILES = frozenset({"script_file", "prompt_file"})
_PATHS = frozenset({"command", "dir", *_FILES})
"""Keys in which a project's own scripts and prompts replace the global ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedState:
    """A state that a run may reach. Secrets are masked in all of it.

    does             what it would run, by key of the workflow file
    resolves_later   the keys in which something is known only while the run goes on
    pre, post        the actions of its hooks
    """

    stop: Stop
    does: Mapping[str, Any]
    resolves_later: tuple[str, ...]
    pre: tuple[str, ...] = ()
    post: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The state as `awf run --dry-run --format json` prints it."""
        state = self.stop.state
        return {
            "name": state.name,
            "type": state.type,
            "inside": self.stop.inside or None,
            "does": dict(self.does),
            "resolves_later": list(self.resolves_later),
            "timeout_s": state.timeout_s or None,
            "retry": None if state.retry is None else _plain(asdict(state.retry)),
            "continue_on_error": state.continue_on_error,
            "hooks": {"pre": list(self.pre), "post": list(self.post)},
            "routes": routes_as_json(self.stop.routes),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would do. `problems`: what fails every run that reaches it, each with its place."""

    workflow: Workflow
    inputs: Mapping[str, Any]
    hooks: Mapping[str, tuple[str, ...]]
    states: tuple[PlannedState, ...]
    skipped: tuple[Skipped, ...]
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The plan as `awf run --dry-run --format json` prints it."""
        return {
            "dry_run": True,
            "workflow": self.workflow.name,
            "file": str(self.workflow.source),
            "inputs": dict(self.inputs),
            "hooks": {name: list(actions) for name, actions in self.hooks.items()},
            "states": [state.as_json() for state in self.states],
            "skipped": [{"name": one.name, "reason": one.reason} for one in self.skipped],
            "problems": list(self.problems),
        }


def plan_run(
    workflow: Workflow,
    given: Mapping[str, Any],
    *,
    step_types: StepTypes,
    cwd: Path,
    env: Mapping[str, str],
    find: Find | None = None,
) -> Plan:
    """The plan of a run of `workflow` in `cwd`; `find` looks up the workflows that it calls.

    Raises what stops the run before its first state: InputError for inputs, and what `StepTemplates.fill` raises.
    """
    if workflow.uses_templates:
        workflow = expand_templates(workflow, StepTemplates(), step_types=step_types, cwd=cwd)
    inputs = Engine(step_types=step_types, env=env).prepare_inputs(workflow, given, cwd=cwd)
    execution = Execution(
        workflow=workflow,
        run_id="",
        cancel=Cancel(),
        cwd=cwd,
        extra_env={},
        environment=read_environment(env),
        clock=SystemClock(),
    )
    execution.inputs = inputs
    return _Planner(execution, step_types, find).plan()


class _Planner:
    """Makes one plan; collects the problems on its way."""

    def __init__(self, execution: Execution, step_types: StepTypes, find: Find | None) -> None:
        self._execution = execution
        self._find = find
        self._workflow = execution.workflow
        self._step_types = step_types
        self._secrets = secret_values(execution.inputs)
        self._problems: list[str] = []

    def plan(self) -> Plan:
        walk = Walk(self._workflow, self._step_types, self._execution.scope(""))
        hooks = self._workflow.hooks
        named = {name: tuple(self._actions(getattr(hooks, name), "", f"hooks.workflow_{name}")) for name in _HOOKS}
        states = tuple(self._state(stop) for stop in walk.stops)
        self._problems.extend(self._lint({stop.state.line for stop in walk.stops}))
        return Plan(
            workflow=self._workflow,
            inputs=masked_inputs(self._execution.inputs),
            hooks={f"workflow_{name}": actions for name, actions in named.items() if actions},
            states=states,
            skipped=walk.skipped,
            problems=tuple(dict.fromkeys(self._problems)),
        )

    def _state(self, stop: Stop) -> PlannedState:
        state, later = stop.state, list[str]()
        scope = self._execution.scope(state.name)
        place = f"states.{state.name}"
        self._problems.extend(f"{place}: {why}" for why in self._unrunnable(stop))
        return PlannedState(
            stop=stop,
            does=self._described(state.spec, state, scope, later),
            resolves_later=tuple(dict.fromkeys(later)),
            pre=tuple(self._actions(state.pre, state.name, f"{place}.hooks.pre")),
            post=tuple(self._actions(state.post, state.name, f"{place}.hooks.post")),
        )

    def _unrunnable(self, stop: Stop) -> Iterator[str]:
        """Why the state can't run where it stands."""
        state, outer = stop.state, self._workflow.states.get(stop.inside)
        step_type: Any = self._step_types.get(state.type)
        can_loop = getattr(step_type, "runs_in_loops", True)
        if outer is not None and hasattr(outer.spec, "body") and not can_loop:
            yield f"a state of type {state.type} can't run in the body of a loop"
        if outer is not None and isinstance(state.spec, TerminalSpec):
            yield f"a terminal can't run inside '{outer.name}'"
        if hasattr(step_type, "unavailable") and (why := step_type.unavailable(state.spec)):
            yield why
        called = getattr(state.spec, "workflow", None)
        if self._find is not None and isinstance(called, str):
            try:
                find_called(self._find, called, caller=self._workflow)
            except AwfError as problem:
                yield problem.message

    def _actions(self, actions: Iterable[HookAction], state: str, place: str) -> Iterator[str]:
        for action in actions:
            found = resolve(action.text, self._execution.scope(state))
            if found.problem:
                self._problems.append(f"{place}: {mask(found.problem, self._secrets)}")
            yield f"{action.kind}: {mask(found.text, self._secrets)}"

    def _described(self, spec: object, state: State, scope: Scope, later: list[str]) -> dict[str, Any]:
        if not is_dataclass(spec):
            return {}
        described = {}
        for field in fields(spec):
            key = written_key(state, field.name)
            value = self._value(getattr(spec, field.name), key, state, scope, later)
            if value not in (None, "", (), [], {}, False):
                described[key] = value
        return described

    def _value(self, value: object, key: str, state: State, scope: Scope, later: list[str]) -> Any:
        if isinstance(value, Template):
            return self._text(resolve(value, scope), key, state, later)
        if isinstance(value, Expression):
            return value.text
        if is_dataclass(value):
            return self._described(value, state, scope, later)
        if isinstance(value, Mapping):
            return {str(name): self._value(item, f"{key}.{name}", state, scope, later) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._value(item, key, state, scope, later) for item in value]
        return mask(value, self._secrets) if isinstance(value, str) else _plain(value)

    def _text(self, found: Resolved, key: str, state: State, later: list[str]) -> str:
        place = f"states.{state.name}.{key}"
        if found.problem:
            self._problems.append(f"{place}: {mask(found.problem, self._secrets)}")
        elif not found.is_complete:
            later.append(key)
        text = found.text
        if key in _PATHS:
            environment, source = self._execution.environment, self._workflow.source
            text = prefer_local(text, awf=environment.awf, workflow_file=source, cwd=self._execution.cwd)
            if key in _FILES and found.is_complete:
                path = script_path(text, workflow_file=source, home=environment.home)
                if not path.is_file():
                    self._problems.append(f"{place}: no such file: {mask(str(path), self._secrets)}")
        return mask(text, self._secrets)

    def _lint(self, lines: set[int]) -> Iterator[str]:
        """The errors of `awf validate` at states in reach, but for inputs: what is given is known here."""
        for problem in lint(self._workflow, given_inputs=self._execution.inputs):
            if (
                problem.severity == "error"
                and problem.line in lines
                and not problem.message.startswith("undefined input")
            ):
                yield (
                    f"{problem.field.replace('steps.', 'states.', 1)}: {problem.message}"
                    if problem.field
                    else problem.message
                )


_HOOKS = ("start", "end", "error", "cancel")


def _plain(value: object) -> Any:
    """A value that JSON can hold."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
