"""Options that several commands share. Each function is a decorator that adds its options to a command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import rich_click as click

from awf_core.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])
OutputMode = Literal["silent", "streaming", "buffered"]


def format_option(command: Command) -> Command:
    """`--format text|json`, passed as `output_format`."""
    option = click.option(
        "--format",
        "output_format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Format of the data on stdout.",
    )
    return option(command)


def queue_options(command: Command) -> Command:
    """`--config` and `--type`, passed as `config_path` and `mq_type`."""
    with_type = click.option("--type", "mq_type", help="Backend to use.  [default: mq.type, sqlite]")
    with_config = click.option("--config", "config_path", help="Configuration file.  [default: .awf/config.yaml]")
    return with_config(with_type(command))


def input_options(command: Command) -> Command:
    """`--input` and `--inputs-file`, passed as `pairs` and `inputs_file`."""
    with_file = click.option(
        "--inputs-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Inputs as a YAML or JSON mapping; --input overrides them.",
    )
    with_pairs = click.option(
        "--input", "-i", "pairs", multiple=True, metavar="KEY=VALUE", help="An input, as text; repeatable."
    )
    return with_pairs(with_file(command))


def output_option(command: Command) -> Command:
    """`--output`, passed as `output`."""
    option = click.option(
        "--output",
        type=click.Choice(["silent", "streaming", "buffered"]),
        default="silent",
        show_default=True,
        help="Show the output of steps: never, as it is written, or step by step.",
    )
    return option(command)


def storage_option(command: Command) -> Command:
    """`--storage`, passed as `storage`; None means the user's own directory."""
    option = click.option(
        "--storage",
        type=click.Path(file_okay=False, path_type=Path),
        help="Directory of the run records.  [default: $XDG_DATA_HOME/awf]",
    )
    return option(command)


def duration_option(option: str, text: str) -> float:
    """Seconds of a duration on the command line. Raises UsageError that names the option."""
    from awf_core.units import parse_duration_s

    try:
        return parse_duration_s(text)
    except ValueError as exc:
        raise UsageError(f"{option}: {exc}") from None
