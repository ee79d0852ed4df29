"""Options that a command line agent can't be started with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from state_runs import Place, one_state

if TYPE_CHECKING:
    from pathlib import Path

SKIP = {"dangerously_skip_permissions": True}
PROGRAMS = {
    "claude": "claude",
    "gemini": "gemini",
    "opencode": "opencode",
    "github_copilot": "copilot",
    "mistral_vibe": "vibe",
}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize(
    ("provider", "options", "text"),
    [
        ("claude", {"model": "gpt-4"}, "invalid model format: gpt-4 (must be an alias or start with 'claude-')"),
        ("gemini", {"model": "x"}, "invalid model format: x (must start with 'gemini-')"),
        ("opencode", {"output_dir": 5}, "output_dir must be a string"),
        ("opencode", {"verbose": "yes"}, "verbose must be a boolean"),
        (
            "github_copilot",
            {"mode": "x", "effort": "y"},
            (
                'invalid mode "x": must be one of interactive, plan, autopilot; '
                'invalid effort "y": must be one of low, medium, high'
            ),
        ),
        ("mistral_vibe", {"max_turns": 0}, "mistral_vibe option max_turns invalid: expected positive integer, got 0"),
        (
            "mistral_vibe",
            {"max_tokens": "x"},
            "mistral_vibe option max_tokens invalid: expected positive integer, got string",
        ),
        (
            "mistral_vibe",
            {"max_price": -0.5},
            "mistral_vibe option max_price invalid: expected non-negative number, got -0.5",
        ),
        (
            "mistral_vibe",
            {"output_format": "xml"},
            "mistral_vibe option output_format invalid: expected one of text, json, streaming, got xml",
        ),
        (
            "mistral_vibe",
            {"workdir": "a/../b"},
            "mistral_vibe option workdir invalid: path must not contain traversal segments",
        ),
        (
            "mistral_vibe",
            {"add_dirs": ["a", " "]},
            "mistral_vibe option add_dirs invalid at index 1: path cannot be empty",
        ),
        (
            "mistral_vibe",
            {"enabled_tools": "x"},
            "mistral_vibe option enabled_tools invalid: expected list, got string",
        ),
        (
            "mistral_vibe",
            {"enabled_tools": [1]},
            "mistral_vibe option enabled_tools invalid: expected string at index 0, got int",
        ),
        ("mistral_vibe", {"trust": "x"}, "mistral_vibe option trust invalid: expected bool, got string"),
        (
            "mistral_vibe",
            {**SKIP, "agent_profile": "plan"},
            (
                "mistral_vibe option agent_profile conflicts with dangerously_skip_permissions: "
                "expected auto-approve, got plan"
            ),
        ),
    ],
)
def test_options_an_agent_cannot_take_fail_the_step_before_it_is_started(
    place: Place, provider: str, options: dict[str, Any], text: str
) -> None:
    place.stand_in(PROGRAMS[provider])

    record = place.run(one_state("agent", provider=provider, prompt="P", options=options)).states["a"]

    assert (record.status, record.error) == ("failed", text)
    assert place.calls() == []
