"""The agent step: a prompt for a language model, through the command line or the server of its provider.

Registered by `builtin_step_types`. The modules that read and run such a state are imported with the first one, because
every command that loads workflows has this type and few workflows have agents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from awf_core.engine.steps.outward import Registered, checked
from awf_core.extensions.steps import StepType

if TYPE_CHECKING:
    from awf_core.engine.steps.agent_spec import AgentSpec
    from awf_core.engine.steps.agent_visit import AgentVisit
    from awf_core.extensions.agents import AgentProvider, UserInput
    from awf_core.extensions.steps import StepContext, StepResult
    from awf_core.lang.fields import StateFields
    from awf_core.lang.model import State


class AgentStep(StepType):
    """`type: agent`. `user_input` is the user of conversations, None = no user.

    Raises ConfigError for a registered object that is no provider.
    """

    name = "agent"

    def __init__(self, registered: Registered, user_input: UserInput | None) -> None:
        self._registered = registered
        self._user_input = user_input
        self._visit: AgentVisit | None = None
        if registered and not callable(registered):
            self._providers()  # an error of a plugin has to show at start

    def parse(self, fields: StateFields) -> object:
        """Read the state as an AgentSpec. Raises StepProblem."""
        from awf_core.engine.steps.agent_spec import read_agent

        return read_agent(fields)

    def unavailable(self, spec: AgentSpec) -> str:
        """Why a state can't run in this installation, empty = nothing is missing or only the run knows."""
        from awf_core.config.did_you_mean import did_you_mean
        from awf_core.lang.go.quoting import quoted

        name, known = spec.provider.text, self._providers()
        if name in known or "{{" in name:
            return ""
        return f"provider {quoted(name)} not found.{did_you_mean(name, known)}"

    def run(self, state: State, context: StepContext) -> StepResult:
        """Ask the agent. See `StepType.run`."""
        return self._ready().run(state, context)

    def _ready(self) -> AgentVisit:
        # Two threads may both make one the first time; either will do.
        if self._visit is None:
            from awf_core.engine.steps.agent_visit import AgentVisit
            from awf_core.extensions.agents import NoInput

            self._visit = AgentVisit(self._providers(), self._user_input or NoInput())
        return self._visit

    def _providers(self) -> Mapping[str, AgentProvider]:
        from awf_core.extensions.agents import AgentProvider

        method = "run(request, context)"
        return checked(self._registered, what="agent provider", protocol=AgentProvider, method=method)
