"""`awf config`: the configuration in effect, and the origin of each value."""

from __future__ import annotations

import rich_click as click

from awf_core.cli.options import format_option, queue_options
from awf_core.cli.output import note, print_json, print_table, value_text
from awf_core.cli.queues import load


@click.group()
def config_command() -> None:
    """Show the configuration with the origin of every value, or check it."""


@config_command.command("show")
@queue_options
@format_option
def show_command(*, config_path: str | None, mq_type: str | None, output_format: str) -> None:
    """Print every value with its origin: flag, environment, file and line, or default. Passwords are masked."""
    from awf_core.config.show import show
    from awf_core.plugin.assemble import choose_backend

    config = load(config_path, mq_type=mq_type)
    choice = choose_backend(config)
    rows = show(config, choice.filled)
    if output_format == "json":
        print_json([{"key": row.key, "value": row.value, "origin": row.origin} for row in rows])
    else:
        print_table(("KEY", "VALUE", "ORIGIN"), [(row.key, value_text(row.value), row.origin) for row in rows])
    for warning in (*config.warnings, *choice.warnings):
        note(f"warning: {warning}")


@config_command.command("check")
@queue_options
def check_command(*, config_path: str | None, mq_type: str | None) -> None:
    """Check the configuration and the backend it names, without connecting. Exit code 2 for a problem."""
    from awf_core.plugin.assemble import assemble

    config = load(config_path, mq_type=mq_type)
    assembly = assemble(config, worker="check")
    for warning in assembly.warnings:
        note(f"warning: {warning}")
    note(f"configuration is valid: {config.file or 'no file, defaults'}, mq.type {assembly.backend_name}")
