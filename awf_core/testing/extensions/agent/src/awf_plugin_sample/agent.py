"""The agent provider. One object serves all runs and threads: keep no data of a run in it."""

from __future__ import annotations

import uuid

from awf_core.extensions.agents import AgentAnswer, AgentFailed, AgentRequest, Tokens, estimate_tokens
from awf_core.extensions.outward import OutwardContext

KNOWN = {"prefix", "system_prompt", "output_format"}


class Agent:
    """`provider: sample` with the option `prefix`. It answers with the prompt."""

    def run(self, request: AgentRequest, context: OutwardContext) -> AgentAnswer:
        """Called for every prompt. `request.conversation` has the turns so far, None for a state without a session.

        Return soon after `context.deadline` is over, and put no key and no prompt into an error or a log line.
        """
        unknown = sorted(set(request.options) - KNOWN)
        if unknown:
            raise AgentFailed(f"sample: unknown option {', '.join(unknown)}")
        answer = f"{request.options.get('prefix', '')}{request.prompt}"
        before = request.conversation
        session = "" if before is None else before.session_id or str(uuid.uuid4())
        read, written = estimate_tokens(request.prompt), estimate_tokens(answer)
        tokens = Tokens(used=read + written, input=read, output=written, estimated=True)
        return AgentAnswer(output=answer, tokens=tokens, session_id=session)
