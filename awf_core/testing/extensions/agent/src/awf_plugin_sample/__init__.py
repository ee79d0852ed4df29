"""A plugin for AWF: the agent provider `sample`.

The hook imports what it registers inside the function, so that other commands start quickly.
"""

from awf_core import hookimpl


@hookimpl
def awf_register_agent_providers(register):
    from awf_plugin_sample.agent import Agent

    register("sample", Agent())
