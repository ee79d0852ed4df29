"""What the commands that use a queue share: reading the configuration, connecting, browsing page by page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from awf_core.cli.output import note
from awf_core.errors import ConfigError

if TYPE_CHECKING:
    from awf_core.config.load import Config
    from awf_core.contract import QueueItem
    from awf_core.mq import Mq
    from awf_core.plugin.assemble import Assembly

CONFIG_VARIABLE = "AWF_CONFIG_PATH"
PAGE = 200


def load(
    config_path: str | None, *, mq_type: str | None = None, concurrency: int | None = None, grace: str | None = None
) -> Config:
    """The configuration for this directory, with what flags override (None: not given). Raises ConfigError."""
    from awf_core.config.load import load_config
    from awf_core.config.origins import Flag

    if config_path is not None and not Path(config_path).exists():
        raise ConfigError(f"--config: {config_path} does not exist", hint="create the file, or omit the option")
    env: Mapping[str, str] = os.environ if config_path is None else {**os.environ, CONFIG_VARIABLE: config_path}
    flags = {
        "mq.type": (mq_type, "--type"),
        "mq.concurrency": (concurrency, "--concurrency"),
        "mq.grace": (grace, "--grace"),
    }
    overrides = {key: Flag(value=value, option=option) for key, (value, option) in flags.items() if value is not None}
    return load_config(cwd=Path.cwd(), env=env, overrides=overrides)


@contextmanager
def connected(config_path: str | None, mq_type: str | None) -> Iterator[tuple[Config, Assembly]]:
    """The configuration and the open queue, which is closed at the end. Raises ConfigError, BrokerError."""
    from awf_core.plugin.assemble import assemble

    config = load(config_path, mq_type=mq_type)
    assembly = assemble(config, worker=f"cli-{os.getpid()}")
    for warning in assembly.warnings:
        note(f"warning: {warning}")
    assembly.mq.open()
    try:
        yield config, assembly
    finally:
        assembly.mq.close()


def dead_letter_queue(config: Config) -> str | None:
    """The name of the dead-letter queue; None where dead-lettering is off."""
    return config.mq.dead_letter.queue if config.mq.dead_letter.enabled else None


def browse(mq: Mq, queue: str, *, limit: int | None) -> Iterator[QueueItem]:
    """The messages of `queue`, oldest first, at most `limit` (None: all). Notes when browsing changes the queue."""
    after: str | None = None
    left = limit
    warned = False
    while left is None or left > 0:
        page = mq.browse(queue, limit=PAGE if left is None else min(PAGE, left), after=after)
        if not page.exact and not warned:
            warned = True
            note(f"note: browsing '{queue}' on this broker may change the order and the counts of its messages")
        yield from page.items
        left = None if left is None else left - len(page.items)
        after = page.next
        if after is None:
            return
