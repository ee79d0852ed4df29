"""The command line of Mistral Vibe: `vibe`. Read by `registry.py`. Pure.

It has no sessions to name: what was said before goes into the prompt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.engine.agents.cli_dialect import Dialect
from awf_core.engine.agents.options import flag_and_value, is_set, list_option, text_option
from awf_core.engine.agents.vibe_answer import vibe_answer, vibe_response
from awf_core.engine.agents.vibe_options import clean_path, number_text, vibe_refusal

if TYPE_CHECKING:
    from awf_core.engine.agents import AgentRequest, Conversation

_ROLE_LABELS = {"system": "System", "user": "User", "assistant": "Assistant"}
_NUMBERS = (("max_turns", "--max-turns"), ("max_tokens", "--max-tokens"), ("max_price", "--max-price"))


def _arguments(request: AgentRequest) -> list[str]:
    options = request.options
    numbers = ((flag, options[name]) for name, flag in _NUMBERS if name in options)
    workdir = text_option(options, "workdir")
    return [
        *("--prompt", _prompt(request.prompt, request.conversation), "--agent", _profile(request)),
        *flag_and_value(options, "output_format", "--output"),
        *(part for flag, value in numbers for part in (flag, number_text(value))),
        *(["--workdir", clean_path(workdir)] if workdir is not None else []),
        *(part for tool in list_option(options, "enabled_tools") for part in ("--enabled-tools", tool)),
        *(part for path in list_option(options, "add_dirs") for part in ("--add-dir", clean_path(path))),
        *(["--trust"] if is_set(options, "trust") else []),
    ]


def _profile(request: AgentRequest) -> str:
    if is_set(request.options, "dangerously_skip_permissions"):
        return "auto-approve"
    return text_option(request.options, "agent_profile") or "default"


def _prompt(prompt: str, conversation: Conversation | None) -> str:
    if conversation is None or not conversation.turns:
        return prompt
    said = [f"{_ROLE_LABELS[turn.role]}: {turn.content.strip()}" for turn in conversation.turns if turn.content.strip()]
    head = "Continue the conversation using the transcript below. Answer the final user message."
    return "\n".join([head, "", "Transcript:", *said, f"User: {prompt}"])


VIBE = Dialect(
    name="mistral_vibe",
    program="vibe",
    arguments=_arguments,
    answer=vibe_answer,
    shown=lambda line: line,
    refusal=vibe_refusal,
    response=vibe_response,
    known=frozenset(
        {
            *("max_turns", "max_tokens", "max_price", "workdir", "enabled_tools", "add_dirs"),
            *("trust", "agent_profile", "dangerously_skip_permissions"),
        }
    ),
)
