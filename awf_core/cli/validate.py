"""`awf validate`: report every problem of a workflow file at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from awf_core.cli.options import format_option, input_options
from awf_core.cli.output import print_json, print_text

if TYPE_CHECKING:
    from awf_core.lang.problems import Problem

INVALID = 2


@click.command()
@click.argument("name")
@input_options
@format_option
def validate_command(*, name: str, pairs: tuple[str, ...], inputs_file: Path | None, output_format: str) -> int:
    """Check the workflow NAME (or the workflow file at that path) and print every problem with its line.

    Inputs that the project or these options give are available to the run; an undeclared one is a warning then.

    The exit code is 0 if the workflow can run (warnings don't count), 2 if it has errors, 1 if there is no such file.
    """
    from awf_core.cli.run_inputs import parse_pairs, read_inputs_file
    from awf_core.cli.step_types import step_types_here
    from awf_core.config.project import load_project
    from awf_core.lang.discovery import Discovery
    from awf_core.lang.lint import lint_file

    cwd = Path.cwd()
    path = Discovery(cwd, os.environ).resolve(name, allow_paths=True)
    from_file = read_inputs_file(inputs_file) if inputs_file is not None else {}
    given = {*load_project(cwd=cwd, env=os.environ).inputs, *from_file, *parse_pairs(pairs, prompt_dirs=None)}
    problems = lint_file(path, step_types_here(os.environ), given_inputs=given)
    errors = [problem for problem in problems if problem.severity == "error"]
    if output_format == "json":
        print_json(
            {
                "valid": not errors,
                "workflow": name,
                "errors": [_as_json(problem) for problem in errors],
                "warnings": [_as_json(problem) for problem in problems if problem.severity == "warning"],
            }
        )
    else:
        for problem in problems:
            print_text(f"{problem.severity}: " + problem.located(path))
        if not problems:
            print_text(f"{path}: no problems")
    return INVALID if errors else 0


def _as_json(problem: Problem) -> dict[str, object]:
    where = {"field": problem.field} if problem.field else {}
    return {"line": problem.line, **where, "message": problem.message, "code": problem.code, "hint": problem.hint}
