"""A plugin for AWF: the step type `sample.wait`.

The hook imports what it registers inside the function, so that other commands start quickly.
"""

from awf_core import hookimpl


@hookimpl
def awf_register_step_types(register):
    from awf_plugin_sample.step import WaitForFile

    register(WaitForFile())
