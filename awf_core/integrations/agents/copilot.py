"""The command line of GitHub Copilot: `copilot`. Registered by `awf_core.integrations`. Pure."""

from __future__ import annotations

from awf_core.extensions.agents import AgentRequest
from awf_core.integrations.agents import parse
from awf_core.integrations.agents.cli_provider import Dialect, Options, first_prompt, session_of
from awf_core.lang.go.quoting import quoted

_CHOICES = {"mode": ("interactive", "plan", "autopilot"), "effort": ("low", "medium", "high")}


def _arguments(request: AgentRequest) -> list[str]:
    options, session = request.options, session_of(request)
    named = ((name, parse.text_option(options, name)) for name in ("model", "mode", "effort"))
    allows_all = parse.is_set(options, "allow_all") or parse.is_set(options, "dangerously_skip_permissions")
    return [
        *([f"--resume={session}", "-p", request.prompt] if session else ["-p", first_prompt(request)]),
        *("--output-format=json", "--silent"),
        *(f"--{name}={value}" for name, value in named if value),
        *(f"--allow-tool={tool}" for tool in parse.list_option(options, "allowed_tools")),
        *(f"--deny-tool={tool}" for tool in parse.list_option(options, "denied_tools")),
        *(["--allow-all"] if allows_all else []),
    ]


def _rejection(options: Options) -> str | None:
    faults = [
        f"invalid {name} {quoted(value)}: must be one of {', '.join(choices)}"
        for name, choices in _CHOICES.items()
        if (value := parse.text_option(options, name)) and value not in choices
    ]
    return "; ".join(faults) or None


def _said(event: parse.Event) -> str:
    return parse.text_at(parse.inner(event, "data"), "content") if event.get("type") == "assistant.message" else ""


def _answer(raw: str) -> str | None:
    said = [text for event in parse.events(raw) if (text := _said(event))]
    # An answer without such an event is never trimmed, not even in a session.
    return said[-1] if said else raw or None


def _usage(raw: str) -> parse.Usage | None:
    output = parse.count_at(parse.inner(parse.last_event(raw, "assistant.message"), "data"), "outputTokens")
    return parse.Usage(input=0, output=output, total=output) if output else None


COPILOT = Dialect(
    name="github_copilot",
    program="copilot",
    arguments=_arguments,
    answer=_answer,
    shown=lambda line: _said(parse.event_of(line) or {}),
    rejection=_rejection,
    session=lambda raw: parse.text_at(parse.first_event(raw, "result"), "sessionId"),
    usage=_usage,
    known=frozenset(
        {"model", "mode", "effort", "allowed_tools", "denied_tools", "allow_all", "dangerously_skip_permissions"}
    ),
)
