"""The command line of Google's Gemini: `gemini`. Registered by `awf_core.integrations`. Pure."""

from __future__ import annotations

from awf_core.extensions.agents import AgentRequest
from awf_core.integrations.agents import parse
from awf_core.integrations.agents.cli_provider import Dialect, Options, first_prompt, session_of


def _arguments(request: AgentRequest) -> list[str]:
    session = session_of(request)
    approval = ["--approval-mode=yolo"] if parse.is_set(request.options, "dangerously_skip_permissions") else []
    return [
        *approval,
        *("--output-format", "stream-json"),
        *parse.flag_and_value(request.options, "model", "--model"),
        *(["--resume", session, "-p", request.prompt] if session else ["-p", first_prompt(request)]),
    ]


def _rejection(options: Options) -> str | None:
    allowed = "must start with 'gemini-'"
    return parse.model_fault(options, fits=lambda model: model.startswith("gemini-"), allowed=allowed)


def _said(event: parse.Event) -> str:
    is_answer = event.get("type") == "message" and event.get("role") == "assistant"
    return parse.text_at(event, "content") if is_answer else ""


GEMINI = Dialect(
    name="gemini",
    program="gemini",
    arguments=_arguments,
    answer=lambda raw: parse.joined(raw, _said) or None,
    shown=lambda line: _said(parse.event_of(line) or {}),
    rejection=_rejection,
    session=lambda raw: parse.text_at(parse.first_event(raw, "init"), "session_id"),
    usage=lambda raw: parse.usage_of(
        parse.inner(parse.first_event(raw, "result"), "stats"),
        input_key="input_tokens",
        output_key="output_tokens",
        total_key="total_tokens",
    ),
    known=frozenset({"model", "dangerously_skip_permissions"}),
    keeps_stream_in_session=True,
)
