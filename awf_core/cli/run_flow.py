"""`awf run` without its command line: configuration, inputs, loading, required inputs, the engine.

Called by `run.py`. The environment and the directory are parameters. An error that stops a run before it starts
becomes one exception, `Refused`, with its phase.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from awf_core.cli.run_inputs import parse_pairs, prompt_dirs, read_inputs_file
from awf_core.cli.step_types import step_types_here
from awf_core.config.project import Project, executor_choice, load_project
from awf_core.engine.records.open_records import open_records
from awf_core.engine.records.paths import record_paths
from awf_core.engine.run.engine import Engine
from awf_core.engine.run.events import Events
from awf_core.engine.run.run_end import exit_class
from awf_core.errors import AwfError, ConfigError, ExecutionError, InputError, SystemFailure, WorkflowError
from awf_core.extensions.agents import UserInput
from awf_core.extensions.deadline import Cancel
from awf_core.extensions.environment import Environment, read_environment
from awf_core.extensions.executors import BUILTIN, ExecutionRequest, Executor
from awf_core.extensions.results import Run
from awf_core.lang.catalogue import Catalogue
from awf_core.lang.discovery import Discovery
from awf_core.lang.inputs import VALIDATION_FAILED, missing_required
from awf_core.lang.load import load_workflow
from awf_core.lang.model import Workflow
from awf_core.lang.problems import LoadError
from awf_core.lang.step_types import StepTypes

if TYPE_CHECKING:
    from awf_core.engine.plan.plan import Plan

Phase = Literal["config", "inputs", "load"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What to run: the name or path of a workflow, `key=value` texts, a file of inputs.

    storage   the directory of the run records; None: the user's own
    run_id    the id of the run; None: a new one
    """

    name: str
    pairs: Sequence[str] = ()
    inputs_file: Path | None = None
    storage: Path | None = None
    run_id: str | None = None


class Refused(Exception):
    """The run did not start; `error` is the reason, `phase` the step that failed."""

    def __init__(self, phase: Phase, error: AwfError) -> None:
        super().__init__(error.message)
        self.phase = phase
        self.error = error

    @property
    def exit_code(self) -> int:
        """A wrong project file is a user error here (1), unlike in the commands that need a queue.

        So is a workflow file that does not load with a code of the category USER.
        """
        is_user_error = isinstance(self.error, LoadError) and (self.error.code or "").startswith("USER.")
        return 1 if isinstance(self.error, ConfigError) or is_user_error else self.error.exit_code


def run_here(
    request: RunRequest,
    *,
    cwd: Path,
    env: Mapping[str, str],
    cancel: Cancel,
    events: Events,
    warn: Callable[[str], None],
    user_input: UserInput | None = None,
) -> Run:
    """Run `request` in `cwd`. Raises Refused for an error before the engine starts; `warn` gets the warnings.

    `user_input` answers conversations with agents; without it they get no answer.
    """
    found = _find(request, cwd=cwd, env=env, warn=warn)
    project, discovery, inputs = found.project, found.discovery, found.inputs
    record_places = record_paths(env, storage=request.storage)
    if found.executor is not None:
        storage = record_places.storage
        execution = ExecutionRequest(
            workflow=request.name, path=found.path, inputs=inputs, cwd=cwd, env=env, cancel=cancel, storage=storage
        )
        with phase("inputs"):
            return found.executor.execute(execution)
    with phase("config"):
        step_types = step_types_here(env, notify_backend=project.notify_backend, user_input=user_input)
    workflow = _loaded(found.path, step_types, inputs, warn)
    find, recorder = Catalogue(discovery, step_types).get, open_records(record_places, warn=warn)
    environment = _environment(env, warn)
    engine = Engine(step_types=step_types, events=events, environment=environment, find=find, recorder=recorder)
    return engine.execute(workflow, inputs, cancel=cancel, cwd=cwd, run_id=request.run_id)


def plan_here(request: RunRequest, *, cwd: Path, env: Mapping[str, str], warn: Callable[[str], None]) -> Plan:
    """What `run_here` would do with `request`. Raises Refused for an error that stops it before its first state."""
    from awf_core.engine.plan.plan import plan_run

    found = _find(request, cwd=cwd, env=env, warn=warn)
    with phase("config"):
        if found.executor is not None:
            text = f"another executor runs workflow {request.name!r}; --dry-run plans the runs of the built-in engine"
            raise ConfigError(text, hint="Unset `executor` for this workflow in .awf/config.yaml to see a plan.")
        step_types = step_types_here(env, notify_backend=found.project.notify_backend)
    workflow = _loaded(found.path, step_types, found.inputs, warn)
    try:
        find = Catalogue(found.discovery, step_types).get
        return plan_run(workflow, found.inputs, step_types=step_types, cwd=cwd, env=env, find=find)
    except AwfError as problem:
        # The exit code is that of the run, which goes by the text where there is no structured code.
        refused_inputs = isinstance(problem, InputError)
        text = problem.message if refused_inputs else f"expand templates: {problem.message}"
        kind = _BY_EXIT_CLASS[exit_class(text, None if refused_inputs else problem.code)]
        error = kind(text, hint=problem.hint, code=problem.code)
        raise Refused("inputs" if refused_inputs else "load", error) from problem


_BY_EXIT_CLASS: Mapping[int, type[AwfError]] = {1: InputError, 2: WorkflowError, 3: ExecutionError, 4: SystemFailure}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What a request means: the project, the file, the given inputs, and what runs it (None: the built-in engine)."""

    project: Project
    discovery: Discovery
    path: Path
    inputs: dict[str, Any]
    executor: Executor | None


def _find(request: RunRequest, *, cwd: Path, env: Mapping[str, str], warn: Callable[[str], None]) -> _Found:
    with phase("config"):
        project = load_project(cwd=cwd, env=env)
        executor = _executor(project, request.name, cwd=cwd, env=env)
    for warning in project.warnings:
        warn(warning)
    with phase("inputs"):
        inputs = {**project.inputs, **_inputs(request, cwd, env)}
    discovery = Discovery(cwd, env)
    with phase("load"):
        path = discovery.resolve(request.name, allow_paths=True)
    return _Found(project=project, discovery=discovery, path=path, inputs=inputs, executor=executor)


@contextmanager
def phase(name: Phase) -> Iterator[None]:
    """Raise Refused with this phase for an error inside."""
    try:
        yield
    except AwfError as error:
        raise Refused(name, error) from error


def _executor(project: Project, workflow: str, *, cwd: Path, env: Mapping[str, str]) -> Executor | None:
    """The executor that the configuration names for `workflow`; None: the built-in engine. Raises ConfigError."""
    choice = executor_choice(project, workflow)
    if choice.name in (None, BUILTIN):
        return None
    from awf_core.extensions.executors import Executors
    from awf_core.plugin.manager import build_plugins

    registered = build_plugins(None, None, env=env).registered.executors()
    executor = Executors(registered, program=project.executor_path, cwd=cwd, env=env).get(
        choice.name, where=choice.where
    )
    if executor is not None:
        executor.check()
    return executor


def _environment(env: Mapping[str, str], warn: Callable[[str], None]) -> Environment:
    environment = read_environment(env)
    if environment.shell_note:
        warn(environment.shell_note)
    return environment


def _inputs(request: RunRequest, cwd: Path, env: Mapping[str, str]) -> dict[str, Any]:
    directories = prompt_dirs(cwd, env, read_environment(env).awf["prompts_dir"])
    from_file = read_inputs_file(request.inputs_file) if request.inputs_file is not None else {}
    return {**from_file, **parse_pairs(request.pairs, prompt_dirs=directories)}


def _loaded(path: Path, step_types: StepTypes, inputs: Mapping[str, Any], warn: Callable[[str], None]) -> Workflow:
    with phase("load"):
        workflow = load_workflow(path, step_types)
    for warning in workflow.warnings:
        warn(warning)
    with phase("inputs"):
        _reject_missing(workflow, inputs)
    return workflow


def _reject_missing(workflow: Workflow, inputs: Mapping[str, Any]) -> None:
    missing = missing_required(workflow, inputs)
    if missing:
        raise InputError(
            "missing required inputs and stdin is not a terminal; provide inputs via --input flags",
            code=VALIDATION_FAILED,
            hint=f"Missing: {', '.join(missing)}. Give {' '.join(f'--input {name}=…' for name in missing)}",
        )
