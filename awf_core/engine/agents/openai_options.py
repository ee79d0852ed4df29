"""Read the options of an `openai_compatible` agent: the state's, then the environment's. Pure. Raises AgentFailed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from awf_core.engine.agents import AgentFailed
from awf_core.lang.go.text import printed, type_name

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = "openai_compatible"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAiOptions:
    """Where to ask whom, and how. The key is kept out of the representation."""

    base_url: str
    model: str
    api_key: str = field(repr=False)
    system_prompt: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


def read_openai_options(options: Mapping[str, Any], env: Mapping[str, str]) -> OpenAiOptions:
    """The options, checked. `OPENAI_BASE_URL`, `OPENAI_MODEL` and `OPENAI_API_KEY` stand in for absent ones."""
    base_url = _given(options, "base_url", env.get("OPENAI_BASE_URL", "")).removesuffix("/")
    model = _given(options, "model", env.get("OPENAI_MODEL", ""))
    if "base_url" not in options and not base_url:
        raise AgentFailed(f"{_NAME}: base_url is required")
    if "model" not in options and not model:
        raise AgentFailed(f"{_NAME}: model is required")
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
        raise AgentFailed(f"{_NAME}: {name} must be a number, got {type_name(value)}")
    if not 0 <= value <= most:
        raise AgentFailed(f"{_NAME}: {name} must be between 0 and {most}, got {printed(value)}")
    return value


def _count(value: object) -> int | None:
    """A number of tokens; what is no number is left out, as in the original."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if value < 0:
        raise AgentFailed(f"{_NAME}: max_completion_tokens must be non-negative, got {int(value)}")
    return int(value)
