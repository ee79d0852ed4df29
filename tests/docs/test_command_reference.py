"""docs/reference/cli.md against the commands themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner
from docs_pages import read_page, table

from awf_core.cli.main import COMMANDS, AwfGroup, LazyCommand, awf

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = read_page("docs/reference/cli.md")


def every_command() -> Iterator[tuple[str, click.Command]]:
    """`awf`, its commands and theirs, each with the words that call it."""
    yield "awf", awf
    for name in COMMANDS:
        lazy = AwfGroup().get_command(click.Context(awf), name)
        assert isinstance(lazy, LazyCommand)
        command = lazy.load()
        yield f"awf {name}", command
        for below, sub in getattr(command, "commands", {}).items():
            yield f"awf {name} {below}", sub


ALL = dict(every_command())


def usage(words: str, command: click.Command) -> str:
    """The words that call it, with its arguments; options are in the table."""
    context = click.Context(command, info_name=words)
    return " ".join([words, *(piece for piece in command.collect_usage_pieces(context) if piece)])


def option_row(words: str, option: click.Option) -> dict[str, str]:
    """An option as the page shows it."""
    flags = ", ".join(f"`{flag}`" for flag in sorted(option.opts, key=len, reverse=True))
    context = click.Context(click.Command("x"))
    takes = "" if option.is_flag else option.make_metavar(context).replace("[x>=1]", "").strip()
    return {
        "Option": flags,
        "Takes": f"`{takes}`" if takes else "–",
        "Variable": f"`{option.envvar}`",
        "Meaning": meaning(option),
    }


def meaning(option: click.Option) -> str:
    text = (option.help or "").replace("  [default", " [default")
    default = option.default
    if isinstance(default, (str, int)) and not isinstance(default, bool) and default != "":
        text += f" [default: {default}]"
    return text.strip()


def expected_rows(words: str) -> list[dict[str, str]]:
    options = [parameter for parameter in ALL[words].params if isinstance(parameter, click.Option)]
    return [option_row(words, option) for option in options if option.name != "version"]


def as_table(rows: list[dict[str, str]]) -> str:
    """The table to put into the page."""
    lines = ["| " + " | ".join(text.replace("|", "\\|") for text in row.values()) + " |" for row in rows]
    return "\n".join(["| Option | Takes | Variable | Meaning |", "|---|---|---|---|", *lines])


@pytest.mark.parametrize("words", ALL)
def test_every_command_is_documented_with_its_usage_and_all_its_options(words: str) -> None:
    section = own_section(words)

    assert f"`{usage(words, ALL[words])}`" in section
    rows = expected_rows(words)
    shown = table(section, "Option")
    assert shown == rows, f"{words}: the table should be\n{as_table(rows)}"


def own_section(words: str) -> str:
    """The part of the page under the command's own heading, without its sub-commands."""
    level = "##" if words.count(" ") < 2 else "###"
    return PAGE.section(f"{level} {words}").partition("\n### ")[0]


def test_the_page_documents_no_command_that_is_not_there() -> None:
    headings = [line.lstrip("# ") for line in PAGE.prose.splitlines() if line.startswith(("## awf", "### awf"))]

    assert sorted(headings) == sorted(ALL)


@pytest.mark.parametrize("words", ALL)
def test_the_help_of_a_command_shows_each_default_once(words: str) -> None:
    printed = CliRunner().invoke(awf, [*words.split()[1:], "--help"], terminal_width=400, env={"COLUMNS": "400"})

    options = re.split(r"\n\W*--", printed.output)
    assert printed.exit_code == 0
    assert [option for option in options if option.count("[default") > 1] == []
