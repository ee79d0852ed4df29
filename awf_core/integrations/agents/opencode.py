"""The command line of OpenCode: `opencode run`. Registered by `awf_core.integrations`. Pure."""

from __future__ import annotations

from awf_core.extensions.agents import AgentRequest
from awf_core.integrations.agents import parse
from awf_core.integrations.agents.cli_provider import Dialect, Options, first_prompt, session_of


def _arguments(request: AgentRequest) -> list[str]:
    options, conversation = request.options, request.conversation
    has_begun = conversation is not None and conversation.has_begun
    skip = ["--dangerously-skip-permissions"] if parse.is_set(options, "dangerously_skip_permissions") else []
    return [
        *("run", request.prompt if has_begun else first_prompt(request), "--format", "json"),
        *parse.flag_and_value(options, "model", "--model"),
        *skip,
        *_resume(session_of(request), has_begun=has_begun),
        *parse.flag_and_value(options, "framework", "--framework"),
        *(["--verbose"] if parse.is_set(options, "verbose") else []),
        *parse.flag_and_value(options, "output_dir", "--output"),
    ]


def _resume(session: str, *, has_begun: bool) -> list[str]:
    """A session without a name is continued as the last one."""
    if session:
        return ["-s", session]
    return ["-c"] if has_begun else []


def _rejection(options: Options) -> str | None:
    if not isinstance(options.get("output_dir", ""), str):
        return "output_dir must be a string"
    return None if isinstance(options.get("verbose", False), bool) else "verbose must be a boolean"


def _said(event: parse.Event) -> str:
    return parse.text_at(parse.inner(event, "part"), "text") if event.get("type") == "text" else ""


def _session(raw: str) -> str:
    named = parse.text_at(parse.first_event(raw, "step_start"), "sessionID")
    return named or next((name for event in parse.events(raw) if (name := parse.text_at(event, "sessionID"))), "")


OPENCODE = Dialect(
    name="opencode",
    program="opencode",
    arguments=_arguments,
    answer=lambda raw: parse.joined(raw, _said) or None,
    shown=lambda line: _said(parse.event_of(line) or {}),
    rejection=_rejection,
    session=_session,
    usage=lambda raw: parse.usage_of(
        parse.inner(parse.first_event(raw, "step_finish"), "part", "tokens"),
        input_key="input",
        output_key="output",
        total_key="total",
    ),
    known=frozenset({"model", "dangerously_skip_permissions", "framework", "verbose", "output_dir"}),
    keeps_stream_in_session=True,
)
