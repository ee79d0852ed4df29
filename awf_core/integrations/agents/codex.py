"""The command line of OpenAI's Codex: `codex exec`. Registered by `awf_core.integrations`. Pure."""

from __future__ import annotations

import re

from awf_core.extensions.agents import AgentRequest
from awf_core.integrations.agents import parse
from awf_core.integrations.agents.cli_provider import Dialect, Options, first_prompt, session_of

_MODEL = re.compile(r"gpt-|codex-|o[0-9]")
_MESSAGES = ("agent_message", "assistant_message")


def _arguments(request: AgentRequest) -> list[str]:
    session = session_of(request)
    head = (
        ["exec", "resume", session, "--json", request.prompt] if session else ["exec", "--json", first_prompt(request)]
    )
    is_unguarded = parse.is_set(request.options, "dangerously_skip_permissions")
    unguarded = ["--dangerously-bypass-approvals-and-sandbox"] if is_unguarded else []
    return [*head, *parse.flag_and_value(request.options, "model", "--model"), *unguarded]


def _rejection(options: Options) -> str | None:
    allowed = "must start with 'gpt-', 'codex-', or be an o-series model like 'o1', 'o3', 'o4-mini'"
    return parse.model_fault(options, fits=_MODEL.match, allowed=allowed)


def _said(event: parse.Event) -> str:
    item = parse.inner(event, "item") if event.get("type") == "item.completed" else {}
    kind = item.get("type") or item.get("item_type")
    return parse.text_at(item, "text") if kind in _MESSAGES else ""


CODEX = Dialect(
    name="codex",
    program="codex",
    arguments=_arguments,
    answer=lambda raw: parse.joined(raw, _said) or None,
    shown=lambda line: _said(parse.event_of(line) or {}),
    rejection=_rejection,
    session=lambda raw: parse.text_at(parse.first_event(raw, "thread.started"), "thread_id"),
    usage=lambda raw: parse.usage_of(
        parse.inner(parse.first_event(raw, "turn.completed"), "usage"),
        input_key="input_tokens",
        output_key="output_tokens",
    ),
    known=frozenset({"model", "dangerously_skip_permissions"}),
)
