"""Ask any server that speaks OpenAI's chat completions. Registered by `awf_core.integrations`.

The key goes into one header and nowhere else: no error and no log line shows it, nor the body of an error answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from awf_core.extensions.agents import AgentAnswer, AgentFailed, AgentRequest
from awf_core.extensions.conversation import Tokens
from awf_core.extensions.deadline import CANCELLED_TEXT, DEADLINE_TEXT
from awf_core.extensions.outward import OutwardContext
from awf_core.integrations.agents.parse import count_at, inner, misspelt, text_at
from awf_core.integrations.http_exchange import (
    ExchangeCancelled,
    ExchangeFailed,
    ExchangeTimeout,
    Request,
    Response,
    exchange,
)
from awf_core.lang.go.text import printed, type_name
from awf_core.lang.templates.json_text import to_json

NAME = "openai_compatible"
MAX_ANSWER_BYTES = 10 * 1024 * 1024
KNOWN = ("base_url", "model", "api_key", "temperature", "max_tokens", "max_completion_tokens", "top_p")
_UNAUTHORIZED, _TEAPOT, _TOO_MANY = 401, 418, 429


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAiOptions:
    """The server, the model and its parameters. The key is not part of the representation."""

    base_url: str
    model: str
    api_key: str = field(repr=False)
    system_prompt: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


class OpenAiCompatible:
    """One POST to `{base_url}/chat/completions` a prompt; what was said before is sent along."""

    def run(self, request: AgentRequest, context: OutwardContext) -> AgentAnswer:
        """See `AgentProvider.run`."""
        for written, meant in misspelt(request.options, KNOWN):
            context.log("warn", f"option '{written}' is ignored; {NAME} reads '{meant}'")
        options = _read_options(request.options, context.env)
        answer = _completion(_post(options, request, context))
        counts = inner(answer, "usage")
        return AgentAnswer(
            output=text_at(inner(answer["choices"][0], "message"), "content"),
            tokens=Tokens(
                used=count_at(counts, "total_tokens"),
                input=count_at(counts, "prompt_tokens"),
                output=count_at(counts, "completion_tokens"),
            ),
            response={},
        )


def _post(options: OpenAiOptions, request: AgentRequest, context: OutwardContext) -> Response:
    url = f"{options.base_url}/chat/completions"
    headers = {"Content-Type": "application/json"}
    if options.api_key:
        headers["Authorization"] = f"Bearer {options.api_key}"
    body = to_json({**options.parameters, "model": options.model, "messages": _messages(options, request)})
    post = Request(method="POST", url=url, headers=headers, body=body, max_body_bytes=MAX_ANSWER_BYTES)
    try:
        return exchange(post, context.deadline, limit_s=None)
    except ExchangeTimeout as problem:
        raise AgentFailed(f"{NAME}: HTTP request failed: {DEADLINE_TEXT}", cause="timeout") from problem
    except ExchangeCancelled as problem:
        raise AgentFailed(f"{NAME}: HTTP request failed: {CANCELLED_TEXT}", cause="cancelled") from problem
    except ExchangeFailed as problem:
        raise AgentFailed(f"{NAME}: {problem}") from problem


def _messages(options: OpenAiOptions, request: AgentRequest) -> list[dict[str, str]]:
    turns = request.conversation.turns if request.conversation is not None else ()
    said = [{"role": turn.role, "content": turn.content} for turn in turns]
    has_system = any(turn.role == "system" for turn in turns)
    system = [{"role": "system", "content": options.system_prompt}] if options.system_prompt and not has_system else []
    return [*system, *said, {"role": "user", "content": request.prompt}]


def _completion(response: Response) -> dict[str, Any]:
    if not 200 <= response.status < 300:
        raise AgentFailed(f"{NAME}: {_status_text(response)} (HTTP {response.status})")
    try:
        answer = json.loads(response.body)
    except (ValueError, RecursionError) as problem:
        raise AgentFailed(f"{NAME}: failed to parse response: it is no JSON") from problem
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise AgentFailed(f"{NAME}: API returned no choices")
    return {**answer, "choices": choices}


def _status_text(response: Response) -> str:
    status = response.status
    if status == _UNAUTHORIZED:
        return "authentication failed"
    if status == _TOO_MANY:
        after = response.headers.get("Retry-After")
        return f"rate limited, retry after {after}" if after else "rate limited"
    if status >= 500:
        return "server error"
    return "bad request" if status >= 400 and status != _TEAPOT else "unexpected status"


def _read_options(options: Mapping[str, Any], env: Mapping[str, str]) -> OpenAiOptions:
    """The options, checked. `OPENAI_BASE_URL`, `OPENAI_MODEL` and `OPENAI_API_KEY` replace absent ones."""
    base_url = _given(options, "base_url", env.get("OPENAI_BASE_URL", "")).removesuffix("/")
    model = _given(options, "model", env.get("OPENAI_MODEL", ""))
    if "base_url" not in options and not base_url:
        raise AgentFailed(f"{NAME}: base_url is required")
    if "model" not in options and not model:
        raise AgentFailed(f"{NAME}: model is required")
    return OpenAiOptions(
        base_url=base_url,
        model=model,
        api_key=_given(options, "api_key", env.get("OPENAI_API_KEY", "")),
        system_prompt=_given(options, "system_prompt", ""),
        parameters=_parameters(options),
    )


def _given(options: Mapping[str, Any], name: str, fallback: str) -> str:
    return printed(options[name]) if name in options else fallback


def _parameters(options: Mapping[str, Any]) -> dict[str, Any]:
    key = "max_completion_tokens" if "max_completion_tokens" in options else "max_tokens"
    wanted = {
        "temperature": _number(options, "temperature", most=2),
        "max_completion_tokens": _count(options.get(key)),
        "top_p": _number(options, "top_p", most=1),
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _number(options: Mapping[str, Any], name: str, *, most: int) -> int | float | None:
    if name not in options:
        return None
    value = options[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise AgentFailed(f"{NAME}: {name} must be a number, got {type_name(value)}")
    if not 0 <= value <= most:
        raise AgentFailed(f"{NAME}: {name} must be between 0 and {most}, got {printed(value)}")
    return value


def _count(value: object) -> int | None:
    """A number of tokens; what is no number is left out, as in the original."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if value < 0:
        raise AgentFailed(f"{NAME}: max_completion_tokens must be non-negative, got {int(value)}")
    return int(value)
