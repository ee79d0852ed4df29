"""The built-in agent providers, one module for each agent; the package above registers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from awf_core.integrations.agents.cli_provider import Dialect


def dialects() -> dict[str, Dialect]:
    """The agents that have a command line, by the name of the provider."""
    from awf_core.integrations.agents.claude import CLAUDE
    from awf_core.integrations.agents.codex import CODEX
    from awf_core.integrations.agents.copilot import COPILOT
    from awf_core.integrations.agents.gemini import GEMINI
    from awf_core.integrations.agents.opencode import OPENCODE
    from awf_core.integrations.agents.vibe import VIBE

    return {each.name: each for each in (CLAUDE, CODEX, GEMINI, OPENCODE, COPILOT, VIBE)}
