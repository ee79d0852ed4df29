"""A queue command's connection: opened for the command, closed behind it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from awf_core.cli.output import note
from awf_core.cli.queue_options import config_overrides, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from awf_core.config.load import Config
    from awf_core.plugin.assemble import Assembly


@contextmanager
def connected(config_path: str | None, mq_type: str | None) -> Iterator[tuple[Config, Assembly]]:
    """The configuration and the open queue. Raises ConfigError, BrokerError."""
    from awf_core.plugin.assemble import assemble

    config = load(config_path, config_overrides(mq_type=mq_type))
    assembly = assemble(config, worker=f"cli-{os.getpid()}")
    for warning in assembly.warnings:
        note(f"warning: {warning}")
    assembly.mq.open()
    try:
        yield config, assembly
    finally:
        assembly.mq.close()


def dead_letter_queue(config: Config) -> str | None:
    """The queue of dead letters, None where they are off."""
    return config.mq.dead_letter.queue if config.mq.dead_letter.enabled else None
