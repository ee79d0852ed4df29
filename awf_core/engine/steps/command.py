"""The command step: a text for the shell or a script file, run as a process and tried again as asked.

Registered by `builtin_step_types`. A failure of the process is a result; a failure before it starts, in a template or
in reading a script, ends the run.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from awf_core.engine.process.captured import OutputLimit
from awf_core.engine.process.run_process import Finished, run_process
from awf_core.engine.secrets import mask
from awf_core.engine.steps.script import prefer_local, read_script, script_command, script_path, script_template
from awf_core.errors import AwfError
from awf_core.extensions.deadline import DEADLINE_TEXT
from awf_core.extensions.results import Cause
from awf_core.extensions.steps import Routing, StepAborted, StepContext, StepResult, StepType
from awf_core.lang.fields import StateFields
from awf_core.lang.go.quoting import quoted
from awf_core.lang.model import RetryRule, State
from awf_core.lang.problems import StepProblem
from awf_core.lang.scope import Scope
from awf_core.lang.shell_text import UnsafeInput, render_script, render_script_name, render_shell
from awf_core.lang.step_templates import Filled
from awf_core.lang.templates import Template, compile_template
from awf_core.lang.untrusted import UNPASSABLE_INPUT

Render: TypeAlias = "Callable[[Template, Scope], str]"

_LONGEST_MS = 2**63 / 1e6
_START_FAILURE_CODE = 1
"""What a process that could not be started counts as when a retry rule names exit codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """What a command step runs: exactly one of `command` and `script_file`, in `dir` where that is set."""

    command: Template | None = None
    script_file: Template | None = None
    dir: Template | None = None


class CommandStep(StepType):
    """`type: step`. Its transitions apply after a failure too."""

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

    def run(self, state: State, context: StepContext) -> StepResult:
        """Run the process, again after a failure while `retry:` says so. See `StepType.run`."""
        assert isinstance(state.spec, CommandSpec)
        with _argv(state.spec, context) as argv:
            return _attempts(state, argv, _directory(state.spec, context), context)


@contextlib.contextmanager
def _argv(spec: CommandSpec, context: StepContext) -> Iterator[Sequence[str]]:
    environment = context.execution.environment
    if spec.command is not None:
        command = _localised(_filled_in(render_shell, spec.command, "command", context), context)
        yield [environment.shell, "-c", command]
        return
    assert spec.script_file is not None
    workflow_file = context.execution.workflow.source
    written = _localised(_filled_in(render_script_name, spec.script_file, "script_file", context), context)
    content = read_script(script_path(written, workflow_file=workflow_file, home=environment.home))
    filled_in = _filled_in(render_script, script_template(content), "script", context)
    with script_command(filled_in, environment) as argv:
        yield argv


def _directory(spec: CommandSpec, context: StepContext) -> str:
    cwd = context.execution.cwd
    if spec.dir is None:
        return str(cwd)
    written = _localised(_filled_in(Template.render, spec.dir, "dir", context), context)
    return str(cwd / Path(written)) if written else str(cwd)


def _filled_in(render: Render, template: Template, what: str, context: StepContext) -> str:
    try:
        return render(template, context.scope)
    except UnsafeInput as problem:
        raise StepAborted(f"interpolate {what}: {problem.message}", code=problem.code) from problem
    except AwfError as problem:
        raise StepAborted(f"interpolate {what}: {problem.message}") from problem


def _localised(text: str, context: StepContext) -> str:
    execution = context.execution
    return prefer_local(text, awf=execution.environment.awf, workflow_file=execution.workflow.source, cwd=execution.cwd)


def _attempts(state: State, argv: Sequence[str], directory: str, context: StepContext) -> StepResult:
    attempt = 0
    while True:
        attempt += 1
        finished = _once(argv, directory, context)
        if finished.is_unpassable and context.scope.untrusted is not None:
            raise StepAborted(f"step {state.name}: {unpassable_text(finished, context)}", code=UNPASSABLE_INPUT)
        result = _result(finished, attempt, context)
        if not _wants_retry(state, finished, attempt):
            return result
        assert state.retry is not None
        interrupted = context.deadline.sleep(delay_s(state.retry, attempt, context.rng))
        if interrupted is not None:
            cause: Cause = "timeout" if interrupted == DEADLINE_TEXT else "cancelled"
            return replace(result, error=f"retry wait interrupted: {interrupted}", cause=cause)


def _once(argv: Sequence[str], directory: str, context: StepContext) -> Finished:
    secrets = tuple(value.encode("utf-8", "surrogatepass") for value in context.execution.secrets)
    return run_process(
        argv,
        env=context.execution.step_env,
        cwd=directory,
        timeout_s=context.deadline.left_s(),
        cancel=context.deadline.cancel,
        on_output=context.on_output,
        output_limit=OutputLimit(max_bytes=context.execution.environment.max_output_bytes, secrets=secrets),
    )


def unpassable_text(finished: Finished, context: StepContext) -> str:
    """Why no process can be started with the text and the inputs of this run."""
    texts = {name: value for name, value in context.execution.inputs.items() if isinstance(value, str)}
    sizes = {name: len(value.encode("utf-8", "surrogatepass")) for name, value in texts.items()}
    largest = max(sizes, key=lambda name: sizes[name], default=None)
    shown = "" if largest is None else f"; the largest input is {quoted(largest)} with {sizes[largest]} bytes"
    return f"{finished.failure}: a text or an input is too large for a process, or holds a NUL{shown}"


def _wants_retry(state: State, finished: Finished, attempt: int) -> bool:
    if finished.end in ("timeout", "cancelled") or (finished.end == "exited" and finished.exit_code == 0):
        return False
    exit_code = finished.exit_code if finished.end == "exited" else _START_FAILURE_CODE
    return is_retried(state.retry, attempt=attempt, exit_code=exit_code)


def _result(finished: Finished, attempt: int, context: StepContext) -> StepResult:
    output, stderr = (_captured(data, context.execution.secrets) for data in (finished.stdout, finished.stderr))
    succeeded = finished.failure is None and finished.exit_code == 0
    error = finished.failure or stderr or f"exit code {finished.exit_code}"
    return StepResult(
        status="completed" if succeeded else "failed",
        output=output,
        stderr=stderr,
        output_cut_bytes=finished.stdout_cut_bytes,
        stderr_cut_bytes=finished.stderr_cut_bytes,
        exit_code=finished.exit_code,
        attempt=attempt,
        error="" if succeeded else error,
        cause=finished.end if finished.end in ("timeout", "cancelled") else "",
    )


def _captured(data: bytes, secrets: tuple[str, ...]) -> str:
    return mask(data.decode("utf-8", "surrogateescape"), secrets)


def is_retried(rule: RetryRule | None, *, attempt: int, exit_code: int) -> bool:
    """Whether failed attempt number `attempt` (from 1) is followed by another."""
    if rule is None or attempt >= rule.max_attempts:
        return False
    return not rule.retryable_exit_codes or exit_code in rule.retryable_exit_codes


def delay_s(rule: RetryRule, attempt: int, rng: random.Random) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 1), never negative."""
    delay_ms = backoff_ms(rule, attempt)
    if rule.jitter:
        delay_ms *= 1 + rule.jitter * rng.uniform(-1, 1)
    return max(0.0, delay_ms / 1000)


def backoff_ms(rule: RetryRule, attempt: int) -> float:
    """The same without jitter, in milliseconds; `max_delay_ms` caps it where it is set."""
    initial_ms = float(rule.initial_delay_ms)
    if rule.backoff == "linear":
        delay_ms = initial_ms * attempt
    elif rule.backoff == "exponential":
        delay_ms = initial_ms * _power(rule.multiplier, attempt - 1)
    else:
        delay_ms = initial_ms
    return min(delay_ms, float(rule.max_delay_ms) if rule.max_delay_ms else _LONGEST_MS)


def _power(base: float, exponent: int) -> float:
    try:
        return float(base**exponent)
    except OverflowError:
        return float("inf")
