"""Commands that plugins add. Asked only where an unknown name or the help page makes it necessary."""

from __future__ import annotations

import functools
import os
from importlib.metadata import entry_points

import click


@functools.cache
def plugin_commands() -> dict[str, click.Command]:
    """The commands of installed plugins by name; {} without importing anything where no plugin is installed."""
    if not entry_points(group="awf.plugins"):
        return {}
    from awf_core.plugin.manager import build_plugins

    plugins = build_plugins(None, None, env=os.environ)
    return {
        str(command.name): command for command in plugins.registered.commands() if isinstance(command, click.Command)
    }
