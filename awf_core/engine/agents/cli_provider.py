"""Ask an agent through its command line. One class for all of them; what differs is in the `Dialect`.

Registered by `registry.py`. The program gets no input and the process's environment; its output is read whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.engine.agents import AgentAnswer, AgentFailed, AgentRequest, estimate_tokens
from awf_core.engine.agents.options import misspelt
from awf_core.engine.allowance import CANCELLED_TEXT, DEADLINE_TEXT
from awf_core.engine.outward.program import ProgramMissing, run_program, text_of
from awf_core.engine.record import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from awf_core.engine.agents.cli_dialect import Dialect
    from awf_core.engine.outward.context import OutwardContext
    from awf_core.engine.process import Finished
    from awf_core.engine.steps.context import Cause

_NOTHING_SAID = " "
"""What stands for an answer of nothing, as in the original: an empty one would look like a failure."""


class CliProvider:
    """The provider that speaks `dialect`."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def run(self, request: AgentRequest, context: OutwardContext) -> AgentAnswer:
        """Run the command line once. See `AgentProvider.run`."""
        dialect = self._dialect
        for written, meant in misspelt(request.options, dialect.known):
            context.log("warn", f"option '{written}' is ignored; {dialect.name} reads '{meant}'")
        if (refusal := dialect.refusal(request.options)) is not None:
            raise AgentFailed(refusal)
        raw = self._output([dialect.program, *dialect.arguments(request)], context, is_json=_wants_json(request))
        output = dialect.answer(raw)
        if output is None:
            output = (raw.strip() if request.conversation is not None else raw) or _NOTHING_SAID
        return AgentAnswer(
            output=output,
            tokens=self._tokens(request, raw, output),
            response=dialect.response(raw) if _wants_json(request) else None,
            session_id=dialect.session(raw),
        )

    def _output(self, argv: list[str], context: OutwardContext, *, is_json: bool) -> str:
        watched = _ShownLines(self._dialect.shown, context.on_output, is_raw=is_json) if context.on_output else None
        try:
            finished = run_program(argv, context, on_output=watched)
        except ProgramMissing as problem:
            raise self._failed(f"CLI start failed for '{argv[0]}': {problem}") from problem
        if watched is not None:
            watched.flush()
        self._check(argv[0], finished)
        return text_of(finished.stdout) + text_of(finished.stderr)

    def _check(self, program: str, finished: Finished) -> None:
        match finished.end:
            case "timeout":
                raise self._failed(f"CLI execution cancelled for '{program}': {DEADLINE_TEXT}", cause="timeout")
            case "cancelled":
                raise self._failed(f"CLI execution cancelled for '{program}': {CANCELLED_TEXT}", cause="cancelled")
            case "not_started":
                raise self._failed(f"CLI start failed for '{program}': {finished.problem}")
            case "pipes_held":
                why = "exec: WaitDelay expired before I/O complete"
                raise self._failed(f"CLI execution failed for '{program}': {why}")
            case "exited" if finished.exit_code:
                why = f"exit status {finished.exit_code}" if finished.exit_code > 0 else "signal: killed"
                raise self._failed(f"CLI execution failed for '{program}': {why}")

    def _failed(self, text: str, *, cause: Cause = "") -> AgentFailed:
        return AgentFailed(f"{self._dialect.name} execution failed: {text}", cause=cause)

    def _tokens(self, request: AgentRequest, raw: str, output: str) -> Tokens:
        usage = self._dialect.usage(raw)
        if usage is not None:
            return Tokens(used=usage.total, input=usage.input, output=usage.output)
        given = estimate_tokens(output)
        if request.conversation is None:
            return Tokens(used=given, output=given, estimated=True)
        said = [turn.content for turn in request.conversation.turns]
        taken = estimate_tokens("".join([*said, request.prompt]))
        return Tokens(used=taken + given, input=taken, output=given, estimated=True)


def _wants_json(request: AgentRequest) -> bool:
    return request.options.get("output_format") in ("json", "stream-json")


class _ShownLines:
    """Passes on what the lines of a running agent show."""

    def __init__(self, shown: Callable[[str], str], give: Callable[[str, bytes], None], *, is_raw: bool) -> None:
        self._shown = shown
        self._give = give
        self._is_raw = is_raw
        self._rest = b""

    def __call__(self, stream: str, data: bytes) -> None:
        if stream != "stdout" or self._is_raw:
            self._give(stream, data)
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._show(line)

    def flush(self) -> None:
        """The last line, which may have no end."""
        self._show(self._rest)
        self._rest = b""

    def _show(self, line: bytes) -> None:
        if line and (text := self._shown(text_of(line))):
            self._give("stdout", f"{text}\n".encode("utf-8", "surrogateescape"))
