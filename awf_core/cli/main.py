"""The `awf` command: finds the sub-command, turns its errors into one line and an exit code.

A sub-command's module is imported only when it runs, so that `awf --help` and `awf list` don't pay for pydantic, a
broker client or the engine. Nothing but this module ends the process.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import rich_click as click

from awf_core.cli.fail import exit_code_of, show

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: dict[str, tuple[str, str]] = {
    "config": ("config", "Show the configuration with the origin of every value, or check it."),
    "diagram": ("diagram", "Draw a workflow as Mermaid or DOT text."),
    "dlq": ("dlq", "List, show, replay or purge dead letters."),
    "history": ("history", "List the runs that are over, or count them."),
    "init": ("init", "Start a project: configuration, a first workflow, the queue file."),
    "list": ("list", "List the workflows that can be run."),
    "plugins": ("plugins", "List installed backends and plugins, or examine them."),
    "queue": ("queue", "Look into a queue, move or purge messages, create queues."),
    "resume": ("resume", "Go on with a run that did not complete."),
    "run": ("run", "Run a workflow here and now, without a queue."),
    "schema": ("schema", "Print the JSON Schema of a message or a result."),
    "status": ("status", "Show how a run stands, from its records."),
    "submit": ("submit", "Put a message on the queue; --wait for its result."),
    "validate": ("validate", "Check a workflow file and print every problem."),
    "worker": ("worker", "Take messages from a queue and run the workflows they name."),
}


class LazyCommand(click.Command):
    """A command known by name and one line; the real one is imported when it is called."""

    def __init__(self, name: str, module: str, short_help: str) -> None:
        super().__init__(name, short_help=short_help, help=short_help)
        self._module = module

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The real command's context: from here on click sees only that command."""
        return self.load().make_context(info_name, args, parent, **extra)

    def load(self) -> click.Command:
        """Import the command."""
        module = importlib.import_module(f"awf_core.cli.{self._module}")
        command = getattr(module, f"{self._module}_command")
        assert isinstance(command, click.Command)
        _name_variables(command, f"AWF_{self.name}")
        return command


def _name_variables(command: click.Command, prefix: str) -> None:
    """Let each option be given as a variable of its own name: `submit --reply-to` as AWF_SUBMIT_REPLY_TO."""
    for option in command.params:
        if isinstance(option, click.Option):
            name = max(option.opts, key=len).lstrip("-")
            option.envvar = f"{prefix}_{name}".upper().replace("-", "_")
    for name, below in getattr(command, "commands", {}).items():
        _name_variables(below, f"{prefix}_{name}")


class AwfGroup(click.RichGroup):
    """Built-in commands first; names they don't have are asked of plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Every command's name, sorted."""
        return sorted({*COMMANDS, *_plugin_commands()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, not yet imported where it is built in."""
        if cmd_name in COMMANDS:
            module, short_help = COMMANDS[cmd_name]
            return LazyCommand(cmd_name, module, short_help)
        return _plugin_commands().get(cmd_name)


def _plugin_commands() -> dict[str, click.Command]:
    from awf_core.cli.plugin_commands import plugin_commands

    return plugin_commands()


@click.group(cls=AwfGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="awf-core", prog_name="awf")
@click.option("--debug", is_flag=True, envvar="AWF_DEBUG", help="Show a traceback with every error.")
def awf(*, debug: bool) -> None:
    """Run AWF workflows, from the command line or from a message queue."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Entry point of the `awf` command. Always ends the process, with the exit code of the documentation."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = awf.main(given, prog_name="awf", standalone_mode=False)
    except Exception as exc:  # noqa: BLE001  (the last place that can tell a person what went wrong)
        show(exc, is_debug="--debug" in given[:1])
        sys.exit(exit_code_of(exc))
    sys.exit(result if isinstance(result, int) else 0)
