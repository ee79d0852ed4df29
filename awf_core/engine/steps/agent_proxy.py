"""Read and check `mcp_proxy` of an agent's state. Pure. Raises StepProblem.

The proxy itself is a server of the original program; here it is only told whether one is wanted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.lang.problems import StepProblem

if TYPE_CHECKING:
    from awf_core.lang.fields import Fields, StateFields

_KEY = "mcp_proxy"
_KEYS = ("enable", "intercept_builtins", "plugin_tools")
_TOOL_KEYS = ("plugin", "expose")
_CODE = "USER.MCP_PROXY."


def read_proxy(fields: StateFields) -> bool:
    """Whether a proxy is wanted."""
    proxy = fields.nested(_KEY, "repository.yamlMCPProxy")
    if proxy is None:
        return False
    _refuse_unknown(proxy, _KEYS)
    tools = proxy.each("plugin_tools", "repository.yamlPluginToolExpose")
    for tool in tools:
        _refuse_unknown(tool, _TOOL_KEYS)
        tool.list_of_text("expose")
    if not proxy.flag("enable"):
        return False
    intercepts = proxy.flag("intercept_builtins") or proxy.raw("intercept_builtins") is None
    if not intercepts and not tools:
        text = "MCP proxy enabled with intercept_builtins=false but no plugin_tools specified"
        raise StepProblem(text, key=_KEY, code=f"{_CODE}EMPTY_PROXY")
    _refuse_twice([tool.text("plugin") for tool in tools])
    return True


def _refuse_unknown(fields: Fields, known: tuple[str, ...]) -> None:
    unknown = [name for name, _, _ in fields.entries() if name not in known]
    if unknown:
        names = ", ".join(f"'{name}'" for name in unknown)
        text = f"{_KEY}: unknown key {names}"
        raise StepProblem(text, key=_KEY, code=f"{_CODE}UNKNOWN_KEY", hint=f"Known keys: {', '.join(known)}.")


def _refuse_twice(plugins: list[str]) -> None:
    for plugin in plugins:
        if plugins.count(plugin) > 1:
            text = f"duplicate plugin entry: {plugin}"
            raise StepProblem(text, key=_KEY, code=f"{_CODE}NAME_COLLISION")
