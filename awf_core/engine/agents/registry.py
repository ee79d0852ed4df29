"""The agent providers there are: the built-in ones and those of plugins, by name. Built once at start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awf_core.engine.additions import with_added
from awf_core.engine.agents import AgentProvider

if TYPE_CHECKING:
    from collections.abc import Mapping


def agent_providers_with(added: Mapping[str, Any]) -> dict[str, AgentProvider]:
    """Every provider by name. Raises ConfigError for one of `added` without `run`, or with a built-in one's name."""
    return with_added(_builtin(), added, what="agent provider", protocol=AgentProvider, method="run(request, context)")


def _builtin() -> dict[str, AgentProvider]:
    from awf_core.engine.agents.claude import CLAUDE
    from awf_core.engine.agents.cli_provider import CliProvider
    from awf_core.engine.agents.codex import CODEX
    from awf_core.engine.agents.copilot import COPILOT
    from awf_core.engine.agents.gemini import GEMINI
    from awf_core.engine.agents.openai_compatible import NAME, OpenAiCompatible
    from awf_core.engine.agents.opencode import OPENCODE
    from awf_core.engine.agents.vibe import VIBE

    dialects = (CLAUDE, CODEX, GEMINI, OPENCODE, COPILOT, VIBE)
    return {**{each.name: CliProvider(each) for each in dialects}, NAME: OpenAiCompatible()}
