"""`awf list`: list the workflows that can be run by name, or the packs that hold some."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from awf_core.cli.options import format_option
from awf_core.cli.output import note, print_json, print_table, shortened

MAX_ABOUT_CHARS = 200

if TYPE_CHECKING:
    from awf_core.lang.pack_manifest import Manifest
    from awf_core.lang.packs import FoundPack


@click.command()
@click.option("--packs", is_flag=True, help="List the workflow packs instead, with the workflows of each.")
@format_option
def list_command(*, packs: bool, output_format: str) -> None:
    """List the workflows that can be run, with the path of each file."""
    if packs:
        _list_packs(output_format)
    else:
        _list_workflows(output_format)


def _list_packs(output_format: str) -> None:
    from awf_core.lang.discovery import Discovery

    discovery = Discovery(Path.cwd(), os.environ)
    found = discovery.packs()
    if output_format == "json":
        print_json([_pack_as_json(pack) for pack in found])
    elif found:
        print_table(
            ("NAME", "VERSION", "WORKFLOWS", "DESCRIPTION", "PATH"),
            [
                (
                    pack.name,
                    pack.manifest.version if pack.manifest else None,
                    ", ".join(f"{pack.name}/{workflow}" for workflow in pack.manifest.workflows)
                    if pack.manifest
                    else None,
                    f"does not work: {pack.error}" if pack.error else _first_line(pack.manifest),
                    pack.path,
                )
                for pack in found
            ],
        )
    else:
        searched = ", ".join(map(str, discovery.pack_directories()))
        note(f"no packs in {searched}; `awf pack install` installs one")


def _first_line(manifest: Manifest | None) -> str:
    return manifest.description.strip().partition("\n")[0] if manifest else ""


def _pack_as_json(pack: FoundPack) -> dict[str, object]:
    manifest = pack.manifest
    return {
        "name": pack.name,
        "version": manifest.version if manifest else None,
        "description": manifest.description if manifest else "",
        "workflows": [f"{pack.name}/{workflow}" for workflow in manifest.workflows] if manifest else [],
        "path": str(pack.path),
        "source": pack.source or None,
        "error": pack.error or None,
    }


def _list_workflows(output_format: str) -> None:
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
            row["error"] = _short(exc.message)
        except Exception as exc:  # noqa: BLE001  (one file must not hide the others)
            row["error"] = _short(f"internal error: {type(exc).__name__}: {exc}")
        rows.append(row)
    if output_format == "json":
        print_json(rows)
    elif rows:
        print_table(("NAME", "DESCRIPTION", "PATH"), [(r["name"], _about(r), r["path"]) for r in rows])
    else:
        note(f"no workflows in {', '.join(map(str, discovery.directories()))}; `awf init` creates a first one")


def _about(row: dict[str, str | None]) -> str:
    return f"does not load: {row['error']}" if row["error"] else _short(str(row["description"] or ""))


def _short(text: str) -> str:
    return shortened(text.partition("\n")[0], MAX_ABOUT_CHARS)
