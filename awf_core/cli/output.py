"""Data on stdout, everything else on stderr. The only module that decides how either looks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import rich_click as click

Command = TypeVar("Command", bound=Callable[..., Any])


def format_option(command: Command) -> Command:
    """`--format text|json`, handed to the command as `output_format`."""
    option = click.option(
        "--format",
        "output_format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="How data is printed on stdout.",
    )
    return option(command)


def print_json(data: object) -> None:
    """One JSON document, indented for people, on stdout."""
    print_text(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def print_text(text: str) -> None:
    """A line (or several) of data on stdout. Bytes no UTF-8 text can hold are escaped, never a crash."""
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")
    sys.stdout.flush()


def print_count(what: str, count: int | None, output_format: str) -> None:
    """How many messages a command touched (None: this broker can't say): the number, or `{what: number}`."""
    if output_format == "json":
        print_json({what: count})
    else:
        print_text("unknown" if count is None else str(count))


def note(text: str) -> None:
    """A remark for the person at the terminal, on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns padded with spaces: readable for people, cut and awk; no colours, no boxes, no rich."""
    cells = [[str(heading) for heading in headings], *[[_cell(value) for value in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        print_text("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    text = str(value)
    return "".join(ch if ch.isprintable() else repr(ch)[1:-1] for ch in text)
