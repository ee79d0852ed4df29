"""`awf plugins new`: write a folder with a small working backend, for the author to change."""

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


@click.command("new")
@click.argument("name")
@click.argument("directory", required=False)
def new_command(*, name: str, directory: str | None) -> None:
    """Write a folder with a backend called NAME: a package, its tests, and the conformance kit.

    The default DIRECTORY is `awf-mq-NAME`. It must be empty or not exist.
    """
    _check_name(name)
    target = Path(directory or f"awf-mq-{name}")
    try:
        if target.exists() and any(target.iterdir()):
            raise UsageError(f"{target} is not empty", hint="name another directory")
        for path, source in template_files():
            written = target / renamed(path, name)
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_text(renamed(source.read_text(encoding="utf-8"), name), encoding="utf-8")
    except OSError as error:
        raise SystemFailure(f"{target}: {error.strerror}", hint="name a directory that can be written") from error
    print_text(str(target))
    note(f"next: cd {target} && pip install -e '.[test]' && pytest")


def template_files() -> Iterator[tuple[str, Traversable]]:
    """The relative path and the file of everything that is copied."""
    yield from _below(files("awf_core.testing") / "template", "")


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


def _check_name(name: str) -> None:
    from awf_core.config.backend_names import DISTRIBUTIONS, section_names

    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be the name of a backend",
            hint="use lower-case letters, digits and single hyphens: `my-broker`",
        )
    if name in section_names():
        by = DISTRIBUTIONS.get(name, "an installed package")
        raise UsageError(f"the backend name {name!r} is taken by {by}", hint="choose another name")


def _below(directory: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for item in sorted(directory.iterdir(), key=lambda each: each.name):
        if item.name in LEFT_OUT:
            continue
        if item.is_dir():
            yield from _below(item, f"{prefix}{item.name}/")
        else:
            yield f"{prefix}{item.name}", item
