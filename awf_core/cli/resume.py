"""`awf resume ID`: resume a run that did not complete, from where it stopped or from an earlier step.

Inputs are not checked again, as in the original tool. An error that stops the run before it starts becomes
`Refused` with its phase, as in `run_flow`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import rich_click as click

from awf_core.cli.options import OutputMode, format_option, output_option, storage_option
from awf_core.cli.run import refused_json, run_and_show
from awf_core.cli.run_flow import Refused, phase
from awf_core.cli.run_inputs import parse_pairs, prompt_dirs
from awf_core.cli.status import steps_of
from awf_core.cli.step_types import step_types_here
from awf_core.config.project import load_project
from awf_core.engine.records.open_records import open_records
from awf_core.engine.records.paths import record_paths
from awf_core.engine.records.resume import CURRENT, resumption
from awf_core.engine.records.state_file import read_state
from awf_core.engine.run.engine import Engine
from awf_core.engine.run.events import Events
from awf_core.extensions.agents import UserInput
from awf_core.extensions.deadline import Cancel
from awf_core.extensions.environment import read_environment
from awf_core.extensions.results import Run
from awf_core.lang.catalogue import Catalogue
from awf_core.lang.discovery import Discovery
from awf_core.lang.model import Workflow

RESUMING = "resuming workflow"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRequest:
    """The run to resume, the step to start at, and inputs that replace its own; `storage` as in `RunRequest`."""

    run_id: str
    origin: str = CURRENT
    pairs: Sequence[str] = ()
    storage: Path | None = None


@click.command(name="resume")
@click.argument("run_id", metavar="ID")
@click.option(
    "--from",
    "origin",
    default=CURRENT,
    show_default=True,
    metavar="STEP",
    help="Where to resume: `current`, `previous`, or a step that ran. The results of later steps are discarded.",
)
@click.option(
    "--input", "-i", "pairs", multiple=True, metavar="KEY=VALUE", help="An input that replaces the run's; repeatable."
)
@output_option
@storage_option
@format_option
@click.pass_context
def resume_command(
    context: click.Context,
    *,
    run_id: str,
    origin: str,
    pairs: tuple[str, ...],
    output: OutputMode,
    storage: Path | None,
    output_format: str,
) -> NoReturn:
    """Resume the run ID, which failed, was cancelled or was killed, and wait until it ends.

    The workflow is loaded again, by its name. Exit codes are those of `awf run`; 1 for an unknown run, 3 for a
    completed one.
    """
    start = partial(resume_here, ResumeRequest(run_id=run_id, origin=origin, pairs=pairs, storage=storage))

    # The keys of `awf run`, with those that the original tool prints for a resumed run.
    def run_as(run: Run) -> dict[str, Any]:
        return {"workflow_id": run.run_id, **run.as_json(), "steps": steps_of(run.states)}

    def refused_as(refused: Refused) -> dict[str, Any]:
        return {"workflow_id": run_id, **refused_json("", refused), "run_id": run_id, "workflow": None}

    context.exit(run_and_show(start, output, output_format, refused_as=refused_as, run_as=run_as))


def resume_here(
    request: ResumeRequest,
    *,
    cwd: Path,
    env: Mapping[str, str],
    cancel: Cancel,
    events: Events,
    warn: Callable[[str], None],
    user_input: UserInput | None = None,
) -> Run:
    """Resume a run in `cwd`. Raises Refused; the parameters are those of `run_flow.run_here`."""
    with phase("config"):
        project = load_project(cwd=cwd, env=env)
        step_types = step_types_here(env, notify_backend=project.notify_backend, user_input=user_input)
    for warning in project.warnings:
        warn(warning)
    record_places = record_paths(env, storage=request.storage)
    with phase("inputs"):
        environment = read_environment(env)
        directories = prompt_dirs(cwd, env, environment.awf["prompts_dir"])
        overrides = parse_pairs(request.pairs, prompt_dirs=directories)
        saved = read_state(record_places, request.run_id)
        resumed = resumption(saved, origin=request.origin, overrides=overrides)
    catalogue = Catalogue(Discovery(cwd, env), step_types)
    with phase("load"):
        workflow = catalogue.get(saved.workflow)
    shell_notes = (environment.shell_note,) if environment.shell_note else ()
    for warning in (*shell_notes, *workflow.warnings, *_template_warnings(workflow)):
        warn(warning)
    events.run_logged(saved.run_id, workflow.name, "info", RESUMING)
    recorder = open_records(record_places, warn=warn)
    engine = Engine(
        step_types=step_types, events=events, environment=environment, find=catalogue.get, recorder=recorder
    )
    return engine.execute(workflow, {}, cancel=cancel, cwd=cwd, run_id=saved.run_id, resumption=resumed)


def _template_warnings(workflow: Workflow) -> Iterator[str]:
    """A warning for each state with a step template: a resumed run does not apply it, as in the original tool."""
    for state in workflow.states.values():
        if state.template is not None:
            yield (
                f"state '{state.name}': a resumed run does not apply its template '{state.template.name}' again; "
                "it runs the command beside `use_template`"
            )
