"""The built-in operations, agent providers and executors as a plugin: entry point `builtin` of group `awf.plugins`.

The plugin manager loads it like any third party's plugin; nothing else in awf_core imports it. Every worker registers
all of it and few workflows use any, so each object imports its module when it first runs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from awf_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from awf_core.extensions.agents import AgentProvider
    from awf_core.extensions.operations import Operation

GITHUB_OPERATIONS = (
    "github.get_issue",
    "github.get_pr",
    "github.create_pr",
    "github.create_issue",
    "github.add_labels",
    "github.list_comments",
    "github.add_comment",
    "github.batch",
)
CLI_AGENTS = ("claude", "codex", "gemini", "opencode", "github_copilot", "mistral_vibe")


class _Lazy:
    """An operation or agent provider that `load` makes at its first run."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = functools.cache(load)

    def run(self, given: Any, context: Any) -> Any:
        return self._load().run(given, context)


@hookimpl
def awf_register_operations(register: Callable[[str, object], None]) -> None:
    """`http.request`, `notify.send` and `github.*`."""
    register("http.request", _Lazy(_http_request))
    register("notify.send", _Lazy(_notify_send))
    for name in GITHUB_OPERATIONS:
        register(name, _Lazy(functools.partial(_github, name)))


@hookimpl
def awf_register_agent_providers(register: Callable[[str, object], None]) -> None:
    """The agents with a command line, and `openai_compatible`."""
    for name in CLI_AGENTS:
        register(name, _Lazy(functools.partial(_cli_agent, name)))
    register("openai_compatible", _Lazy(_openai_compatible))


@hookimpl
def awf_register_executors(register: Callable[[str, object], None]) -> None:
    """`awf-cli`. Called only where the configuration names an executor."""
    from awf_core.integrations.awf_cli import NAME, AwfCli

    register(NAME, AwfCli())


def _http_request() -> Operation:
    from awf_core.integrations.http_request import HttpRequest

    return HttpRequest()


def _notify_send() -> Operation:
    from awf_core.integrations.notify import NotifySend

    return NotifySend()


def _github(name: str) -> Operation:
    from awf_core.integrations.github import github_operations

    return github_operations()[name]


def _cli_agent(name: str) -> AgentProvider:
    from awf_core.integrations.agents import dialects
    from awf_core.integrations.agents.cli_provider import CliProvider

    return CliProvider(dialects()[name])


def _openai_compatible() -> AgentProvider:
    from awf_core.integrations.agents.openai_compatible import OpenAiCompatible

    return OpenAiCompatible()
