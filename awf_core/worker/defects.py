"""What nobody expected on a thread of the worker's: told, with its traceback, and never the end of the thread.

Called by every loop of the worker. A thread that died would leave a worker that looks alive and does half its work.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from awf_core.observe import events
from awf_core.observe.log import get_logger

if TYPE_CHECKING:
    from awf_core.observe.throttle import Throttle

UNEXPECTED = (Exception, SystemExit)
"""SystemExit: Python ends a thread for it without a word, and a plugin's code may well call `sys.exit`."""

log = get_logger(__name__)


def say_defect(throttle: Throttle) -> None:
    """Log the exception being handled, at most once a second for each thread. Never raises."""
    thread = threading.current_thread().name
    muted = throttle.take(f"defect {thread}")
    if muted is not None:
        log.error(events.INTERNAL_ERROR, thread=thread, muted=muted, exc_info=sys.exc_info()[1])
