"""The command line of Anthropic's Claude Code: `claude`. Registered by `awf_core.integrations`. Pure."""

from __future__ import annotations

from typing import Any

from awf_core.extensions.agents import AgentRequest
from awf_core.integrations.agents import parse
from awf_core.integrations.agents.cli_provider import Dialect, Options, session_of
from awf_core.lang.go.numbers import float_text

_ALIASES = ("sonnet", "opus", "haiku")


def _arguments(request: AgentRequest) -> list[str]:
    options = request.options
    skip = ["--dangerously-skip-permissions"] if parse.is_set(options, "dangerously_skip_permissions") else []
    return [
        *("-p", request.prompt),
        *parse.flag_and_value(options, "model", "--model"),
        *("--output-format", "stream-json", "--verbose"),
        *_session_arguments(request),
        *parse.flag_and_value(options, "allowed_tools", "--allowedTools"),
        *skip,
    ]


def _session_arguments(request: AgentRequest) -> list[str]:
    """A session keeps its system prompt, so only its first request brings one."""
    if request.conversation is None:
        return []
    session = session_of(request)
    return ["-r", session] if session else parse.flag_and_value(request.options, "system_prompt", "--system-prompt")


def _rejection(options: Options) -> str | None:
    def fits(model: str) -> bool:
        return model in _ALIASES or model.startswith("claude-")

    return parse.model_fault(options, fits=fits, allowed="must be an alias or start with 'claude-'")


def _result(raw: str) -> parse.Event:
    return parse.last_event(raw, "result")


def _answer(raw: str) -> str | None:
    result = _result(raw).get("result")
    if isinstance(result, (int, float)) and not isinstance(result, bool):
        return str(int(result)) if result == int(result) else float_text(result)
    return result if isinstance(result, str) and result else None


def _shown(line: str) -> str:
    event = parse.event_of(line) or {}
    blocks = parse.inner(event, "message").get("content") if event.get("type") == "assistant" else None
    texts = (
        [parse.text_at(block, "text") for block in blocks if isinstance(block, dict)]
        if isinstance(blocks, list)
        else []
    )
    return "\n".join(text for text in texts if text)


def _usage(raw: str) -> parse.Usage | None:
    counts = parse.inner(_result(raw), "usage")
    if not counts:
        return None
    read = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    total_input, output = sum(parse.count_at(counts, key) for key in read), parse.count_at(counts, "output_tokens")
    return parse.Usage(input=total_input, output=output, total=total_input + output)


def _response(raw: str) -> dict[str, Any] | None:
    return _result(raw) or None


CLAUDE = Dialect(
    name="claude",
    program="claude",
    arguments=_arguments,
    answer=_answer,
    shown=_shown,
    rejection=_rejection,
    session=lambda raw: parse.text_at(_result(raw), "session_id"),
    usage=_usage,
    response=_response,
    known=frozenset({"model", "allowed_tools", "dangerously_skip_permissions"}),
)
