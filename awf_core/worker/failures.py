"""Log what goes wrong on a thread of the worker, at most once a second. Called by every loop of the worker.

A thread that died would leave a worker that seems alive and does half of its work: loops catch UNEXPECTED and go on.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from awf_core.errors import BrokerError
from awf_core.observe import events
from awf_core.observe.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.observe.throttle import Throttle

UNEXPECTED = (Exception, SystemExit)
"""SystemExit: Python silently ends a thread for it, and the code of a plugin may call `sys.exit`."""

log = get_logger(__name__)


def log_internal_error(throttle: Throttle) -> None:
    """Log the exception being handled, at most once a second for each thread. Never raises."""
    thread = threading.current_thread().name
    muted = throttle.take(f"internal error {thread}")
    if muted is not None:
        log.error(events.INTERNAL_ERROR, thread=thread, muted=muted, exc_info=sys.exc_info()[1])


def log_broker_error(event: str, error: BrokerError, throttle: Throttle, **fields: object) -> None:
    """Log what the broker answered, at most once a second for the whole worker."""
    muted = throttle.take("broker")
    if muted is not None:
        log.warning(event, **fields, error=str(error), hint=error.hint, muted=muted)


def checked_answers(answers: Sequence[BrokerError | None], count: int) -> Sequence[BrokerError | None]:
    """`answers` where they are as many as the contract asks for; else raises TypeError."""
    if len(answers) != count or not all(answer is None or isinstance(answer, BrokerError) for answer in answers):
        raise TypeError(f"the backend answered {count} settlements with {answers!r:.200}")
    return answers
