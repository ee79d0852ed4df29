"""What a worker is warned of when it begins to consume. Called by `session.py`. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from awf_core.units import format_duration

if TYPE_CHECKING:
    from awf_mq_rabbitmq.settings import RabbitMqSettings

GRANTS_TIMEOUTS = (3, 12)
"""From this version on a queue's and a consumer's `x-consumer-timeout` count (RabbitMQ's documentation of consumers);
3.10.8 takes them and does nothing.
"""
BROKERS_TIMEOUT_S = 1800.0
SETTLE_S = 60.0
"""Time to settle a run that took as long as it may."""


def hold_warning(version: str, settings: RabbitMqSettings, longest_run_s: float | None, where: str) -> str | None:
    """That this broker may take messages back in the middle of a run; None when it won't, or we know no better.

    `longest_run_s=None`: runs have no bound of their own. A timeout that somebody wrote into the settings is taken for
    the broker's: no client can ask for it.
    """
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    needed_s = settings.consumer_timeout_s if longest_run_s is None else longest_run_s + SETTLE_S
    is_told = "consumer_timeout_s" in settings.model_fields_set
    if not numbers or numbers >= GRANTS_TIMEOUTS or is_told or needed_s <= BROKERS_TIMEOUT_S:
        return None
    needed_ms = round(min(needed_s, settings.consumer_timeout_s) * 1000)
    takes_back = (
        f"{where}: RabbitMQ {version} doesn't let a client choose how long a message may be held; after its own "
        f"consumer timeout, {format_duration(BROKERS_TIMEOUT_S)} by default, it hands one out again while it runs"
    )
    remedy = (
        f"set `consumer_timeout = {needed_ms}` (milliseconds) in rabbitmq.conf and mq.rabbitmq.consumer_timeout: "
        f"{format_duration(needed_ms / 1000)} here, or bound the runs with mq.max_run"
    )
    return f"{takes_back}: {remedy}"
