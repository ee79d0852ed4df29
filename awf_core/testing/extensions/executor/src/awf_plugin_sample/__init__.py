"""A plugin for AWF: the executor `sample`.

The hook imports what it registers inside the function, so that other commands start quickly.
"""

from awf_core import hookimpl


@hookimpl
def awf_register_executors(register):
    from awf_plugin_sample.executor import Orders

    register("sample", Orders())
