"""The command line of Google's Gemini: `gemini`. Read by `registry.py`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.engine.agents.cli_dialect import Dialect, Options, first_prompt, session_of
from awf_core.engine.agents.events import Event, first_event, inner, joined, parse_event, text_at, usage_of
from awf_core.engine.agents.options import flag_and_value, is_set, text_option

if TYPE_CHECKING:
    from awf_core.engine.agents import AgentRequest


def _arguments(request: AgentRequest) -> list[str]:
    session = session_of(request)
    approval = ["--approval-mode=yolo"] if is_set(request.options, "dangerously_skip_permissions") else []
    return [
        *approval,
        *("--output-format", "stream-json"),
        *flag_and_value(request.options, "model", "--model"),
        *(["--resume", session, "-p", request.prompt] if session else ["-p", first_prompt(request)]),
    ]


def _refusal(options: Options) -> str | None:
    model = text_option(options, "model")
    if model is None or model.startswith("gemini-"):
        return None
    return f"invalid model format: {model} (must start with 'gemini-')"


def _said(event: Event) -> str:
    is_answer = event.get("type") == "message" and event.get("role") == "assistant"
    return text_at(event, "content") if is_answer else ""


GEMINI = Dialect(
    name="gemini",
    program="gemini",
    arguments=_arguments,
    answer=lambda raw: joined(raw, _said) or None,
    shown=lambda line: _said(parse_event(line) or {}),
    refusal=_refusal,
    session=lambda raw: text_at(first_event(raw, "init"), "session_id"),
    usage=lambda raw: usage_of(
        inner(first_event(raw, "result"), "stats"),
        input_key="input_tokens",
        output_key="output_tokens",
        total_key="total_tokens",
    ),
    known=frozenset({"model", "dangerously_skip_permissions"}),
)
