"""`awf diagram NAME`: draw a workflow as Mermaid or DOT text."""

from __future__ import annotations

import os
from pathlib import Path

import rich_click as click

from awf_core.cli.output import print_text


@click.command(name="diagram")
@click.argument("name")
@click.option(
    "--format",
    "language",
    type=click.Choice(["mermaid", "dot"]),
    default="mermaid",
    show_default=True,
    help="Language of the drawing.",
)
@click.option(
    "--direction",
    type=click.Choice(["TB", "LR", "BT", "RL"]),
    default="TB",
    show_default=True,
    help="Direction of the drawing: top to bottom, left to right, or the reverse.",
)
def diagram_command(*, name: str, language: str, direction: str) -> None:
    """Draw the workflow NAME (or the workflow file at that path) as text.

    Most forges and editors show Mermaid. `awf diagram NAME --format dot | dot -Tsvg` writes an image.
    """
    from awf_core.cli.step_types import step_types_here
    from awf_core.lang.diagram import DRAWINGS, graph_of
    from awf_core.lang.discovery import Discovery
    from awf_core.lang.load import load_workflow

    path = Discovery(Path.cwd(), os.environ).resolve(name, allow_paths=True)
    graph = graph_of(load_workflow(path, step_types_here(os.environ)))
    print_text(DRAWINGS[language](graph, direction=direction))
