"""The command step: a text for the shell or a script file, run as a process and tried again as asked.

Registered by `builtin_step_types`. What fails inside the process is a result; what fails before, in a
template or in reading a script, ends the run.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from awf_core.engine import retry
from awf_core.engine.allowance import DEADLINE_TEXT
from awf_core.engine.machine import Routing
from awf_core.engine.process import Finished, run_process
from awf_core.engine.secrets import mask
from awf_core.engine.steps.awf_dirs import prefer_local
from awf_core.engine.steps.context import Cause, StepAborted, StepContext, StepResult
from awf_core.engine.steps.script import read_script, script_command, script_path, script_template
from awf_core.errors import AwfError
from awf_core.lang.problems import StepProblem
from awf_core.lang.templates import compile_template

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from awf_core.lang.fields import StateFields
    from awf_core.lang.model import State
    from awf_core.lang.step_templates import Filled
    from awf_core.lang.templates import Template

_START_FAILURE_CODE = 1
"""What a process that could not be started counts as when a retry rule names exit codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """What a command step runs: exactly one of `command` and `script_file`, in `dir` where that is set."""

    command: Template | None = None
    script_file: Template | None = None
    dir: Template | None = None


class CommandStep:
    """`type: step`. Its transitions are looked at after a failure too."""

    name = "step"
    aliases: tuple[str, ...] = ("command",)
    routing = Routing(transitions_on_failure=True)

    def parse(self, fields: StateFields) -> CommandSpec:
        """Read `command`, `script_file` and `dir`.

        Raises StepProblem unless exactly one of the first two is there.
        """
        command, script_file, directory = (fields.text(key) for key in ("command", "script_file", "dir"))
        if command and script_file:
            raise StepProblem("command and script_file are mutually exclusive", key="script_file")
        if not command and not script_file:
            raise StepProblem("either command or script_file is required for command-type steps")
        return CommandSpec(
            command=compile_template(command) if command else None,
            script_file=compile_template(script_file) if script_file else None,
            dir=compile_template(directory) if directory else None,
        )

    def apply_template(self, spec: CommandSpec, filled: Filled) -> CommandSpec:
        """`spec` with the command of a step template, and its directory where `spec` names none."""
        directory = spec.dir or (compile_template(filled.dir) if filled.dir else None)
        if spec.script_file is not None:
            return replace(spec, dir=directory)
        return replace(spec, command=compile_template(filled.command), dir=directory)

    def successor(self, state: State) -> str | None:
        """`on_success`."""
        return state.on_success

    def run(self, state: State, context: StepContext) -> StepResult:
        """Run the process, again after a failure while `retry:` says so. See `StepType.run`."""
        assert isinstance(state.spec, CommandSpec)
        with _argv(state.spec, context) as argv:
            return _attempts(state, argv, _directory(state.spec, context), context)


@contextlib.contextmanager
def _argv(spec: CommandSpec, context: StepContext) -> Iterator[Sequence[str]]:
    surroundings = context.execution.surroundings
    if spec.command is not None:
        command = _localised(_rendered(spec.command, "command", context), context)
        yield [surroundings.shell, "-c", command]
        return
    assert spec.script_file is not None
    workflow_file = context.execution.workflow.source
    written = _localised(_rendered(spec.script_file, "script_file", context), context)
    content = read_script(script_path(written, workflow_file=workflow_file, home=surroundings.home))
    with script_command(_rendered(script_template(content), "script", context), surroundings) as argv:
        yield argv


def _directory(spec: CommandSpec, context: StepContext) -> str:
    cwd = context.execution.cwd
    if spec.dir is None:
        return str(cwd)
    written = _localised(_rendered(spec.dir, "dir", context), context)
    return str(cwd / Path(written)) if written else str(cwd)


def _rendered(template: Template, what: str, context: StepContext) -> str:
    try:
        return template.render(context.scope)
    except AwfError as problem:
        raise StepAborted(f"interpolate {what}: {problem.message}") from problem


def _localised(text: str, context: StepContext) -> str:
    execution = context.execution
    return prefer_local(
        text, awf=execution.surroundings.awf, workflow_file=execution.workflow.source, cwd=execution.cwd
    )


def _attempts(state: State, argv: Sequence[str], directory: str, context: StepContext) -> StepResult:
    attempt = 0
    while True:
        attempt += 1
        finished = _once(argv, directory, context)
        result = _result(finished, attempt, context)
        if not _goes_on(state, finished, attempt):
            return result
        assert state.retry is not None
        interrupted = context.allowance.sleep(retry.delay_s(state.retry, attempt, context.rng))
        if interrupted is not None:
            cause: Cause = "timeout" if interrupted == DEADLINE_TEXT else "cancelled"
            return replace(result, error=f"retry wait interrupted: {interrupted}", cause=cause)


def _once(argv: Sequence[str], directory: str, context: StepContext) -> Finished:
    return run_process(
        argv,
        env=context.execution.step_env,
        cwd=directory,
        timeout_s=context.allowance.left_s(),
        cancel=context.allowance.cancel,
        on_output=context.on_output,
    )


def _goes_on(state: State, finished: Finished, attempt: int) -> bool:
    if finished.end in ("timeout", "cancelled") or (finished.end == "exited" and finished.exit_code == 0):
        return False
    exit_code = finished.exit_code if finished.end == "exited" else _START_FAILURE_CODE
    return retry.is_retried(state.retry, attempt=attempt, exit_code=exit_code)


def _result(finished: Finished, attempt: int, context: StepContext) -> StepResult:
    output, stderr = (_captured(data, context.execution.secrets) for data in (finished.stdout, finished.stderr))
    succeeded = finished.failure is None and finished.exit_code == 0
    error = finished.failure or stderr or f"exit code {finished.exit_code}"
    return StepResult(
        status="completed" if succeeded else "failed",
        output=output,
        stderr=stderr,
        exit_code=finished.exit_code,
        attempt=attempt,
        error="" if succeeded else error,
        cause=finished.end if finished.end in ("timeout", "cancelled") else "",
    )


def _captured(data: bytes, secrets: tuple[str, ...]) -> str:
    return mask(data.decode("utf-8", "surrogateescape"), secrets)
