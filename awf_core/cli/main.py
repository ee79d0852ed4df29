"""The `awf` command: finds the sub-command, and turns its errors into one line and an exit code.

A sub-command's module is imported only when it runs, so `awf --help` and `awf list` start without pydantic, broker
clients and the engine. Only this module ends the process. An error is one line and a hint on stderr; --debug adds the
traceback.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import rich_click as click
from click.exceptions import Abort, ClickException, Exit, UsageError

from awf_core.config.backend_names import has_third_party_plugins
from awf_core.errors import AwfError, redact_url
from awf_core.visible_text import visible_lines

COMMANDS: dict[str, tuple[str, str]] = {
    "config": ("config", "Show the configuration with the origin of every value, or check it."),
    "diagram": ("diagram", "Draw a workflow as Mermaid or DOT text."),
    "dlq": ("dlq", "List, show, replay or purge dead-lettered messages."),
    "history": ("history", "List or count the runs that have ended."),
    "init": ("init", "Create a project: configuration, a first workflow, the queue file."),
    "list": ("list", "List the workflows that can be run."),
    "pack": ("pack", "Install or remove a workflow pack."),
    "plugins": ("plugins", "List, check or create backends and plugins."),
    "queue": ("queue", "Inspect queues, move or purge messages, create queues."),
    "resume": ("resume", "Resume a run that did not complete."),
    "run": ("run", "Run a workflow in this process, without a queue."),
    "schema": ("schema", "Print the JSON Schema of a message or a result."),
    "status": ("status", "Show the state of a run, from its records."),
    "submit": ("submit", "Submit a message to the queue; --wait for its result."),
    "validate": ("validate", "Check a workflow file and print every problem."),
    "worker": ("worker", "Consume messages from a queue and run the workflows that they name."),
}


class LazyCommand(click.Command):
    """A command with only its name and short help. The real command is imported when it is called."""

    def __init__(self, name: str, module: str, short_help: str) -> None:
        super().__init__(name, short_help=short_help, help=short_help)
        self._module = module

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of the real command; click uses only that from here on."""
        return self.load().make_context(info_name, args, parent, **extra)

    def load(self) -> click.Command:
        """Import the real command."""
        module = importlib.import_module(f"awf_core.cli.{self._module}")
        command = getattr(module, f"{self._module}_command")
        assert isinstance(command, click.Command)
        _name_variables(command, f"AWF_{self.name}")
        return command


def _name_variables(command: click.Command, prefix: str) -> None:
    """Give each option an environment variable: AWF_SUBMIT_REPLY_TO for `submit --reply-to`."""
    for option in command.params:
        if isinstance(option, click.Option):
            name = max(option.opts, key=len).lstrip("-")
            option.envvar = f"{prefix}_{name}".upper().replace("-", "_")
    for name, below in getattr(command, "commands", {}).items():
        _name_variables(below, f"{prefix}_{name}")


class AwfGroup(click.RichGroup):
    """Built-in commands, then the commands of plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names of all commands, sorted."""
        return sorted({*COMMANDS, *_plugin_commands()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command with that name; a built-in one is not imported yet."""
        if cmd_name in COMMANDS:
            module, short_help = COMMANDS[cmd_name]
            return LazyCommand(cmd_name, module, short_help)
        return _plugin_commands().get(cmd_name)


@functools.cache
def _plugin_commands() -> dict[str, click.Command]:
    """The commands of installed plugins by name. Imports nothing where no plugin is installed."""
    if not has_third_party_plugins():
        return {}
    from awf_core.plugin.manager import build_plugins

    commands = build_plugins(None, None, env=os.environ).registered.commands()
    return {str(command.name): command for command in commands if isinstance(command, click.Command)}


@click.group(cls=AwfGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="awf-core", prog_name="awf")
@click.option("--debug", is_flag=True, envvar="AWF_DEBUG", help="Show a traceback with each error.")
def awf(*, debug: bool) -> None:
    """Run AWF workflows, from the command line or from a message queue."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Entry point of the `awf` command. Ends the process with a documented exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = awf.main(given, prog_name="awf", standalone_mode=False)
    except Exception as exc:  # noqa: BLE001  (nothing above this catches it)
        show(exc, is_debug="--debug" in given[:1])
        sys.exit(exit_code_of(exc))
    sys.exit(result if isinstance(result, int) else 0)


INTERRUPTED = 130
UNEXPECTED = 4
CONFIGURATION = 2
"""Exit code of a wrong option of `awf worker`. For every other command that is a user error, 1."""


def exit_code_of(error: Exception) -> int:
    """The process's exit code for `error`."""
    if isinstance(error, AwfError):
        return error.exit_code
    if isinstance(error, Exit):
        return error.exit_code
    if isinstance(error, Abort):
        return INTERRUPTED
    if isinstance(error, UsageError):
        return CONFIGURATION if error.ctx is not None and error.ctx.info_name == "worker" else 1
    if isinstance(error, ClickException):
        return 1
    return UNEXPECTED


def show(error: Exception, *, is_debug: bool) -> None:
    """Write `error` to stderr. Never raises; prints no password."""
    if isinstance(error, Exit):
        return
    if is_debug or os.environ.get("AWF_DEBUG"):
        traceback.print_exception(error)
    # One write: other threads still log to this stream, and print() writes a line and its end separately.
    sys.stderr.write("".join(f"{visible_lines(redact_url(line))}\n" for line in lines_of(error)))


def lines_of(error: Exception) -> list[str]:
    """The message of `error`, and its hint where it has one."""
    if isinstance(error, AwfError):
        return [f"Error: {error.message}", *([f"Hint: {error.hint}"] if error.hint else [])]
    if isinstance(error, Abort):
        return ["Interrupted."]
    if isinstance(error, ClickException):
        context = error.ctx if isinstance(error, UsageError) else None
        return [
            f"Error: {error.format_message()}",
            *([f"Hint: see `{context.command_path} --help`"] if context else []),
        ]
    return [
        f"Error: {type(error).__name__}: {error}",
        "Hint: this is an internal error of awf; run again with `awf --debug …` and report the output",
    ]
