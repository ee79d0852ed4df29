"""`awf pack`: install or remove a workflow pack. `awf list --packs` lists what is installed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from awf_core.cli.options import Command, format_option
from awf_core.cli.output import note, print_json, print_text

if TYPE_CHECKING:
    from awf_core.lang.pack_install import Installed


def _user_option(command: Command) -> Command:
    option = click.option("--user", is_flag=True, help="The packs of the user, not those of the current project.")
    return option(command)


@click.group()
def pack_command() -> None:
    """Install or remove a workflow pack, with one of the commands below."""


@pack_command.command("install")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--sha256", metavar="HEX", help="Expected checksum of the archive.  [default: the file SOURCE.sha256]")
@click.option("--force", is_flag=True, help="Replace an installed pack of the same name.")
@_user_option
@format_option
def install_command(*, source: Path, sha256: str | None, force: bool, user: bool, output_format: str) -> None:
    """Install the pack at SOURCE: a directory, a .tar.gz or a .zip file of this machine.

    The pack is unpacked beside its place, checked, and renamed: it is installed as a whole or not at all.
    """
    from awf_core.lang.pack_install import install_pack, packs_root

    root = packs_root(Path.cwd(), os.environ, is_for_user=user)
    installed = install_pack(source, root, sha256=sha256, may_replace=force)
    faults = _faults(installed)
    if output_format == "json":
        print_json(_as_json(installed, faults))
        return
    print_text(str(installed.path))
    how = f"replaced version {installed.replaced}" if installed.replaced else "installed"
    note(f"{how}: {installed.manifest.name} {installed.manifest.version}")
    if installed.sha256:
        note(f"sha256: {installed.sha256}")
    for name in _workflow_names(installed):
        note(f"run it with: awf run {name}" if name not in faults else f"warning: {name}: {faults[name]}")


@pack_command.command("remove")
@click.argument("name")
@_user_option
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
def remove_command(*, name: str, user: bool, yes: bool) -> None:
    """Remove the pack NAME with all its files."""
    from awf_core.lang.pack_install import packs_root, remove_pack

    root = packs_root(Path.cwd(), os.environ, is_for_user=user)
    if not yes:
        click.confirm(f"Remove {root / name}?", abort=True, err=True)
    print_text(str(remove_pack(name, root)))


def _workflow_names(installed: Installed) -> list[str]:
    return [f"{installed.manifest.name}/{workflow}" for workflow in installed.manifest.workflows]


def _faults(installed: Installed) -> dict[str, str]:
    """The workflows that do not load, each with the first line of the reason."""
    from awf_core.cli.step_types import step_types_here
    from awf_core.errors import AwfError
    from awf_core.lang.load import load_workflow

    step_types, faults = step_types_here(os.environ), {}
    for name in _workflow_names(installed):
        try:
            load_workflow(installed.path / "workflows" / f"{name.partition('/')[2]}.yaml", step_types)
        except AwfError as problem:
            faults[name] = problem.message.partition("\n")[0]
    return faults


def _as_json(installed: Installed, faults: dict[str, str]) -> dict[str, object]:
    return {
        "name": installed.manifest.name,
        "version": installed.manifest.version,
        "replaced": installed.replaced,
        "path": str(installed.path),
        "sha256": installed.sha256,
        "workflows": [{"name": name, "error": faults.get(name)} for name in _workflow_names(installed)],
    }
