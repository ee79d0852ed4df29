"""One visit of an agent's state: ask the provider, and turn its answer into the state's result.

Called by the agent step. Nothing is tried again. An agent that fails is a result. A call that can't be put together,
and any failure in a conversation, ends the run: StepAborted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from awf_core.engine.secrets import mask
from awf_core.engine.steps.agent_call import AgentCall, CallMaker, conversation_for
from awf_core.engine.steps.agent_output_format import NoJson, apply_format
from awf_core.engine.steps.agent_spec import AgentSpec
from awf_core.engine.steps.outward import outward_context
from awf_core.extensions.agents import (
    AgentAnswer,
    AgentFailed,
    AgentProvider,
    AgentRequest,
    Conversation,
    InputStopped,
    UserInput,
)
from awf_core.extensions.conversation import extend
from awf_core.extensions.deadline import CANCELLED_TEXT
from awf_core.extensions.outward import OutwardContext
from awf_core.extensions.results import Cause
from awf_core.extensions.steps import StepAborted, StepContext, StepResult
from awf_core.lang.go.quoting import quoted
from awf_core.lang.model import State
from awf_core.lang.untrusted import UNPASSABLE_INPUT

_PROXY_NEEDS_ORIGINAL = (
    "mcp_proxy needs the tool server of the original awf program, which is not part of this one; "
    "run the workflow with `executor: awf-cli`, or set `mcp_proxy: {enable: false}`"
)


class AgentVisit:
    """Asks one of `providers`; `user_input` is the user of conversations. Holds nothing of a run."""

    def __init__(self, providers: Mapping[str, AgentProvider], user_input: UserInput) -> None:
        self._providers = providers
        self._user_input = user_input

    def run(self, state: State, context: StepContext) -> StepResult:
        """Ask the agent. See `StepType.run`."""
        spec = state.spec
        assert isinstance(spec, AgentSpec)
        if spec.is_conversation:
            return self._converse(state.name, spec, context)
        call = self._call(state.name, spec, context)
        try:
            conversation = conversation_for(spec, call, context)
            answer = _ask(call, call.prompt, conversation, outward_context(state.name, context, {}))
        except AgentFailed as problem:
            return _failed(problem, context)
        result = _completed(answer, context)
        if conversation is not None:
            result = replace(result, conversation=_extended(conversation, call.prompt, answer))
        return _formatted(state.name, spec, result)

    def _converse(self, step: str, spec: AgentSpec, context: StepContext) -> StepResult:
        result: StepResult | None = None
        try:
            call = self._call(step, spec, context)
            outward = outward_context(step, context, {})
            conversation = conversation_for(spec, call, context)
            prompt = call.prompt
            while prompt.strip() or result is None:
                answer = _ask(call, prompt, conversation, outward)
                conversation = _extended(conversation or Conversation(), prompt, answer)
                result = replace(_completed(answer, context), conversation=conversation)
                prompt = self._next_prompt(context)
        except AgentFailed as problem:
            failed = _failed(problem, context)
            aborted = (
                failed if result is None else replace(result, status="failed", error=failed.error, cause=failed.cause)
            )
            raise _conversation_aborted(step, failed.error, aborted) from problem
        except StepAborted as abort:
            raise _conversation_aborted(
                step, abort.message, StepResult(status="failed", error=abort.message)
            ) from abort
        return _formatted(step, spec, result)

    def _next_prompt(self, context: StepContext) -> str:
        try:
            return self._user_input.read_line(context.deadline)
        except InputStopped as problem:
            cause: Cause = "cancelled" if str(problem) == CANCELLED_TEXT else "timeout"
            raise AgentFailed(f"reading user input: {problem}", cause=cause) from problem

    def _call(self, step: str, spec: AgentSpec, context: StepContext) -> AgentCall:
        if spec.wants_proxy:
            raise StepAborted(f"step {step}: {_PROXY_NEEDS_ORIGINAL}")
        call = CallMaker(step, spec, context).make(self._providers)
        if call.options.get("dangerously_skip_permissions") is True:
            context.log("warn", "dangerously_skip_permissions enabled")
        return call


def _ask(call: AgentCall, prompt: str, conversation: Conversation | None, context: OutwardContext) -> AgentAnswer:
    if not prompt.strip():
        raise AgentFailed("prompt cannot be empty")
    request = AgentRequest(prompt=prompt, options=call.options, conversation=conversation)
    return call.provider.run(request, context)


def _completed(answer: AgentAnswer, context: StepContext) -> StepResult:
    return StepResult(
        status="completed",
        output=mask(answer.output, context.execution.secrets),
        response=None if answer.response is None else dict(answer.response),
        tokens=answer.tokens,
        output_cut_bytes=answer.output_cut_bytes,
    )


def _failed(problem: AgentFailed, context: StepContext) -> StepResult:
    if problem.is_unpassable and context.scope.untrusted is not None:
        text = f"{problem.text}: the prompt is too large for a process, or holds a NUL"
        raise StepAborted(text, code=UNPASSABLE_INPUT)
    return StepResult(status="failed", error=mask(problem.text, context.execution.secrets), cause=problem.cause)


def _extended(before: Conversation, prompt: str, answer: AgentAnswer) -> Conversation:
    return extend(
        before, prompt=prompt, answer=answer.output, tokens=answer.tokens.output, session_id=answer.session_id
    )


def _formatted(step: str, spec: AgentSpec, result: StepResult) -> StepResult:
    try:
        formatted = apply_format(result.output, spec.output_format)
    except NoJson as problem:
        failed = replace(result, status="failed", error=str(problem))
        raise StepAborted(f"step {step}: output format processing: {problem}", result=failed) from problem
    response = result.response
    if isinstance(formatted.json, dict):
        # The answer's own keys, and what the provider reports about it: existing workflows read either.
        response = {**(response or {}), **formatted.json}
    return replace(result, output=formatted.output, json=formatted.json, response=response)


def _conversation_aborted(step: str, error: str, result: StepResult) -> StepAborted:
    return StepAborted(f"agent conversation step {quoted(step)} failed: {error}", result=result)
