"""Ask an agent through its command line. One class for all of them; a `Dialect` holds what differs.

Registered by `awf_core.integrations`. The program gets the process's environment and no input. A worker keeps
`mq.max_output_bytes` of its output; a line that is cut is no event of the agent any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from awf_core.engine.process.program import ProgramMissing, run_program, text_of
from awf_core.engine.process.run_process import Finished
from awf_core.extensions.agents import AgentAnswer, AgentFailed, AgentRequest, Tokens, estimate_tokens
from awf_core.extensions.deadline import CANCELLED_TEXT, DEADLINE_TEXT
from awf_core.extensions.outward import OutwardContext
from awf_core.extensions.results import Cause
from awf_core.integrations.agents.parse import Usage, misspelt

Options = Mapping[str, Any]
_NOTHING_SAID = " "
"""The answer of an agent that wrote nothing, as in the original: an empty one would appear to be a failure."""
_LONGEST_LINE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """name         the provider's name, program the command's
    arguments    what follows the program
    answer       the final text in the raw output, None where it can't be made out: then the raw output is the answer
    shown        what a line of the output shows to a caller that watches, empty = nothing
    rejection    why these options can't be used, None when they can
    session      the session's id in the raw output
    usage        the tokens the raw output counts, None where it counts none
    response     what the raw output reports about the answer, under `output_format: json`
    keeps_stream_in_session   a state with a session has the raw output as its answer, as in the original
    known        the options it reads
    """

    name: str
    program: str
    arguments: Callable[[AgentRequest], list[str]]
    answer: Callable[[str], str | None]
    shown: Callable[[str], str]
    rejection: Callable[[Options], str | None] = lambda _: None
    session: Callable[[str], str] = lambda _: ""
    usage: Callable[[str], Usage | None] = lambda _: None
    response: Callable[[str], dict[str, Any] | None] = lambda _: None
    known: frozenset[str] = frozenset()
    keeps_stream_in_session: bool = False


def first_prompt(request: AgentRequest) -> str:
    """The prompt with the system prompt before it, for agents that have no other place for one.

    Only a tracked session has one: the original ignores `system_prompt` elsewhere.
    """
    system = request.options.get("system_prompt")
    if request.conversation is None or not isinstance(system, str) or not system:
        return request.prompt
    return f"{system}\n\n{request.prompt}"


def session_of(request: AgentRequest) -> str:
    """The session to continue, empty for a new one."""
    return request.conversation.session_id if request.conversation is not None else ""


class CliProvider:
    """The provider that speaks `dialect`."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def run(self, request: AgentRequest, context: OutwardContext) -> AgentAnswer:
        """Run the command line once. See `AgentProvider.run`."""
        dialect = self._dialect
        for spelt, meant in misspelt(request.options, dialect.known):
            context.log("warn", f"option '{spelt}' is ignored; {dialect.name} reads '{meant}'")
        if (rejection := dialect.rejection(request.options)) is not None:
            raise AgentFailed(rejection)
        finished = self._finished([dialect.program, *dialect.arguments(request)], context, is_json=_wants_json(request))
        raw = text_of(finished.stdout) + text_of(finished.stderr)
        output = self._answer(raw, has_session=request.conversation is not None)
        return AgentAnswer(
            output=output,
            tokens=self._tokens(request, raw, output),
            response=dialect.response(raw) if _wants_json(request) else None,
            session_id=dialect.session(raw),
            output_cut_bytes=finished.cut_bytes,
        )

    def _answer(self, raw: str, *, has_session: bool) -> str:
        if has_session and self._dialect.keeps_stream_in_session:
            return raw or _NOTHING_SAID
        answer = self._dialect.answer(raw)
        if answer is not None:
            return answer
        return (raw.strip() if has_session else raw) or _NOTHING_SAID

    def _finished(self, argv: list[str], context: OutwardContext, *, is_json: bool) -> Finished:
        watched = _ShownLines(self._dialect.shown, context.on_output, is_raw=is_json) if context.on_output else None
        try:
            finished = run_program(argv, context, on_output=watched)
        except ProgramMissing as problem:
            raise self._failed(f"CLI start failed for '{argv[0]}': {problem}") from problem
        if watched is not None:
            watched.flush()
        self._check(argv[0], finished)
        return finished

    def _check(self, program: str, finished: Finished) -> None:
        match finished.end:
            case "timeout":
                raise self._failed(f"CLI execution cancelled for '{program}': {DEADLINE_TEXT}", cause="timeout")
            case "cancelled":
                raise self._failed(f"CLI execution cancelled for '{program}': {CANCELLED_TEXT}", cause="cancelled")
            case "not_started":
                failed = self._failed(f"CLI start failed for '{program}': {finished.problem}")
                failed.is_unpassable = finished.is_unpassable
                raise failed
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
            # With a session the original adds up the two; the agent's own total may count more.
            used = usage.total if request.conversation is None else usage.input + usage.output
            return Tokens(used=used, input=usage.input, output=usage.output)
        written = estimate_tokens(output)
        if request.conversation is None:
            return Tokens(used=written, output=written, estimated=True)
        said = [turn.content for turn in request.conversation.turns]
        read = estimate_tokens("".join([*said, request.prompt]))
        return Tokens(used=read + written, input=read, output=written, estimated=True)


def _wants_json(request: AgentRequest) -> bool:
    return request.options.get("output_format") in ("json", "stream-json")


class _ShownLines:
    """Passes on what the lines of a running agent show. A line longer than `_LONGEST_LINE_BYTES` shows nothing."""

    def __init__(self, shown: Callable[[str], str], pass_on: Callable[[str, bytes], None], *, is_raw: bool) -> None:
        self._shown = shown
        self._pass_on = pass_on
        self._is_raw = is_raw
        self._rest = b""
        self._is_too_long = False

    def __call__(self, stream: str, data: bytes) -> None:
        if stream != "stdout" or self._is_raw:
            self._pass_on(stream, data)
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._show(line)
        if len(self._rest) > _LONGEST_LINE_BYTES:
            self._rest, self._is_too_long = b"", True

    def flush(self) -> None:
        """The last line, which may have no end."""
        self._show(self._rest)
        self._rest = b""

    def _show(self, line: bytes) -> None:
        if self._is_too_long:
            self._is_too_long = False
            return
        if line and (text := self._shown(text_of(line))):
            self._pass_on("stdout", f"{text}\n".encode("utf-8", "surrogateescape"))
