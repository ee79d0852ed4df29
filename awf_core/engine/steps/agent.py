"""The agent step: a prompt for a language model, through the command line or the server of its provider.

Registered by `builtin_step_types`. What it takes to read and run such a state is imported with the first one, because
every command that loads workflows has this type and few workflows have agents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awf_core.engine.machine import Routing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.engine.agents.user_input import UserInput
    from awf_core.engine.steps.agent_visit import AgentVisit
    from awf_core.engine.steps.context import StepContext, StepResult
    from awf_core.lang.fields import StateFields
    from awf_core.lang.model import State


class AgentStep:
    """`type: agent`. `added` are the providers of plugins, `user_input` is whom conversations talk with, None = nobody.

    Raises ConfigError for an added one that is no provider or has the name of a built-in one.
    """

    name = "agent"
    aliases: tuple[str, ...] = ()
    routing = Routing()

    def __init__(self, added: Mapping[str, Any], user_input: UserInput | None) -> None:
        self._added = added
        self._user_input = user_input
        self._visit: AgentVisit | None = None
        if added:
            self._ready()  # what is wrong with a plugin has to show at start

    def parse(self, fields: StateFields) -> object:
        """Read the state as an AgentSpec. Raises StepProblem."""
        from awf_core.engine.steps.agent_spec import read_agent

        return read_agent(fields)

    def successor(self, state: State) -> str | None:
        """`on_success`."""
        return state.on_success

    def run(self, state: State, context: StepContext) -> StepResult:
        """Ask the agent. See `StepType.run`."""
        return self._ready().run(state, context)

    def _ready(self) -> AgentVisit:
        # Two threads may both make one the first time; either will do.
        if self._visit is None:
            from awf_core.engine.agents.registry import agent_providers_with
            from awf_core.engine.agents.user_input import NoInput
            from awf_core.engine.steps.agent_visit import AgentVisit

            self._visit = AgentVisit(agent_providers_with(self._added), self._user_input or NoInput())
        return self._visit
