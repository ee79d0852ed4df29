"""Run one state of a run: its hooks, the step itself, its record, the events about it.

Called by the engine for the states a run goes through, and by step types that run states of their own. Never decides
where a run goes next.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, cast

from awf_core.clock import Clock
from awf_core.engine.run.child_runs import ChildRuns
from awf_core.engine.run.events import Events, Recorder
from awf_core.engine.run.execution import Execution
from awf_core.engine.run.hooks import run_hook
from awf_core.engine.secrets import MaskedOutput
from awf_core.errors import redact_url
from awf_core.extensions.deadline import Deadline
from awf_core.extensions.outward import Level
from awf_core.extensions.results import Outcome, StateRecord
from awf_core.extensions.steps import StepAborted, StepContext, StepResult, StepType, Visit
from awf_core.lang.model import HookAction, State
from awf_core.lang.step_types import StepTypes

_log = logging.getLogger(__name__)

MAX_NESTING = 40
"""States that may run inside each other, over all workflows that call each other: a bound on the stack of a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Runs states. Thread-safe: it holds nothing of a run."""

    step_types: StepTypes
    clock: Clock
    events: Events
    rng: random.Random
    children: ChildRuns
    recorder: Recorder

    def visit(
        self,
        state: State,
        execution: Execution,
        *,
        outer: Deadline | None = None,
        loop: Mapping[str, Any] | None = None,
        nesting: tuple[str, ...] = (),
        run_as: StepType | None = None,
    ) -> Visit:
        """Run `state` with its hooks and record it. Raises StepAborted for what ends what it runs in at once.

        outer, loop, run_as   see `StateRunner`; `outer` None = the run's deadline
        nesting               the states it runs inside of, outermost first
        """
        step_type = run_as or self._step_type(state)
        _check_nesting(state, execution, nesting)
        started, started_at = self.clock.monotonic(), self.clock.now()
        context = self._context(state, execution, outer or execution.deadline, loop, (*nesting, state.name))
        _admit(step_type, state, context)
        execution.path.append(state.name)
        self.events.step_started(execution.run_id, execution.workflow.name, state.name, state.type)
        self.recorder.step_started(execution, state, loop)
        try:
            self._hook(state.pre, "pre-hook", context)
            result = self._run(step_type, state, context)
        except StepAborted as abort:
            record = None
            if abort.result is not None:
                execution.record(state.name, _record(abort.result, started_at, self.clock.now()))
                record = execution.records.get(state.name)
            self._finished(execution, state, "failed", started, loop, record)
            raise
        execution.record(state.name, _record(result, started_at, self.clock.now()))
        context.scope.states = execution.states
        try:
            self._post_hook(state, result, context)
        finally:
            self._finished(execution, state, result.status, started, loop, execution.records.get(state.name))
        return Visit(result=result, step_type=step_type, scope=context.scope)

    def log(self, execution: Execution, level: Level, text: str) -> None:
        """A line for the log of a run."""
        self.events.run_logged(execution.run_id, execution.workflow.name, level, text)

    def _step_type(self, state: State) -> StepType:
        step_type = self.step_types.get(state.type)
        if step_type is None or not hasattr(step_type, "run"):
            raise StepAborted(f"step {state.name}: no step type '{state.type}' is installed that can run")
        return cast("StepType", step_type)

    def _context(
        self,
        state: State,
        execution: Execution,
        outer: Deadline,
        loop: Mapping[str, Any] | None,
        nesting: tuple[str, ...],
    ) -> StepContext:
        limit_s = state.timeout_s
        return StepContext(
            execution=execution,
            scope=execution.scope(execution.current, loop=loop),
            deadline=outer.no_later_than(self.clock.monotonic() + limit_s) if limit_s else outer,
            log=lambda level, text: self.log(execution, level, text),
            rng=self.rng,
            outer=outer,
            step_types=self.step_types,
            run_state=partial(self.visit, execution=execution, nesting=nesting),
            find_workflow=partial(self.children.named, caller=execution.workflow),
            run_workflow=partial(
                self.children.start, parent=execution, step=state.name, depth=execution.depth + len(nesting)
            ),
            on_output=self._output(state, execution),
        )

    def _run(self, step_type: StepType, state: State, context: StepContext) -> StepResult:
        output = context.on_output
        try:
            return step_type.run(state, context)
        except StepAborted:
            raise
        except (Exception, SystemExit) as problem:
            # A plugin's step type may raise anything; its bug, or its sys.exit, fails this run and no other.
            _log.exception("step type %r raised in state %r", state.type, state.name)
            why = redact_url(f"{type(problem).__name__}: {problem}")
            text = f"step {state.name}: step type '{state.type}' broke: {why}"
            raise StepAborted(text, code="SYSTEM.INTERNAL.UNMAPPED") from problem
        finally:
            if isinstance(output, MaskedOutput):
                output.flush()

    def _output(self, state: State, execution: Execution) -> MaskedOutput | None:
        if not self.events.watches_output:
            return None
        return MaskedOutput(
            execution.secrets,
            lambda stream, data: self.events.step_output(execution.run_id, state.name, stream, data),
        )

    def _hook(self, actions: Sequence[HookAction], name: str, context: StepContext) -> None:
        if actions:
            run_hook(
                actions,
                name=name,
                execution=context.execution,
                scope=context.scope,
                deadline=context.deadline,
                log=context.log,
            )

    def _post_hook(self, state: State, result: StepResult, context: StepContext) -> None:
        if not result.cause or context.outer.stop_reason() is None:
            self._hook(state.post, "post-hook", context)

    def _finished(
        self,
        execution: Execution,
        state: State,
        status: str,
        started: float,
        loop: Mapping[str, Any] | None,
        record: StateRecord | None,
    ) -> None:
        self.events.step_finished(
            execution.run_id, execution.workflow.name, state.name, status, self.clock.monotonic() - started
        )
        self.recorder.step_finished(execution, state, loop, record)


def _admit(step_type: StepType, state: State, context: StepContext) -> None:
    admit = getattr(step_type, "admit", None)
    if admit is not None:
        admit(state, context)


def _check_nesting(state: State, execution: Execution, nesting: tuple[str, ...]) -> None:
    if not nesting and execution.caller is None:
        return
    if state.name in nesting:
        chain = " > ".join((*nesting, state.name))
        raise StepAborted(f"step {state.name}: runs inside itself: {chain}", is_structural=True)
    if len(nesting) + execution.depth >= MAX_NESTING:
        text = f"step {state.name}: states run inside each other more than {MAX_NESTING} deep"
        raise StepAborted(text, is_structural=True)


def _record(result: StepResult, started_at: float, finished_at: float) -> StateRecord:
    outcome = {field.name: getattr(result, field.name) for field in fields(Outcome)}
    return StateRecord(**outcome, started_at=started_at, finished_at=finished_at)
