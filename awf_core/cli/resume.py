"""`awf resume ID`: go on with a run that did not complete, from where it stopped or an earlier step."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import rich_click as click

from awf_core.cli.output import format_option, note, print_json
from awf_core.cli.resume_flow import AskedAgain, resume_here
from awf_core.cli.run import STDIN, cancelled_by_signals, error_of, refused_json, warn
from awf_core.cli.run_flow import Refused
from awf_core.cli.run_report import OutputMode, RunReport, output_option, summary
from awf_core.cli.run_view import steps_of
from awf_core.cli.storage_option import storage_option
from awf_core.engine.process.line_input import LineInput

if TYPE_CHECKING:
    from typing import Any

    from awf_core.extensions.results import Run


@click.command(name="resume")
@click.argument("run_id", metavar="ID")
@click.option(
    "--from",
    "origin",
    default="current",
    show_default=True,
    metavar="STEP",
    help="Where to go on: `current`, `previous`, or a step that ran; what ran after it is forgotten.",
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
    """Go on with the run ID, which failed, was cancelled or died, and wait for its end.

    The workflow is loaded anew, by its name. Exit codes are those of `awf run`; 1 for an unknown run, 3 for a
    completed one.
    """
    is_json = output_format == "json"
    asked = AskedAgain(run_id=run_id, origin=origin, pairs=pairs, storage=storage)
    try:
        with cancelled_by_signals() as cancel:
            run = resume_here(
                asked,
                cwd=Path.cwd(),
                env=os.environ,
                cancel=cancel,
                events=RunReport("silent" if is_json else output, cancel),
                warn=warn,
                user_input=LineInput(STDIN),
            )
    except Refused as refused:
        if not is_json:
            raise error_of(refused) from refused
        print_json({"workflow_id": run_id, **refused_json("", refused), "run_id": run_id, "workflow": None})
        context.exit(refused.exit_code)
    if is_json:
        print_json(_as_json(run))
    else:
        note(summary(run))
    context.exit(run.exit_code)


def _as_json(run: Run) -> dict[str, Any]:
    """The object of `awf run --format json`, with the keys the original tool prints for a resumed run beside it."""
    return {"workflow_id": run.run_id, **run.as_json(), "steps": steps_of(run.states)}
