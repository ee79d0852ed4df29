"""`awf list`: list the workflows that can be run by name."""

from __future__ import annotations

import os
from pathlib import Path

import rich_click as click

from awf_core.cli.options import format_option
from awf_core.cli.output import note, print_json, print_table


@click.command()
@format_option
def list_command(*, output_format: str) -> None:
    """List the workflows that can be run, with the path of each file."""
    from awf_core.cli.step_types import step_types_here
    from awf_core.errors import AwfError
    from awf_core.lang.discovery import Discovery
    from awf_core.lang.load import load_workflow

    discovery = Discovery(Path.cwd(), os.environ)
    step_types = step_types_here(os.environ)
    rows = []
    for found in discovery.list():
        row = {"name": found.name, "path": str(found.path), "description": "", "error": None}
        try:
            row["description"] = load_workflow(found.path, step_types).description
        except AwfError as exc:
            row["error"] = exc.message.partition("\n")[0]
        rows.append(row)
    if output_format == "json":
        print_json(rows)
    elif rows:
        print_table(("NAME", "DESCRIPTION", "PATH"), [(r["name"], _about(r), r["path"]) for r in rows])
    else:
        note(f"no workflows in {', '.join(map(str, discovery.directories()))}; `awf init` creates a first one")


def _about(row: dict[str, str | None]) -> str:
    return f"does not load: {row['error']}" if row["error"] else str(row["description"] or "").partition("\n")[0]
