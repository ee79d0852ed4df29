"""The agent provider `command`: any command line as an agent.

    type: agent
    provider: command
    prompt: "Say hi"
    options: {command: [my-model, --quiet]}

The prompt is the last argument, what the command prints is the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.engine.process.program import ProgramMissing, run_program, text_of
from awf_core.extensions.agents import AgentAnswer, AgentFailed, AgentRequest, Tokens, estimate_tokens

if TYPE_CHECKING:
    from awf_core.extensions.outward import OutwardContext


class CommandAgent:
    """Option: `command`, a list of the program and its arguments."""

    def run(self, request: AgentRequest, context: OutwardContext) -> AgentAnswer:
        """Run the command to its end, or to that of the state's time."""
        command = request.options.get("command")
        if not isinstance(command, list) or not command or not all(isinstance(part, str) for part in command):
            raise AgentFailed("command: option command must be a list of texts")
        try:
            finished = run_program([*command, request.prompt], context, on_output=context.on_output)
        except ProgramMissing as problem:
            raise AgentFailed(f"command: {problem}") from problem
        if finished.failure is not None or finished.exit_code:
            cause = finished.end if finished.end in ("timeout", "cancelled") else ""
            raise AgentFailed(f"command: {finished.failure or f'exit status {finished.exit_code}'}", cause=cause)
        answer = text_of(finished.stdout)
        return AgentAnswer(output=answer, tokens=Tokens(used=estimate_tokens(answer), estimated=True))
