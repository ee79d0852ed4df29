"""An example plugin: an operation, a step type and an agent provider.

Found by its entry point in the group `awf.plugins`. Hooks import what they register only when they are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable


@hookimpl
def awf_register_operations(register: Callable[[str, object], None]) -> None:
    """`type: operation` with `operation: file.checksum`."""
    from awf_plugin_extras.checksum import FileChecksum

    register("file.checksum", FileChecksum())


@hookimpl
def awf_register_step_types(register: Callable[[object], None]) -> None:
    """`type: sqlite.query`."""
    from awf_plugin_extras.sqlite_query import SqliteQueryStep

    register(SqliteQueryStep())


@hookimpl
def awf_register_agent_providers(register: Callable[[str, object], None]) -> None:
    """`type: agent` with `provider: command`."""
    from awf_plugin_extras.command_agent import CommandAgent

    register("command", CommandAgent())
