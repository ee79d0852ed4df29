"""The engine alone, in this process and one thread: no queue, no worker. Called by `__main__`.

CPU time per operation, so that neighbours disturb little; the median of some repeats.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from awf_core.engine.run.engine import Engine
from awf_core.engine.steps import builtin_step_types
from awf_core.extensions.steps import Routing, StepResult
from awf_core.lang.catalogue import Catalogue
from awf_core.lang.discovery import Discovery
from awf_core.lang.expressions import compile_expression
from awf_core.lang.load import parse_workflow
from awf_core.lang.scope import Scope
from awf_core.lang.templates import compile_template
from bench.figure import BenchFailed, Figure
from bench.project import NOOP

if TYPE_CHECKING:
    from collections.abc import Callable

    from awf_core.extensions.steps import StepContext
    from awf_core.lang.fields import StateFields
    from awf_core.lang.model import State, Workflow
    from awf_core.lang.step_types import StepTypes
    from bench.plan import Plan

STATES = 50
STATE_AIM_US = 60.0
FEW_ITEMS, MANY_ITEMS = 1_000, 10_000
GROWTH_AIM = 1.5
"""How much dearer an item may be among many than among few: 1 = the time grows as the items do."""
OLD_S = 3600
BATCH_S = 0.2
TEMPLATE = "deploy {{.inputs.name}} to {{escape .inputs.target}}: {{.states.build.Output}}"
EXPRESSION = 'states.build.ExitCode == 0 && inputs.name in ["app", "api"]'
LOADED = """\
name: release
inputs:
  - {name: target, type: string, required: true}
  - {name: name, type: string, default: app}
states:
  initial: build
  build:
    type: step
    command: make {{.inputs.name}}
    timeout: 60
    retry: {max_attempts: 3, initial_delay: 1s, backoff: exponential}
    transitions:
      - {when: 'states.build.ExitCode == 0', goto: deploy}
      - {goto: failed}
  deploy:
    type: step
    command: deploy {{.inputs.name}} {{escape .inputs.target}}
    on_success: done
    on_failure: failed
  done: {type: terminal}
  failed: {type: terminal, status: failure}
"""


class NothingStep:
    """`type: nothing`: a step that does nothing, so that what is left is the engine."""

    name = "nothing"
    aliases: tuple[str, ...] = ()
    routing = Routing()

    def parse(self, fields: StateFields) -> None:  # noqa: ARG002
        return None

    def run(self, state: State, context: StepContext) -> StepResult:  # noqa: ARG002
        return StepResult(status="completed")

    def successor(self, state: State) -> str | None:
        return state.on_success


def measure(plan: Plan) -> list[Figure]:
    """Runs, routed states, loops, the two small languages, and a load."""
    step_types = builtin_step_types()
    step_types.register(NothingStep())
    engine = Engine(step_types=step_types, env={})

    def parsed(text: str) -> Workflow:
        return parse_workflow(text.encode(), source=Path("bench.yaml"), step_types=step_types)

    noop, chain = parsed(NOOP), parsed(chain_of(STATES))
    scope = example_scope()
    template, expression = compile_template(TEMPLATE), compile_expression(EXPRESSION, mode="bool")
    check_run(engine, chain)
    operations: dict[str, tuple[Callable[[], object], int]] = {
        "a run of a terminal alone": (lambda: engine.execute(noop, {}, cwd=plan.directory), 1),
        f"a state of a run of {STATES} steps that do nothing": (
            lambda: engine.execute(chain, {}, cwd=plan.directory),
            STATES,
        ),
        "rendering a template with three values": (lambda: template.render(scope), 1),
        "evaluating a condition": (lambda: expression.evaluate_bool(scope), 1),
        "loading a workflow of four states": (lambda: parsed(LOADED), 1),
        "finding it again, unchanged": (catalogue_hit(plan.directory, step_types), 1),
    }
    rounds: dict[str, list[float]] = {name: [] for name in operations}
    for _ in range(plan.repeats):
        for name, (operation, parts) in operations.items():
            rounds[name].append(cpu_us(operation, min(BATCH_S, plan.limit_s)) / parts)
    return [
        *(Figure(name=name, unit="µs", rounds=tuple(values), **aim_of(name)) for name, values in rounds.items()),
        *loop_figures(engine, parsed, plan),
    ]


def aim_of(name: str) -> dict[str, Any]:
    """The aim of a figure, as fields of it."""
    return {"aim": STATE_AIM_US, "better": "less"} if name.startswith("a state ") else {}


def catalogue_hit(directory: Path, step_types: StepTypes) -> Callable[[], object]:
    """Looks up a workflow that was loaded before and has not changed since."""
    path = directory / ".awf" / "workflows" / "release.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(LOADED, encoding="utf-8")
    # A file just written is read again each time, so this one gets an old modification time.
    os.utime(path, (time.time() - OLD_S,) * 2)
    catalogue = Catalogue(Discovery(directory, {"HOME": str(directory)}), step_types)
    if catalogue.get("release") is not catalogue.get("release"):
        raise BenchFailed("the workflow was loaded twice though its file had not changed")
    return lambda: catalogue.get("release")


def loop_figures(engine: Engine, parsed: Callable[[str], Workflow], plan: Plan) -> list[Figure]:
    """What an item of a `for_each` costs, and how much dearer it is among ten times as many."""
    few, many = (parsed(loop_over(count)) for count in (FEW_ITEMS, MANY_ITEMS))
    per_item: dict[int, list[float]] = {FEW_ITEMS: [], MANY_ITEMS: []}
    for _ in range(plan.repeats):
        for workflow, count in ((few, FEW_ITEMS), (many, MANY_ITEMS)):
            per_item[count].append(once_us(engine, workflow, count) / count)
    growth = tuple(more / less for less, more in zip(per_item[FEW_ITEMS], per_item[MANY_ITEMS], strict=True))
    return [
        Figure(name=f"an item of a for_each of {MANY_ITEMS:,}", unit="µs", rounds=tuple(per_item[MANY_ITEMS])),
        Figure(
            name=f"the same beside an item of {FEW_ITEMS:,}", unit="×", rounds=growth, aim=GROWTH_AIM, better="less"
        ),
    ]


def loop_over(count: int) -> str:
    """A workflow that goes `count` times through a body of one step that does nothing."""
    return f"""\
name: loop
states:
  initial: each
  each: {{type: for_each, items: {list(range(count))}, max_iterations: {count}, body: [b], on_complete: done}}
  b: {{type: nothing, on_success: each}}
  done: {{type: terminal}}
"""


def once_us(engine: Engine, workflow: Workflow, count: int) -> float:
    """CPU microseconds of one run. Raises BenchFailed when it did not go through all the items."""
    started_s = time.process_time()
    run = engine.execute(workflow, {})
    passed_us = 1e6 * (time.process_time() - started_s)
    if run.status != "completed" or len(run.path) != count + 2:
        raise BenchFailed(
            f"the loop over {count} items ended as {run.status} after {len(run.path)} states: {run.error}"
        )
    return passed_us


def chain_of(count: int) -> str:
    """A workflow of `count` steps in a row, each routed by a condition."""
    states = "\n".join(
        f"  s{n}: {{type: nothing, transitions: [{{when: 'states.s{n}.ExitCode == 0', goto: s{n + 1}}}]}}"
        for n in range(count)
    )
    return f"name: chain\nstates:\n  initial: s0\n{states}\n  s{count}: {{type: terminal}}\n"


def example_scope() -> Scope:
    """What TEMPLATE and EXPRESSION see."""
    build = {"Output": "built in 3 s", "ExitCode": 0, "Status": "completed", "Stderr": ""}
    return Scope(inputs={"name": "app", "target": "eu west"}, states={"build": build})


def check_run(engine: Engine, chain: Workflow) -> None:
    """Raise BenchFailed when the chain doesn't run through: its time would mean nothing."""
    run = engine.execute(chain, {})
    if run.status != "completed" or len(run.path) != STATES + 1:
        raise BenchFailed(
            f"the chain of {STATES} steps ended as {run.status} after {len(run.path)} states: {run.error}"
        )


def cpu_us(operation: Callable[[], object], seconds: float) -> float:
    """CPU microseconds of one `operation`, over about `seconds`."""
    count, started_s = 0, time.process_time()
    while (passed_s := time.process_time() - started_s) < seconds:
        for _ in range(10):
            operation()
        count += 10
    return 1e6 * passed_s / count
