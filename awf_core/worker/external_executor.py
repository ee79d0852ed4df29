"""Messages whose workflows an external executor runs: which executor, the plan, the run.

Called by the pipeline where the configuration names an executor at all. Such a workflow need not load here, so its
inputs are checked by name only; the executor checks the rest.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from awf_core.errors import AwfError
from awf_core.extensions.executors import BUILTIN, ExecutionRequest
from awf_core.extensions.results import Run, RunError
from awf_core.ids import new_id
from awf_core.lang.external_text import check_external
from awf_core.lang.input_names import check_names
from awf_core.lang.inputs import apply_defaults
from awf_core.lang.names import bare_name
from awf_core.worker.plan import Plan, Rejection, rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from awf_core.clock import Clock
    from awf_core.config.load import Config
    from awf_core.config.model import WorkflowPolicy
    from awf_core.extensions.deadline import Cancel
    from awf_core.extensions.executors import Executor, Executors
    from awf_core.lang.catalogue import Catalogue
    from awf_core.lang.discovery import Discovery
    from awf_core.message import Message
    from awf_core.worker.last_good import LastGood


class ExternalExecutor:
    """Plans and runs the workflows that the configuration gives to other executors. Thread-safe.

    `default` is the executor of all workflows that no rule names one for, None = our own engine. `check` raises an
    AwfError for a message whose inputs the executor must not get.
    """

    def __init__(
        self,
        executors: Executors,
        *,
        default: str | None,
        policy_for: Callable[[str], WorkflowPolicy],
        project_inputs: Mapping[str, Any],
        discovery: Discovery,
        cwd: Path,
        env: Mapping[str, str],
        storage: Path | None,
        clock: Clock,
        check: Callable[[Message, Mapping[str, Any]], None],
        max_output_bytes: int | None = None,
    ) -> None:
        self._executors = executors
        self._default = default
        self._policy_for = policy_for
        self._project_inputs = project_inputs
        self._discovery = discovery
        self._cwd = cwd
        self._env = env
        self._storage = storage
        self._clock = clock
        self._max_output_bytes = max_output_bytes
        self._check = check

    def plan(self, message: Message) -> Plan | Rejection | None:
        """The plan for `message`; None where our own engine runs its workflow."""
        policy = self._policy_for(message.workflow)
        executor = self._executors.get(policy.executor or self._default, where="executor")
        if executor is None:
            return None
        try:
            bare_name(message.workflow)
            path = self._discovery.resolve(message.workflow, allow_paths=False)
            check_names(message.inputs)
            inputs = {**self._project_inputs, **message.inputs}
            self._check(message, inputs)
        except AwfError as exc:
            return rejected(exc)
        return Plan(policy=policy, execute=partial(self._run, executor, message.workflow, path, inputs))

    def _run(
        self,
        executor: Executor,
        workflow: str,
        path: Path,
        inputs: Mapping[str, Any],
        *,
        cancel: Cancel,
        extra_env: Mapping[str, str],
    ) -> Run:
        """The run. An executor that can't run the workflow makes it a failed one."""
        order = ExecutionRequest(
            workflow=workflow,
            path=path,
            inputs=inputs,
            cwd=self._cwd,
            env={**self._env, **extra_env},
            cancel=cancel,
            storage=self._storage,
            max_output_bytes=self._max_output_bytes,
        )
        began = self._clock.now()
        try:
            return executor.execute(order)
        except AwfError as problem:
            return _failed(order, problem, began, self._clock.now())


def _failed(order: ExecutionRequest, problem: AwfError, began: float, ended: float) -> Run:
    return Run(
        run_id=new_id(),
        workflow=order.workflow,
        status="failed",
        exit_code=problem.exit_code,
        inputs=order.inputs,
        error=RunError(message=problem.message, code=problem.code),
        started_at=began,
        finished_at=ended,
        duration_ms=max(0, round((ended - began) * 1000)),
    )


def check_shell_text(message: Message, inputs: Mapping[str, Any], catalogue: Catalogue | LastGood) -> None:
    """Raises UnsafeInput for inputs that a command would insert as syntax. A file that does not load is not checked."""
    try:
        workflow = catalogue.get(message.workflow)
    except AwfError:
        return
    check_external(workflow, apply_defaults(workflow, inputs), message.inputs, message_id=message.id)


def names_executors(config: Config) -> bool:
    """Whether anything in the configuration names an executor other than our own engine."""
    named = [config.project.executor, *(rules.executor for rules in config.mq.workflows.values())]
    return any(name not in (None, BUILTIN) for name in named)


def check_executors(config: Config, executors: Executors) -> None:
    """Raise ConfigError for an executor that is unknown or can't run here, naming the key."""
    places = [("executor", config.project.executor)]
    places += [(f"mq.workflows.{name}.executor", rules.executor) for name, rules in config.mq.workflows.items()]
    for where, name in places:
        executor = executors.get(name, where=where)
        if executor is not None:
            executor.check()
