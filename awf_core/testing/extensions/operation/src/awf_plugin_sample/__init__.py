"""A plugin for AWF: the operation `sample.count`.

The hook imports what it registers inside the function, so that other commands start quickly.
"""

from awf_core import hookimpl


@hookimpl
def awf_register_operations(register):
    from awf_plugin_sample.operation import Count

    register("sample.count", Count())
