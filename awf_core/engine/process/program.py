"""Run a program for an operation or an agent provider to its end; it is found on the run's PATH.

Called by integrations and plugins. No shell: the arguments arrive as they are. On timeout or cancel the program and all
it started are killed, as with a command step.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from awf_core.engine.process.captured import SETTING, OutputLimit
from awf_core.engine.process.run_process import Finished, run_process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.extensions.outward import OnOutput, OutwardContext


class ProgramMissing(Exception):
    """No program of that name on PATH; the text is the original tool's."""


def run_program(
    argv: Sequence[str],
    context: OutwardContext,
    *,
    on_output: OnOutput | None = None,
    limit_s: float | None = None,
) -> Finished:
    """Run `argv` in the run's directory with empty standard input; at most `limit_s`, None = the step's own limit.

    Of each output, `context.max_output_bytes` are kept; a line in it and a warning in the run's log name the cut.
    Raises ProgramMissing. What the program does is in the result, never an exception.
    """
    path = _found(argv[0], context)
    left_s = context.deadline.left_s()
    times_s = [seconds for seconds in (left_s, limit_s) if seconds is not None]
    finished = run_process(
        [path, *argv[1:]],
        env=context.process_env,
        cwd=str(context.cwd),
        timeout_s=min(times_s) if times_s else None,
        cancel=context.deadline.cancel,
        on_output=on_output,
        output_limit=OutputLimit(max_bytes=context.max_output_bytes),
    )
    if finished.cut_bytes:
        context.log("warn", f"{argv[0]}: {finished.cut_bytes} bytes of its output left out, see {SETTING}")
    return replace(finished, problem=finished.problem.replace(f"fork/exec {path}", f"fork/exec {argv[0]}"))


def text_of(data: bytes) -> str:
    """Output as text. Bytes that are not UTF-8 become lone surrogates, as everywhere in the engine."""
    return data.decode("utf-8", "surrogateescape")


def _found(program: str, context: OutwardContext) -> str:
    path = shutil.which(program, path=context.env.get("PATH", ""))
    if path is None:
        raise ProgramMissing(f'exec: "{program}": executable file not found in $PATH')
    return path
