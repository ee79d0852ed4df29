"""Options every queue command has, and the configuration they lead to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

from awf_core.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from awf_core.config.load import Config

Command = TypeVar("Command", bound=Callable[..., Any])

CONFIG_VARIABLE = "AWF_CONFIG_PATH"


def queue_options(command: Command) -> Command:
    """`--config` and `--type`, handed to the command as `config_path` and `mq_type`."""
    for option in (
        click.option("--type", "mq_type", help="Backend to use.  [default: mq.type, sqlite]"),
        click.option("--config", "config_path", help="Configuration file.  [default: .awf/config.yaml]"),
    ):
        command = option(command)
    return command


def config_overrides(
    *, mq_type: str | None = None, concurrency: int | None = None, grace: str | None = None
) -> dict[str, object]:
    """Dotted configuration keys that flags set; what was not given is left out."""
    from awf_core.config.origins import Flag

    flags = {
        "mq.type": (mq_type, "--type"),
        "mq.concurrency": (concurrency, "--concurrency"),
        "mq.grace": (grace, "--grace"),
    }
    return {key: Flag(value=value, option=option) for key, (value, option) in flags.items() if value is not None}


def load(config_path: str | None, overrides: Mapping[str, object] | None = None) -> Config:
    """The configuration for this directory. Raises ConfigError."""
    from awf_core.config.load import load_config

    if config_path is not None and not Path(config_path).exists():
        raise ConfigError(f"--config: {config_path} does not exist", hint="create the file, or leave the option out")
    env: Mapping[str, str] = os.environ if config_path is None else {**os.environ, CONFIG_VARIABLE: config_path}
    return load_config(cwd=Path.cwd(), env=env, overrides=overrides or {})


def duration_option(option: str, text: str) -> float:
    """Seconds of a duration given on the command line. Raises UsageError naming the option."""
    from awf_core.units import parse_duration_s

    try:
        return parse_duration_s(text)
    except ValueError as exc:
        raise UsageError(f"{option}: {exc}") from None
