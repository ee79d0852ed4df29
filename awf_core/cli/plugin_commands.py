"""Commands that plugins add. Asked only where an unknown name or the help page makes it necessary."""

from __future__ import annotations

import functools
import os

import click

from awf_core.config.backend_names import has_third_party_plugins


@functools.cache
def plugin_commands() -> dict[str, click.Command]:
    """The commands of installed plugins by name; {} without importing anything where no plugin is installed."""
    if not has_third_party_plugins():
        return {}
    from awf_core.plugin.manager import build_plugins

    plugins = build_plugins(None, None, env=os.environ)
    return {
        str(command.name): command for command in plugins.registered.commands() if isinstance(command, click.Command)
    }
