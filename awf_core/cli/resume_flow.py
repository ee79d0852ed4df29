"""The way of `awf resume` without its command line: configuration, saved state, loading, the engine.

Called by `resume.py`. Inputs are not checked again, as in the original tool; what stops the run before it begins is
Refused with its phase, as in `run_flow`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from awf_core.cli.run_flow import phase
from awf_core.cli.run_inputs import parse_pairs, prompt_dirs
from awf_core.cli.step_types import step_types_here
from awf_core.config.project import load_project
from awf_core.engine.records.open_records import open_records
from awf_core.engine.records.paths import record_paths
from awf_core.engine.records.resume import CURRENT, resumption
from awf_core.engine.records.state_file import read_state
from awf_core.engine.run.engine import Engine
from awf_core.extensions.environment import read_environment
from awf_core.lang.catalogue import Catalogue
from awf_core.lang.discovery import Discovery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from awf_core.engine.run.events import Events
    from awf_core.extensions.agents import UserInput
    from awf_core.extensions.deadline import Cancel
    from awf_core.extensions.results import Run
    from awf_core.lang.model import Workflow

RESUMING = "resuming workflow"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedAgain:
    """The run to be resumed, from where, and inputs that replace its own; `storage` as in `run_flow.Asked`."""

    run_id: str
    origin: str = CURRENT
    pairs: Sequence[str] = ()
    storage: Path | None = None


def resume_here(
    asked: AskedAgain,
    *,
    cwd: Path,
    env: Mapping[str, str],
    cancel: Cancel,
    events: Events,
    warn: Callable[[str], None],
    user_input: UserInput | None = None,
) -> Run:
    """Go on with a run in `cwd`. Raises Refused; the rest as `run_flow.run_here`."""
    with phase("config"):
        project = load_project(cwd=cwd, env=env)
        step_types = step_types_here(env, notify_backend=project.notify_backend, user_input=user_input)
    for warning in project.warnings:
        warn(warning)
    kept = record_paths(env, storage=asked.storage)
    with phase("inputs"):
        directories = prompt_dirs(cwd, env, read_environment(env).awf["prompts_dir"])
        overrides = parse_pairs(asked.pairs, prompt_dirs=directories)
        saved = read_state(kept, asked.run_id)
        taken_up = resumption(saved, origin=asked.origin, overrides=overrides)
    catalogue = Catalogue(Discovery(cwd, env), step_types)
    with phase("load"):
        workflow = catalogue.get(saved.workflow)
    for warning in (*workflow.warnings, *_unfilled(workflow)):
        warn(warning)
    events.run_logged(saved.run_id, workflow.name, "info", RESUMING)
    recorder = open_records(kept, warn=warn)
    engine = Engine(step_types=step_types, events=events, env=env, find=catalogue.get, recorder=recorder)
    return engine.execute(workflow, {}, cancel=cancel, cwd=cwd, run_id=saved.run_id, resumption=taken_up)


def _unfilled(workflow: Workflow) -> Iterator[str]:
    """States whose step template is not filled in: the language has it so for resumed runs."""
    for state in workflow.states.values():
        if state.template is not None:
            yield (
                f"state '{state.name}': its template '{state.template.name}' is not filled in again by a resumed run; "
                "the command beside `use_template` is what runs"
            )
