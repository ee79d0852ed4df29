"""`awf plugins`: list what is installed, and check that it works."""

from __future__ import annotations

from dataclasses import asdict

import rich_click as click

from awf_core.cli.conformance import conformance_command
from awf_core.cli.new_plugin import new_command
from awf_core.cli.options import format_option
from awf_core.cli.output import note, print_json, print_table

PROBLEMS_FOUND = 2


@click.group(invoke_without_command=True)
@format_option
@click.pass_context
def plugins_command(context: click.Context, *, output_format: str) -> None:
    """List installed backends and plugins without importing them."""
    if context.invoked_subcommand is not None:
        return
    from awf_core.plugin.doctor import list_plugins

    found = list_plugins()
    if output_format == "json":
        keys = ("group", "name", "distribution", "version", "value")
        print_json([{key: getattr(fact, key) for key in keys} for fact in found])
        return
    print_table(
        ("GROUP", "NAME", "DISTRIBUTION", "VERSION", "ENTRY POINT"),
        [(f.group, f.name, f.distribution, f.version, f.value) for f in found],
    )


@plugins_command.command("doctor")
@format_option
def doctor_command(*, output_format: str) -> int:
    """Import every backend and plugin and report problems. The exit code is 2 if there is one."""
    from awf_core.plugin.doctor import diagnose

    facts = diagnose()
    if output_format == "json":
        print_json([asdict(fact) for fact in facts])
    else:
        print_table(
            ("GROUP", "NAME", "DISTRIBUTION", "VERSION", "IMPORT_MS", "API", "HOOKS", "PROBLEM"),
            [
                (f.group, f.name, f.distribution, f.version, _ms(f.import_ms), f.api_version, len(f.hooks), f.problem)
                for f in facts
            ],
        )
        for fact in facts:
            if fact.notice:
                note(fact.notice)
    problems = [fact for fact in facts if fact.problem]
    note(f"{len(facts)} entry points, {len(problems)} with problems")
    return PROBLEMS_FOUND if problems else 0


plugins_command.add_command(conformance_command)
plugins_command.add_command(new_command)


def _ms(import_ms: float | None) -> str | None:
    return None if import_ms is None else f"{import_ms:.1f}"
