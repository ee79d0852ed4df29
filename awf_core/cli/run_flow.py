"""The way of `awf run` without its command line: configuration, inputs, loading, required inputs, the engine.

Called by `run.py`. Takes environment and directory as values, and turns what stops a run before it begins
into one exception that says in which phase.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from awf_core.cli.executors import executor_here
from awf_core.cli.run_inputs import parse_pairs, prompt_dirs, read_inputs_file
from awf_core.cli.step_types import step_types_here
from awf_core.config.project import load_project
from awf_core.engine.records.open_records import open_records
from awf_core.engine.records.paths import record_paths
from awf_core.engine.run.engine import Engine
from awf_core.errors import AwfError, ConfigError, InputError
from awf_core.extensions.environment import read_environment
from awf_core.extensions.executors import ExecutionRequest
from awf_core.lang.catalogue import Catalogue
from awf_core.lang.discovery import Discovery
from awf_core.lang.inputs import VALIDATION_FAILED, missing_required
from awf_core.lang.load import load_workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from awf_core.engine.run.events import Events
    from awf_core.extensions.agents import UserInput
    from awf_core.extensions.deadline import Cancel
    from awf_core.extensions.results import Run
    from awf_core.lang.model import Workflow
    from awf_core.lang.step_types import StepTypes

Phase = Literal["config", "inputs", "load"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be run: a workflow's name or path, `key=value` texts, a file of inputs.

    storage   the directory of its records, None = the user's own
    run_id    the id of the run, None = a new one
    """

    name: str
    pairs: Sequence[str] = ()
    inputs_file: Path | None = None
    storage: Path | None = None
    run_id: str | None = None


class Refused(Exception):
    """The run did not begin; `error` says why, `phase` how far it got."""

    def __init__(self, phase: Phase, error: AwfError) -> None:
        super().__init__(error.message)
        self.phase = phase
        self.error = error

    @property
    def exit_code(self) -> int:
        """A bad project file ends this command as a user's error does, unlike the commands that need a queue."""
        return 1 if isinstance(self.error, ConfigError) else self.error.exit_code


def run_here(
    asked: Asked,
    *,
    cwd: Path,
    env: Mapping[str, str],
    cancel: Cancel,
    events: Events,
    warn: Callable[[str], None],
    user_input: UserInput | None = None,
) -> Run:
    """Run `asked` in `cwd`. Raises Refused for what stops it before the engine; `warn` gets what is only odd.

    `user_input` is whom conversations with agents talk with, None = nobody.
    """
    with phase("config"):
        project = load_project(cwd=cwd, env=env)
        executor = executor_here(project, asked.name, cwd=cwd, env=env)
    for warning in project.warnings:
        warn(warning)
    with phase("inputs"):
        inputs = {**project.inputs, **_given(asked, cwd, env)}
    kept = record_paths(env, storage=asked.storage)
    discovery = Discovery(cwd, env)
    with phase("load"):
        path = discovery.resolve(asked.name, allow_paths=True)
    if executor is not None:
        request = ExecutionRequest(
            workflow=asked.name, path=path, inputs=inputs, cwd=cwd, env=env, cancel=cancel, storage=kept.storage
        )
        with phase("inputs"):
            return executor.execute(request)
    with phase("config"):
        step_types = step_types_here(env, notify_backend=project.notify_backend, user_input=user_input)
    workflow = _loaded(path, step_types, inputs, warn)
    find, recorder = Catalogue(discovery, step_types).get, open_records(kept, warn=warn)
    engine = Engine(step_types=step_types, events=events, env=env, find=find, recorder=recorder)
    return engine.execute(workflow, inputs, cancel=cancel, cwd=cwd, run_id=asked.run_id)


@contextmanager
def phase(name: Phase) -> Iterator[None]:
    """What is wrong inside is why a run did not begin."""
    try:
        yield
    except AwfError as error:
        raise Refused(name, error) from error


def _given(asked: Asked, cwd: Path, env: Mapping[str, str]) -> dict[str, Any]:
    directories = prompt_dirs(cwd, env, read_environment(env).awf["prompts_dir"])
    from_file = read_inputs_file(asked.inputs_file) if asked.inputs_file is not None else {}
    return {**from_file, **parse_pairs(asked.pairs, prompt_dirs=directories)}


def _loaded(path: Path, step_types: StepTypes, inputs: Mapping[str, Any], warn: Callable[[str], None]) -> Workflow:
    with phase("load"):
        workflow = load_workflow(path, step_types)
    for warning in workflow.warnings:
        warn(warning)
    with phase("inputs"):
        _refuse_missing(workflow, inputs)
    return workflow


def _refuse_missing(workflow: Workflow, inputs: Mapping[str, Any]) -> None:
    missing = missing_required(workflow, inputs)
    if missing:
        raise InputError(
            "missing required inputs and stdin is not a terminal; provide inputs via --input flags",
            code=VALIDATION_FAILED,
            hint=f"Missing: {', '.join(missing)}. Give {' '.join(f'--input {name}=…' for name in missing)}",
        )
