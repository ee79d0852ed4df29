"""The command line of OpenAI's Codex: `codex exec`. Registered by `awf_core.integrations`. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from awf_core.integrations.agents.cli_provider import Dialect, Options, first_prompt, session_of
from awf_core.integrations.agents.parse import (
    Event,
    first_event,
    flag_and_value,
    inner,
    is_set,
    joined,
    parse_event,
    text_at,
    text_option,
    usage_of,
)

if TYPE_CHECKING:
    from awf_core.extensions.agents import AgentRequest

_MODEL = re.compile(r"gpt-|codex-|o[0-9]")
_MESSAGES = ("agent_message", "assistant_message")


def _arguments(request: AgentRequest) -> list[str]:
    session = session_of(request)
    head = (
        ["exec", "resume", session, "--json", request.prompt] if session else ["exec", "--json", first_prompt(request)]
    )
    is_unguarded = is_set(request.options, "dangerously_skip_permissions")
    unguarded = ["--dangerously-bypass-approvals-and-sandbox"] if is_unguarded else []
    return [*head, *flag_and_value(request.options, "model", "--model"), *unguarded]


def _rejection(options: Options) -> str | None:
    model = text_option(options, "model")
    if model is None or _MODEL.match(model):
        return None
    allowed = "must start with 'gpt-', 'codex-', or be an o-series model like 'o1', 'o3', 'o4-mini'"
    return f"invalid model format: {model} ({allowed})"


def _said(event: Event) -> str:
    item = inner(event, "item") if event.get("type") == "item.completed" else {}
    kind = item.get("type") or item.get("item_type")
    return text_at(item, "text") if kind in _MESSAGES else ""


CODEX = Dialect(
    name="codex",
    program="codex",
    arguments=_arguments,
    answer=lambda raw: joined(raw, _said) or None,
    shown=lambda line: _said(parse_event(line) or {}),
    rejection=_rejection,
    session=lambda raw: text_at(first_event(raw, "thread.started"), "thread_id"),
    usage=lambda raw: usage_of(
        inner(first_event(raw, "turn.completed"), "usage"), input_key="input_tokens", output_key="output_tokens"
    ),
    known=frozenset({"model", "dangerously_skip_permissions"}),
)
