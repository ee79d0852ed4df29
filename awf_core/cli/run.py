"""`awf run NAME`: run a workflow in this process, without a queue.

With `--format json` exactly one object is printed on stdout, whatever happens. Without it, stdout gets step output
(see `--output`) and stderr everything else.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import rich_click as click

from awf_core.cli.options import OutputMode, format_option, input_options, output_option, storage_option
from awf_core.cli.output import note, print_json, print_text
from awf_core.cli.run_flow import Refused, RunRequest, plan_here, run_here
from awf_core.cli.run_report import RunReport, summary
from awf_core.engine.process.line_input import LineInput
from awf_core.engine.records.paths import check_run_id
from awf_core.errors import AwfError, InputError
from awf_core.extensions.deadline import Cancel
from awf_core.extensions.results import Run, json_value
from awf_core.lang.problems import LoadError

STDIN = 0


@click.command(name="run")
@click.argument("name")
@input_options
@output_option
@click.option("--dry-run", is_flag=True, help="Print what the run would do, and run nothing.")
@click.option("--run-id", help="Id of the run.  [default: a new one]")
@storage_option
@format_option
@click.pass_context
def run_command(
    context: click.Context,
    *,
    name: str,
    pairs: tuple[str, ...],
    inputs_file: Path | None,
    output: OutputMode,
    dry_run: bool,
    run_id: str | None,
    storage: Path | None,
    output_format: str,
) -> NoReturn:
    """Run the workflow NAME (or the workflow file at that path) and wait until it ends.

    The exit code is 0 if the run completed, else the class of the error: 1 user, 2 workflow, 3 execution, 4 system.
    """
    given_id = None if run_id is None else check_run_id(run_id)
    request = RunRequest(name=name, pairs=pairs, inputs_file=inputs_file, storage=storage, run_id=given_id)
    refused_as = partial(refused_json, name)
    if dry_run:
        context.exit(_plan_and_show(request, output_format, refused_as=refused_as))
    context.exit(run_and_show(partial(run_here, request), output, output_format, refused_as=refused_as))


def _plan_and_show(request: RunRequest, output_format: str, *, refused_as: Callable[[Refused], dict[str, Any]]) -> int:
    from awf_core.cli.dry_run import plan_lines

    try:
        plan = plan_here(request, cwd=Path.cwd(), env=os.environ, warn=warn)
    except Refused as refused:
        return _show_refused(refused, output_format, refused_as)
    if output_format == "json":
        print_json(plan.as_json())
    else:
        for line in plan_lines(plan):
            print_text(line)
    return 0


def run_and_show(
    start: Callable[..., Run],
    output: OutputMode,
    output_format: str,
    *,
    refused_as: Callable[[Refused], dict[str, Any]],
    run_as: Callable[[Run], dict[str, Any]] = Run.as_json,
) -> int:
    """Run what `start` starts here, print how it ended, and return the exit code.

    `run_as` and `refused_as` make the object that `--format json` prints.
    """
    is_json = output_format == "json"
    try:
        with cancelled_by_signals() as cancel:
            run = start(
                cwd=Path.cwd(),
                env=os.environ,
                cancel=cancel,
                events=RunReport("silent" if is_json else output, cancel),
                warn=warn,
                user_input=LineInput(STDIN),
            )
    except Refused as refused:
        return _show_refused(refused, output_format, refused_as)
    if is_json:
        print_json(run_as(run))
    else:
        note(summary(run))
    return run.exit_code


def _show_refused(refused: Refused, output_format: str, refused_as: Callable[[Refused], dict[str, Any]]) -> int:
    if output_format != "json":
        raise error_of(refused) from refused
    print_json(refused_as(refused))
    return refused.exit_code


def warn(text: str) -> None:
    """Print a warning on stderr."""
    note(f"warning: {text}")


@contextmanager
def cancelled_by_signals() -> Iterator[Cancel]:
    """A token that SIGINT and SIGTERM cancel. The second signal gets its previous handler."""
    cancel = Cancel()
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def cancel_once(number: int, _frame: object) -> None:
        for each, handler in previous.items():
            signal.signal(each, handler)
        cancel.request(signal.Signals(number).name)

    for number in previous:
        signal.signal(number, cancel_once)
    try:
        yield cancel
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def error_of(refused: Refused) -> AwfError:
    """The error to show, with the exit code of `refused`: some errors are user errors here alone."""
    error = refused.error
    if error.exit_code == refused.exit_code:
        return error
    return InputError(error.message, hint=error.hint, code=error.code)


def refused_json(name: str, refused: Refused) -> dict[str, Any]:
    """An object with the keys of `Run.as_json`, for a run that did not start."""
    error = refused.error
    message = error.text if isinstance(error, LoadError) else error.message
    shown: dict[str, Any] = {
        "run_id": None,
        "workflow": name,
        "phase": refused.phase,
        "status": None,
        "exit_code": refused.exit_code,
        "context_exit_code": 0,
        "final_state": None,
        "path": [],
        "states": {},
        "inputs": {},
        "outputs": {},
        "error": {"code": error.code, "message": message},
        "duration_ms": 0,
    }
    return {key: json_value(value) for key, value in shown.items()}
