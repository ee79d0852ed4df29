"""`--storage`: where the records of runs lie, for every command that writes or reads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., Any]")


def storage_option(command: Command) -> Command:
    """`--storage`, handed to the command as `storage`; None = the user's own directory."""
    option = click.option(
        "--storage",
        type=click.Path(file_okay=False, path_type=Path),
        help="Directory of the records of runs.  [default: $XDG_DATA_HOME/awf]",
    )
    return option(command)
