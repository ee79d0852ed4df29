"""What a worker refuses or warns of before it connects: settings that don't fit, workflow directories without content.

Called once at start, by `build.py` and `awf worker`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from awf_core.errors import ConfigError
from awf_core.lang.discovery import Discovery
from awf_core.lang.packs import pack_directories

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from awf_core.config.model import MqSettings, RetrySettings
    from awf_core.contract import Capabilities

NAMED_BY = "AWF_WORKFLOWS_PATH"


def reject_own_dead_letter_queue(mq: MqSettings, queues: Sequence[str]) -> None:
    """A worker must not consume what it dead-letters: it would process those messages without end."""
    targets = {"mq.undeliverable.queue": mq.undeliverable.queue}
    if mq.dead_letter.enabled:
        targets["mq.dead_letter.queue"] = mq.dead_letter.queue
    for key, queue in targets.items():
        if queue in queues:
            raise ConfigError(
                f"{key} is '{queue}', a queue this worker consumes: it would consume what it publishes there",
                hint=f"consume another queue, or give {key} a name of its own; "
                "`awf dlq replay` returns dead-lettered messages to their queues",
            )


def reject_delays(mq: MqSettings, capabilities: Capabilities, backend: str) -> None:
    """Where a nack can't be delayed, neither can a retry nor a deferred message be."""
    if capabilities.max_nack_delay_s != 0:
        return
    policies = {"mq.retry": mq.retry}
    policies |= {f"mq.workflows.{name}.retry": rules.retry for name, rules in mq.workflows.items()}
    keys = [f"{where}.{key}" for where, retry in policies.items() for key in _delays_of(retry, where)]
    if keys:
        raise ConfigError(
            f"mq.type '{backend}' can't delay a message, and these settings ask for delays: {', '.join(keys)}",
            hint=f"set {' and '.join(f'{key} to 0s' for key in keys)}, or use another backend",
        )


def _delays_of(retry: RetrySettings, where: str) -> list[str]:
    """The keys of `retry` that are not zero; of a workflow's rules only those that are given count."""
    delays = {"initial_delay": retry.initial_delay_s, "defer_unknown": retry.defer_unknown_s}
    is_general = where == "mq.retry"
    return [key for key, value in delays.items() if value and (is_general or f"{key}_s" in retry.model_fields_set)]


def workflow_warnings(cwd: Path, env: Mapping[str, str]) -> list[str]:
    """What an operator should know of the workflow directories: one that was named is missing, or there is nothing."""
    discovery = Discovery(cwd, env)
    directories = discovery.directories()
    named = env.get(NAMED_BY)
    warnings = []
    if named and not directories[0].is_dir():
        warnings.append(f"{NAMED_BY} names {directories[0]}, a directory that does not exist")
    if not discovery.list() and not any(map(_has_entry, pack_directories(cwd, env))):
        shown = ", ".join(str(each) if each.is_dir() else f"{each} (does not exist)" for each in directories)
        warnings.append(f"there is no workflow in any directory: {shown}")
    return warnings


def _has_entry(directory: Path) -> bool:
    try:
        return any(os.scandir(directory))
    except OSError:
        return False
