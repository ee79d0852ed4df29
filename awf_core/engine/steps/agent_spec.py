"""A state of `type: agent` as it is written, read and checked when its workflow loads. Pure. Raises StepProblem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from awf_core.engine.steps.agent_skills_and_roles import SkillReference
from awf_core.engine.steps.outward import compile_value
from awf_core.lang.fields import Fields, StateFields
from awf_core.lang.problems import StepProblem
from awf_core.lang.templates import Template, compile_template

_FORMATS = ("", "text", "json")
_MODES = ("single", "conversation")
_PROXY = "mcp_proxy"
_PROXY_KEYS = ("enable", "intercept_builtins", "plugin_tools")
_PROXY_TOOL_KEYS = ("plugin", "expose")
_PROXY_CODE = "USER.MCP_PROXY."
_CUSTOM_REMOVED = (
    "provider 'custom' has been removed; use 'type: step' for shell commands or "
    "'provider: openai_compatible' for LLM API calls"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """An agent's state.

    prompt, prompt_file   exactly one of them
    options               compiled values
    is_conversation       turns are read from the user until there are no more
    tracks_session        the record holds the session, so that a later state can continue it
    continue_from         the state whose session it continues, empty = a new one
    wants_proxy           an MCP proxy of the original program is asked for
    """

    provider: Template
    prompt: Template | None = None
    prompt_file: Template | None = None
    options: Mapping[str, Any]
    output_format: str = ""
    is_conversation: bool = False
    system_prompt: Template | None = None
    role: Template | None = None
    tracks_session: bool = False
    continue_from: str = ""
    skills: tuple[SkillReference, ...] = ()
    wants_proxy: bool = False


def read_agent(fields: StateFields) -> AgentSpec:
    """The state as an AgentSpec."""
    provider = fields.text("provider").strip()
    if not provider:
        raise StepProblem("agent config is required for agent-type steps", hint="Name a `provider`, such as claude.")
    if provider == "custom":
        raise _problem(_CUSTOM_REMOVED, "provider")
    mode = fields.text("mode").strip().lower() or "single"
    output_format = fields.text("output_format").strip().lower()
    _check(fields, mode, output_format)
    conversation = fields.nested("conversation", "repository.yamlConversationConfig")
    return AgentSpec(
        provider=compile_template(provider),
        prompt=_template(fields, "prompt"),
        prompt_file=_template(fields, "prompt_file"),
        options={name: compile_value(value) for name, value in fields.mapping("options").items()},
        output_format=output_format,
        is_conversation=mode == "conversation",
        system_prompt=_template(fields, "system_prompt"),
        role=_role(fields),
        tracks_session=conversation is not None,
        continue_from=_continue_from(fields),
        skills=_skills(fields),
        wants_proxy=_wants_proxy(fields),
    )


def _check(fields: StateFields, mode: str, output_format: str) -> None:
    prompt, prompt_file = fields.text("prompt"), fields.text("prompt_file")
    if mode not in _MODES:
        raise _problem("mode must be 'single' or 'conversation'", "mode")
    if output_format not in _FORMATS:
        raise _problem("output_format must be 'json', 'text', or empty", "output_format")
    if prompt and prompt_file:
        raise _problem("prompt and prompt_file are mutually exclusive", "prompt_file")
    if mode == "conversation" and prompt_file:
        raise _problem("prompt_file is not supported in conversation mode", "prompt_file")
    if mode == "conversation" and not prompt:
        raise _problem("prompt is required in conversation mode", "mode")
    if not prompt and not prompt_file:
        raise _problem("prompt or prompt_file is required", "")


def _template(fields: StateFields, key: str) -> Template | None:
    text = fields.text(key)
    return compile_template(text) if text else None


def _role(fields: StateFields) -> Template | None:
    role = fields.text("role")
    if ".." in role:
        raise _problem(f"[error] role path contains path-traversal pattern (..): {role}", "role")
    return compile_template(role) if role else None


def _continue_from(fields: StateFields) -> str:
    conversation = fields.nested("conversation", "repository.yamlConversationConfig")
    name = "" if conversation is None else conversation.text("continue_from")
    if name and name not in fields.state_names:
        raise StepProblem(f"continue_from references unknown step '{name}'", key="conversation")
    return name


def _skills(fields: StateFields) -> tuple[SkillReference, ...]:
    given = fields.raw("skills")
    if given is None:
        return ()
    if not isinstance(given, list):
        raise StepProblem("skills must be a list", key="skills", hint="Write `skills: [name, {path: ./dir}]`.")
    return tuple(_skill(index, item) for index, item in enumerate(given))


def _skill(index: int, item: object) -> SkillReference:
    match item:
        case str() as name:
            if not name:
                raise StepProblem(f"skill[{index}]: empty skill name", key="skills")
            return SkillReference(name=name)
        case dict() as mapping:
            if "path" not in mapping:
                raise StepProblem(f"skill[{index}]: map must have 'path' key", key="skills")
            path = mapping["path"]
            if not isinstance(path, str) or not path:
                raise StepProblem(f"skill[{index}]: path must be a non-empty string", key="skills")
            return SkillReference(path=path)
    raise StepProblem(f"skill[{index}]: invalid type", key="skills", hint="A name, or a mapping with a `path`.")


def _wants_proxy(fields: StateFields) -> bool:
    """Whether `mcp_proxy` asks for a proxy, which is a server of the original program. Raises StepProblem."""
    proxy = fields.nested(_PROXY, "repository.yamlMCPProxy")
    if proxy is None:
        return False
    _reject_unknown_keys(proxy, _PROXY_KEYS)
    tools = proxy.each("plugin_tools", "repository.yamlPluginToolExpose")
    for tool in tools:
        _reject_unknown_keys(tool, _PROXY_TOOL_KEYS)
        tool.list_of_text("expose")
    if not proxy.flag("enable"):
        return False
    intercepts = proxy.flag("intercept_builtins") or proxy.raw("intercept_builtins") is None
    if not intercepts and not tools:
        text = "MCP proxy enabled with intercept_builtins=false but no plugin_tools specified"
        raise StepProblem(text, key=_PROXY, code=f"{_PROXY_CODE}EMPTY_PROXY")
    _reject_duplicates([tool.text("plugin") for tool in tools])
    return True


def _reject_unknown_keys(fields: Fields, known: tuple[str, ...]) -> None:
    unknown = [name for name, _, _ in fields.entries() if name not in known]
    if unknown:
        names = ", ".join(f"'{name}'" for name in unknown)
        text = f"{_PROXY}: unknown key {names}"
        raise StepProblem(text, key=_PROXY, code=f"{_PROXY_CODE}UNKNOWN_KEY", hint=f"Known keys: {', '.join(known)}.")


def _reject_duplicates(plugins: list[str]) -> None:
    for plugin in plugins:
        if plugins.count(plugin) > 1:
            text = f"duplicate plugin entry: {plugin}"
            raise StepProblem(text, key=_PROXY, code=f"{_PROXY_CODE}NAME_COLLISION")


def _problem(text: str, key: str) -> StepProblem:
    return StepProblem(f"agent config: {text}", key=key)
