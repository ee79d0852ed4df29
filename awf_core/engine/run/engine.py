"""Execute a workflow: from its initial state to a terminal, with its lifecycle hooks.

Called by the worker and by `awf run`. What a workflow does is never an exception here: a failing run is a Run. It knows
no step type by name and nothing of queues.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from awf_core.clock import Clock, SystemClock
from awf_core.engine.run.child_runs import ChildRuns, Find
from awf_core.engine.run.events import Events, NoEvents, Recorder
from awf_core.engine.run.execution import Caller, Execution, Resumption
from awf_core.engine.run.hooks import run_end_hooks, run_start_hooks
from awf_core.engine.run.run_end import Ending, aborted, after, arrive, make_run, stopped
from awf_core.engine.run.visit import Visitor
from awf_core.errors import AwfError, InputError
from awf_core.extensions.deadline import Cancel, Deadline
from awf_core.extensions.environment import Environment, read_environment
from awf_core.extensions.outward import Level
from awf_core.extensions.results import Run
from awf_core.extensions.steps import StepAborted
from awf_core.ids import new_id
from awf_core.lang import inputs as input_rules
from awf_core.lang.model import State, TerminalSpec, Workflow
from awf_core.lang.step_templates import StepTemplates
from awf_core.lang.step_types import StepTypes
from awf_core.lang.untrusted import Untrusted

_NO_ENV: Mapping[str, str] = MappingProxyType({})


class Engine:
    """Runs workflows. One engine serves any number of threads; a run uses the thread that called `execute`.

    env        the environment that runs see, copied now; None = `os.environ`
    environment   the same as it has been read already, in place of `env`
    find       looks up the workflows that steps call by name; None = no workflow can be called
    recorder   writes records of its runs; None = no records
    """

    def __init__(
        self,
        *,
        step_types: StepTypes,
        clock: Clock | None = None,
        events: Events | None = None,
        rng: random.Random | None = None,
        env: Mapping[str, str] | None = None,
        environment: Environment | None = None,
        find: Find | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._step_types = step_types
        self._templates = StepTemplates()
        self._events = events or NoEvents()
        self._recorder = recorder or Recorder()
        self._environment = environment or read_environment(os.environ if env is None else env)
        self._visitor = Visitor(
            step_types=step_types,
            clock=self._clock,
            events=self._events,
            rng=rng or random.Random(),  # noqa: S311 - spreads retries, guards nothing
            children=ChildRuns(find=find, start=self._start_child),
            recorder=self._recorder,
        )

    def execute(
        self,
        workflow: Workflow,
        inputs: Mapping[str, Any],
        *,
        cancel: Cancel | None = None,
        cwd: Path | None = None,
        run_id: str | None = None,
        extra_env: Mapping[str, str] = _NO_ENV,
        is_prepared: bool = False,
        untrusted: Untrusted | None = None,
        resumption: Resumption | None = None,
    ) -> Run:
        """Run `workflow` to its end.

        `inputs` are the given ones, unless `is_prepared`: then `prepare_inputs` returned them. `extra_env` is
        added to the environment of steps, where `AWF_RUN_ID` always is. `cwd` None = this process's. `untrusted`:
        what comes from a message, None = the run is not for a message. With a
        `resumption` the run continues where that says, with its inputs; `inputs` are ignored. Raises nothing for what
        a workflow does; inputs it rejects are a failed run too.
        """
        execution = Execution(
            workflow=workflow,
            run_id=run_id or new_id(),
            cancel=cancel or Cancel(),
            cwd=cwd or Path.cwd(),
            extra_env=extra_env,
            environment=self._environment,
            clock=self._clock,
            untrusted=untrusted,
        )
        if resumption is not None:
            execution.restore(resumption)
            return self._run_recorded(execution, resumption.state or workflow.initial)
        return self._complete(execution, inputs, is_prepared=is_prepared)

    def _start_child(
        self,
        workflow: Workflow,
        inputs: Mapping[str, Any],
        *,
        parent: Execution,
        step: str,
        deadline: Deadline,
        depth: int,
        from_message: frozenset[str] | None = None,
    ) -> Run:
        names = frozenset(inputs) if from_message is None else from_message
        execution = Execution(
            workflow=workflow,
            run_id=new_id(),
            cancel=deadline.cancel,
            cwd=parent.cwd,
            extra_env=parent.extra_env,
            environment=parent.environment,
            clock=self._clock,
            caller=Caller(
                run_id=parent.run_id,
                step=step,
                call_stack=(*parent.call_stack, parent.workflow.name),
                ends_at=deadline.ends_at,
                depth=depth,
            ),
            untrusted=None if parent.untrusted is None else parent.untrusted.in_child(inputs, names),
        )
        self._recorder.child_started(parent, execution)
        run = self._complete(execution, inputs, is_prepared=False)
        self._recorder.child_finished(parent, execution, run)
        return run

    def _complete(self, execution: Execution, inputs: Mapping[str, Any], *, is_prepared: bool) -> Run:
        rejected = self._expand(execution) or self._take_inputs(execution, inputs, is_prepared=is_prepared)
        if rejected is None:
            return self._run_recorded(execution, execution.workflow.initial)
        return self._ended(execution, rejected)

    def _run_recorded(self, execution: Execution, first: str) -> Run:
        self._recorder.started(execution)
        run = self._ended(execution, self._run(execution, first))
        self._recorder.finished(execution, run)
        return run

    def _ended(self, execution: Execution, ending: Ending) -> Run:
        run = make_run(execution, ending)
        self._events.run_finished(run.run_id, run.workflow, run.status, run.exit_code, run.finished_at - run.started_at)
        return run

    def prepare_inputs(
        self, workflow: Workflow, given: Mapping[str, Any], *, cwd: Path | None = None
    ) -> dict[str, Any]:
        """The effective inputs: `given` with defaults filled in, checked.

        `cwd` is the directory of `file_exists`, None = this process's. Raises InputError naming every fault; a default
        does not replace a required input.
        """
        input_rules.check_required(workflow, given)
        inputs = input_rules.apply_defaults(workflow, given)
        input_rules.check_inputs(workflow, inputs, cwd=cwd)
        return inputs

    def _expand(self, execution: Execution) -> Ending | None:
        if execution.workflow.uses_templates:
            try:
                execution.workflow = expand_templates(
                    execution.workflow, self._templates, step_types=self._step_types, cwd=execution.cwd
                )
            except AwfError as problem:
                message = f"expand templates: {problem.message}"
                return Ending(status="failed", message=message, code=problem.code, is_quiet=True)
        return None

    def _take_inputs(self, execution: Execution, inputs: Mapping[str, Any], *, is_prepared: bool) -> Ending | None:
        execution.inputs = inputs
        if not is_prepared:
            try:
                execution.inputs = self.prepare_inputs(execution.workflow, inputs, cwd=execution.cwd)
            except InputError as problem:
                # Without its code: the language derives the exit code of a refused input from the text alone.
                return Ending(status="failed", message=problem.message, is_quiet=True)
        return None

    def _run(self, execution: Execution, first: str) -> Ending:
        def log(level: Level, text: str) -> None:
            self._visitor.log(execution, level, text)

        ending = run_start_hooks(execution, log) or self._walk(execution, first)
        run_end_hooks(execution, ending, log)
        return ending

    def _walk(self, execution: Execution, name: str) -> Ending:
        states = execution.workflow.states
        while True:
            state = states.get(name)
            if state is None:
                return Ending(status="failed", message=f"step not found: {name}")
            if isinstance(state.spec, TerminalSpec):
                return arrive(execution, state, state.spec)
            execution.current = name
            if (stop_reason := execution.deadline.stop_reason()) is not None:
                return stopped(execution, stop_reason)
            try:
                following = after(state, self._visitor.visit(state, execution), execution)
            except StepAborted as abort:
                return aborted(execution, abort)
            if isinstance(following, Ending):
                return following
            name = following.state
            self._record_progress(execution, name)

    def _record_progress(self, execution: Execution, following: str) -> None:
        """Record where the run goes on, so that a run that dies there is resumed after what it did."""
        if following in execution.workflow.states:
            done, execution.current = execution.current, following
            self._recorder.progressed(execution)
            execution.current = done


def expand_templates(workflow: Workflow, templates: StepTemplates, *, step_types: StepTypes, cwd: Path) -> Workflow:
    """`workflow` without a template left in it; the one given stays as it is. Raises as `StepTemplates.fill`."""
    states = {name: _expanded(state, templates, step_types, cwd) for name, state in workflow.states.items()}
    return replace(workflow, states=MappingProxyType(states), uses_templates=False)


def _expanded(state: State, templates: StepTemplates, step_types: StepTypes, cwd: Path) -> State:
    if state.template is None:
        return state
    filled = templates.fill(state.template, cwd=cwd)
    apply = getattr(step_types.get(state.type), "apply_template", None)
    return replace(
        state,
        spec=state.spec if apply is None else apply(state.spec, filled),
        timeout_s=state.timeout_s or filled.timeout_s,
        retry=state.retry or filled.retry,
        template=None,
    )
