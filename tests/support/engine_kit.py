"""Runs of the engine for tests: a step type whose work is a Python function, a clock that is set, what happened."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from awf_core.engine.run.engine import Engine
from awf_core.engine.run.events import NoEvents
from awf_core.engine.steps import builtin_step_types
from awf_core.extensions.steps import Routing, StepContext, StepResult
from awf_core.lang.load import parse_workflow
from awf_core.lang.templates import compile_template

if TYPE_CHECKING:
    from pathlib import Path

    from awf_core.extensions.results import Run
    from awf_core.lang.fields import StateFields
    from awf_core.lang.model import State, Workflow
    from awf_core.lang.step_types import StepTypes
    from awf_core.lang.templates import Template

ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "SHELL": "/bin/sh", "HOME": "/nonexistent", "USER": "tester"}
ENDS = "\n  done: {type: terminal}\n  fail: {type: terminal, status: failure}\n"
Deed = Callable[[StepContext], StepResult | None]


@dataclass(frozen=True)
class DoSpec:
    what: str
    say: Template


class DoStep:
    """`type: do`: what the test gives for the key `do`, and the text of `say` as output. Routed like a command."""

    name = "do"
    aliases: tuple[str, ...] = ()
    routing = Routing(transitions_on_failure=True)

    def __init__(self, deeds: Mapping[str, Deed]) -> None:
        self._deeds = deeds

    def parse(self, fields: StateFields) -> DoSpec:
        return DoSpec(what=fields.text("do"), say=compile_template(fields.text("say")))

    def successor(self, state: State) -> str | None:
        return state.on_success

    def run(self, state: State, context: StepContext) -> StepResult:
        assert isinstance(state.spec, DoSpec)
        result = self._deeds[state.spec.what](context) if state.spec.what else None
        return result or StepResult(status="completed", output=state.spec.say.render(context.scope))


def failing(error: str = "no", **fields: Any) -> StepResult:
    return StepResult(status="failed", error=error, **{"exit_code": 1, **fields})


class SetClock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


class Recorder(NoEvents):
    """Keeps the steps started, the log and the runs ended."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.logs: list[str] = []
        self.runs: list[tuple[str, str]] = []

    def step_started(self, run_id: str, workflow: str, state: str, step_type: str) -> None:
        self.started.append(f"{workflow}.{state}")

    def run_logged(self, run_id: str, workflow: str, level: str, text: str) -> None:
        self.logs.append(f"{level}: {text}")

    def run_finished(self, run_id: str, workflow: str, status: str, exit_code: int, duration_s: float) -> None:
        self.runs.append((workflow, status))


class Kit:
    """An engine with the step type `do`, and the workflows it can call."""

    def __init__(self, cwd: Path, **deeds: Deed) -> None:
        self.cwd = cwd
        self.clock = SetClock()
        self.events = Recorder()
        self.types: StepTypes = builtin_step_types()
        self.types.register(DoStep(deeds))
        self.workflows: dict[str, Workflow] = {}

    def workflow(self, states: str, *, name: str = "w", head: str = "", ends: str = ENDS) -> Workflow:
        text = f"name: {name}\n{head}\nstates:\n  initial: a\n  {states.strip()}{ends}"
        source = self.cwd / ".awf" / "workflows" / f"{name}.yaml"
        return parse_workflow(text.encode(), source=source, step_types=self.types)

    def engine(self, *, is_real_time: bool = False) -> Engine:
        clock = None if is_real_time else self.clock
        return Engine(step_types=self.types, env=ENV, events=self.events, clock=clock, find=self.workflows.__getitem__)

    def run(self, states: str | Workflow, *, is_real_time: bool = False, head: str = "", **options: Any) -> Run:
        workflow = self.workflow(states, head=head) if isinstance(states, str) else states
        inputs = options.pop("inputs", {})
        return self.engine(is_real_time=is_real_time).execute(workflow, inputs, cwd=self.cwd, **options)


def branch_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("awf-branch")]


def until(condition: Callable[[], bool], limit_s: float = 10.0) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        threading.Event().wait(0.005)
    return condition()
