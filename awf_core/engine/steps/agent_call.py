"""Put together the call of an agent: prompt, options, system prompt, skills, the session to continue.

Called by the agent step. What can't be filled in or read ends the run: StepAborted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from awf_core.engine.steps.agent_skills_and_roles import ReferenceMissing, SearchPlaces, role_text, skills_text
from awf_core.engine.steps.agent_spec import AgentSpec
from awf_core.engine.steps.outward import render_value
from awf_core.engine.steps.script import MAX_SCRIPT_BYTES, prefer_local, script_path, script_template
from awf_core.errors import AwfError
from awf_core.extensions.agents import AgentFailed, AgentProvider, Conversation
from awf_core.extensions.conversation import begin
from awf_core.extensions.steps import StepAborted, StepContext
from awf_core.lang.go.quoting import quoted
from awf_core.lang.templates import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCall:
    """The provider and what it is asked. `options` hold the system prompt and the output format too."""

    provider: AgentProvider
    prompt: str
    options: Mapping[str, Any]
    system_prompt: str


class CallMaker:
    """Makes the call of one state's visit."""

    def __init__(self, step: str, spec: AgentSpec, context: StepContext) -> None:
        self._step = step
        self._spec = spec
        self._context = context
        execution = context.execution
        self._places = SearchPlaces(
            cwd=execution.cwd,
            workflow_dir=execution.workflow.source.parent,
            home=execution.environment.home,
            env=execution.env,
            awf=execution.environment.awf,
        )

    def make(self, providers: Mapping[str, AgentProvider]) -> AgentCall:
        """Fill everything in, in the order in which the original tool reports faults."""
        prompt = self._prompt()
        name = self._rendered(self._spec.provider, "provider")
        provider = providers.get(name)
        if provider is None:
            raise self._aborted(f"provider {quoted(name)} not found")
        options = self._options()
        system_prompt = self._system_prompt()
        if system_prompt:
            if "system_prompt" in options:
                self._context.log("warn", "options.system_prompt overridden by composed role+system_prompt")
            options["system_prompt"] = system_prompt
        return AgentCall(provider=provider, prompt=prompt, options=options, system_prompt=system_prompt)

    def _prompt(self) -> str:
        spec = self._spec
        template = spec.prompt if spec.prompt_file is None else self._from_file(spec.prompt_file)
        assert template is not None
        prompt = self._rendered(template, "prompt")
        if not spec.skills:
            return prompt
        try:
            return f"{skills_text(spec.skills, self._places)}\n\n{prompt}"
        except ReferenceMissing as problem:
            raise self._aborted(f"resolve skills: {problem}") from problem

    def _from_file(self, written: Template) -> Template:
        execution = self._context.execution
        try:
            path = written.render(self._context.scope)
        except AwfError as problem:
            raise self._aborted(f"load prompt file: interpolate file path: {problem.message}") from problem
        workflow_file = execution.workflow.source
        local = prefer_local(path, awf=execution.environment.awf, workflow_file=workflow_file)
        return script_template(self._read(script_path(local, workflow_file=workflow_file, home=self._places.home)))

    def _read(self, path: Path) -> str:
        try:
            with path.open("rb") as file:
                content = file.read(MAX_SCRIPT_BYTES + 1)
        except FileNotFoundError as problem:
            raise self._aborted(f"load prompt file: file not found: {path}") from problem
        except IsADirectoryError as problem:
            raise self._aborted(f"load prompt file: path is a directory, not a file: {path}") from problem
        except OSError as problem:
            reason = os.strerror(problem.errno).lower() if problem.errno else str(problem)
            raise self._aborted(f"load prompt file: {reason} reading file: {path}") from problem
        if len(content) > MAX_SCRIPT_BYTES:
            raise self._aborted(f"load prompt file: file exceeds 1MB limit: {path}")
        return content.decode("utf-8", "surrogateescape")

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for name, value in self._spec.options.items():
            try:
                options[name] = render_value(value, self._context.scope)
            except AwfError as problem:
                raise self._aborted(f"resolve options: option {quoted(name)}: {problem.message}") from problem
        options.setdefault("output_format", self._spec.output_format or "text")
        return options

    def _system_prompt(self) -> str:
        spec = self._spec
        reference = "" if spec.role is None else self._rendered(spec.role, "role: resolve role template")
        try:
            role = role_text(reference, self._places)
        except ReferenceMissing as problem:
            raise self._aborted(f"resolve role: {problem}") from problem
        inline = "" if spec.system_prompt is None else self._rendered(spec.system_prompt, "system prompt")
        return "\n\n".join(part for part in (role, inline) if part)

    def _rendered(self, template: Template, what: str) -> str:
        try:
            return template.render(self._context.scope)
        except AwfError as problem:
            raise self._aborted(f"resolve {what}: {problem.message}") from problem

    def _aborted(self, text: str) -> StepAborted:
        return StepAborted(f"step {self._step}: {text}")


def conversation_for(spec: AgentSpec, call: AgentCall, context: StepContext) -> Conversation | None:
    """The conversation the state takes part in, None for a state that tracks none. Raises AgentFailed."""
    if not spec.is_conversation and not spec.tracks_session:
        return None
    if not spec.continue_from:
        return begin(call.system_prompt)
    name = quoted(spec.continue_from)
    record = context.execution.records.get(spec.continue_from)
    if record is None:
        raise AgentFailed(f"continue_from: step {name} not found in execution context")
    before = record.conversation
    if before is None:
        raise AgentFailed(f"continue_from: step {name} has no conversation state")
    if not before.session_id and not before.turns:
        raise AgentFailed(f"continue_from: step {name} has no session ID or conversation history to resume")
    return before
