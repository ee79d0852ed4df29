"""`awf plugins new`: write a folder with a small working backend or extension, for the author to change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import rich_click as click

from awf_core.cli.output import note, print_text
from awf_core.errors import SystemFailure, UsageError

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LEFT_OUT = frozenset({"__pycache__"})
BACKEND = "backend"
EXTENSIONS = ("operation", "agent", "step", "executor")
"""The kinds of plugins that are no backend, each with a template of that name."""


@click.command("new")
@click.argument("name")
@click.argument("directory", required=False)
@click.option(
    "--kind",
    type=click.Choice([BACKEND, *EXTENSIONS]),
    default=BACKEND,
    show_default=True,
    help="What the plugin adds.",
)
def new_command(*, name: str, directory: str | None, kind: str) -> None:
    """Write a folder with a plugin called NAME: a package that works, and its tests.

    A backend comes with the conformance kit; the other kinds run workflows in their tests. The default DIRECTORY is
    `awf-mq-NAME` for a backend, else `awf-plugin-NAME`. It must be empty or not exist.
    """
    _check_name(name, kind)
    target = Path(directory or (f"awf-mq-{name}" if kind == BACKEND else f"awf-plugin-{name}"))
    rename = renamed if kind == BACKEND else renamed_extension
    try:
        if target.exists() and any(target.iterdir()):
            raise UsageError(f"{target} is not empty", hint="name another directory")
        for path, source in template_files(kind):
            written = target / rename(path, name)
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_text(rename(source.read_text(encoding="utf-8"), name), encoding="utf-8")
    except OSError as error:
        raise SystemFailure(f"{target}: {error.strerror}", hint="name a directory that can be written") from error
    print_text(str(target))
    note(f"next: cd {target} && pip install -e '.[test]' && pytest")


def template_files(kind: str = BACKEND) -> Iterator[tuple[str, Traversable]]:
    """The relative path and the file of everything that is copied for that kind of plugin."""
    testing = files("awf_core.testing")
    if kind == BACKEND:
        yield from _below(testing / "template", "")
    else:
        yield from _below(testing / "extensions" / "common", "")
        yield from _below(testing / "extensions" / kind, "")


def renamed_extension(text: str, name: str) -> str:
    """`text` with the names of the template's plugin replaced by those of the plugin `name`."""
    return text.replace("awf_plugin_sample", f"awf_plugin_{name.replace('-', '_')}").replace("sample", name)


def renamed(text: str, name: str) -> str:
    """`text` with the template backend's names replaced by those of the backend `name`."""
    snake = name.replace("-", "_")
    camel = "".join(part.capitalize() for part in name.split("-"))
    for old, new in (
        ("awf_mq_template", f"awf_mq_{snake}"),
        ("TestTemplate", f"Test{camel}"),
        ("template", name),
    ):
        text = text.replace(old, new)
    return text


def _check_name(name: str, kind: str) -> None:
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be the name of {'a backend' if kind == BACKEND else 'a plugin'}",
            hint="use lower-case letters, digits and single hyphens: `my-broker`",
        )
    if kind == BACKEND:
        _check_backend_name(name)
    else:
        _check_plugin_name(name)


def _check_backend_name(name: str) -> None:
    from awf_core.config.backend_names import DISTRIBUTIONS, section_names

    if name in section_names():
        by = DISTRIBUTIONS.get(name, "an installed package")
        raise UsageError(f"the backend name {name!r} is taken by {by}", hint="choose another name")


def _check_plugin_name(name: str) -> None:
    from awf_core.config.backend_names import PLUGIN_GROUP
    from awf_core.plugin.loader import entries

    for entry in entries(PLUGIN_GROUP):
        if entry.name == name:
            raise UsageError(f"the plugin name {name!r} is taken: {entry}", hint="choose another name")


def _below(directory: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for item in sorted(directory.iterdir(), key=lambda each: each.name):
        if item.name in LEFT_OUT:
            continue
        if item.is_dir():
            yield from _below(item, f"{prefix}{item.name}/")
        else:
            yield f"{prefix}{item.name}", item
