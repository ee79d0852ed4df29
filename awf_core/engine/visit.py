"""Run one state of a run: its hooks, the step itself, its record, the events about it.

Called by the runner for the states a run goes through, and by step types that run states of their own. Never
decides where a run goes next.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from awf_core.engine.allowance import Allowance
from awf_core.engine.hooks import run_hook
from awf_core.engine.record import StateRecord
from awf_core.engine.steps.context import StepAborted, StepContext, StepResult
from awf_core.engine.streaming import MaskedOutput

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from awf_core.clock import Clock
    from awf_core.engine.cancel import Cancel
    from awf_core.engine.events import Events
    from awf_core.engine.execution import Execution
    from awf_core.engine.hooks import Level
    from awf_core.engine.steps import StepType
    from awf_core.workflow.model import State
    from awf_core.workflow.scope import Scope
    from awf_core.workflow.step_types import StepTypes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What came of running a state, and what its routing may look at."""

    result: StepResult
    step_type: StepType
    scope: Scope


class Visitor:
    """Runs states. Thread-safe: it holds nothing of a run."""

    def __init__(self, *, step_types: StepTypes, clock: Clock, events: Events, rng: random.Random) -> None:
        self._step_types = step_types
        self._clock = clock
        self._events = events
        self._rng = rng

    def visit(
        self,
        state: State,
        execution: Execution,
        *,
        cancel: Cancel | None = None,
        loop: Mapping[str, Any] | None = None,
    ) -> Visit:
        """Run `state` with its hooks and record it. Raises StepAborted for what ends the whole run.

        `cancel` stands in for the run's own token, `loop` is what templates see as `.loop`.
        """
        step_type = self._step_type(state)
        started = self._clock.monotonic()
        deadline = started + state.timeout_s if state.timeout_s else None
        allowance = Allowance(clock=self._clock, cancel=cancel or execution.cancel, deadline=deadline)
        execution.current = state.name
        execution.path.append(state.name)
        self._events.step_started(execution.run_id, execution.workflow.name, state.name, state.type)
        scope = execution.scope(state.name, loop=loop)
        started_at = self._clock.now()
        self._hook(state.pre, "pre-hook", execution, scope, allowance)
        try:
            result = self._run(step_type, state, execution, scope, allowance)
        except StepAborted:
            self._finished(execution, state, "failed", started)
            raise
        execution.record(state.name, _record(result, started_at, self._clock.now()))
        self._hook(state.post, "post-hook", execution, scope, allowance)
        self._finished(execution, state, result.status, started)
        return Visit(result=result, step_type=step_type, scope=scope)

    def log(self, execution: Execution, level: Level, text: str) -> None:
        """A line for the log of a run."""
        self._events.run_logged(execution.run_id, execution.workflow.name, level, text)

    def _step_type(self, state: State) -> StepType:
        step_type = self._step_types.get(state.type)
        if step_type is None or not hasattr(step_type, "run"):
            raise StepAborted(f"step {state.name}: no step type '{state.type}' is installed that can run")
        return cast("StepType", step_type)

    def _run(
        self, step_type: StepType, state: State, execution: Execution, scope: Scope, allowance: Allowance
    ) -> StepResult:
        output = self._output(state, execution)
        context = StepContext(
            execution=execution,
            scope=scope,
            allowance=allowance,
            log=lambda level, text: self.log(execution, level, text),
            rng=self._rng,
            on_output=output,
        )
        try:
            return step_type.run(state, context)
        except StepAborted:
            raise
        except Exception as problem:
            # A step type may be anybody's; its bug fails this run and no other.
            _log.exception("step type %r raised in state %r", state.type, state.name)
            text = f"step {state.name}: step type '{state.type}' broke: {type(problem).__name__}: {problem}"
            raise StepAborted(text, code="SYSTEM.INTERNAL.UNMAPPED") from problem
        finally:
            if output is not None:
                output.flush()

    def _output(self, state: State, execution: Execution) -> MaskedOutput | None:
        if not self._events.watches_output:
            return None
        return MaskedOutput(
            execution.secrets,
            lambda stream, data: self._events.step_output(execution.run_id, state.name, stream, data),
        )

    def _hook(self, actions: Any, name: str, execution: Execution, scope: Scope, allowance: Allowance) -> None:
        if actions:
            run_hook(
                actions,
                name=name,
                execution=execution,
                scope=scope,
                allowance=allowance,
                log=lambda level, text: self.log(execution, level, text),
            )

    def _finished(self, execution: Execution, state: State, status: str, started: float) -> None:
        self._events.step_finished(
            execution.run_id, execution.workflow.name, state.name, status, self._clock.monotonic() - started
        )


def _record(result: StepResult, started_at: float, finished_at: float) -> StateRecord:
    return StateRecord(
        status=result.status,
        output=result.output,
        stderr=result.stderr,
        exit_code=result.exit_code,
        attempt=result.attempt,
        error=result.error,
        started_at=started_at,
        finished_at=finished_at,
        response=result.response,
        json=result.json,
        tokens=result.tokens,
    )
