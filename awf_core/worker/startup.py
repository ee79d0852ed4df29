"""The start of a worker: its first log lines, the connection to the broker, and the queues it needs.

Effects only; what follows from them is the caller's to decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core import __version__
from awf_core.backoff import Backoff
from awf_core.errors import BrokerBlocked, BrokerUnavailable, redact_url
from awf_core.observe import events
from awf_core.observe.log import get_logger
from awf_core.units import format_duration
from awf_core.worker.failures import log_broker_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.clock import Clock
    from awf_core.config.load import Config
    from awf_core.mq import Mq
    from awf_core.observe.throttle import Throttle
    from awf_core.plugin.assemble import Assembly

log = get_logger(__name__)


def log_started(
    config: Config, assembly: Assembly, *, burst: bool, step_env: Sequence[str] = (), warnings: Sequence[str] = ()
) -> None:
    """Log what an operator needs in a bug report; warn of what loses data by choice or is ignored.

    `step_env`: the names of the variables that every step gets.
    """
    mq = config.mq
    log.info(
        events.WORKER_STARTED,
        version=__version__,
        backend=assembly.backend_name,
        address=address_of(assembly),
        queues=list(assembly.queues),
        concurrency=mq.concurrency,
        config=str(config.file) if config.file else None,
        retry=f"{mq.retry.max_attempts} attempts, {mq.retry.backoff}, "
        f"{format_duration(mq.retry.initial_delay_s)} to {format_duration(mq.retry.max_delay_s)}",
        dead_letters=mq.dead_letter.queue if mq.dead_letter.enabled else None,
        grace=format_duration(mq.grace_s),
        burst=burst,
        shell=mq.shell,
        step_env=list(step_env),
        unsafe_inputs=mq.unsafe_inputs,
        orphans=mq.orphans,
    )
    for warning in (*assembly.warnings, *warnings):
        log.warning(events.CONFIG_WARNING, warning=warning)
    if not mq.dead_letter.enabled:
        log.warning(
            events.CONFIG_WARNING,
            warning="mq.dead_letter.enabled is false: messages that would be dead-lettered are answered and discarded",
        )


def address_of(assembly: Assembly) -> str | None:
    """Where the queue is, as the backend shows it, without passwords; None = unknown."""
    address = getattr(assembly.backend, "address", None) or getattr(assembly.settings, "url", None)
    return redact_url(str(address)) if address else None


def connect(
    mq: Mq,
    prepare: Callable[[], None],
    *,
    timeout_s: float,
    clock: Clock,
    throttle: Throttle,
    wait: Callable[[float], bool],
) -> bool:
    """Open `mq` and run `prepare`, again and again while the broker can't be reached, for at most `timeout_s` seconds.

    `wait(seconds)` sleeps and says whether to stop early; then the answer is False. Raises at once what retrying can't
    repair (BrokerMisconfigured, QueueMissing), and the last BrokerUnavailable when the time is over.
    """
    backoff = Backoff()
    end = clock.monotonic() + timeout_s
    while True:
        try:
            mq.open()
            prepare()
        except (BrokerUnavailable, BrokerBlocked) as exc:
            wait_s = backoff.next_s()
            if clock.monotonic() + wait_s > end:
                raise
            log_broker_error(events.BROKER_UNAVAILABLE, exc, throttle, retry_in_s=round(wait_s, 2))
            if wait(wait_s):
                return False
        else:
            return True


def ensure_queues(mq: Mq, queues: Sequence[str], *, dead_letter_queue: str | None, undeliverable_queue: str) -> None:
    """Make sure of the queues a worker consumes, and of those for dead messages and undeliverable results."""
    for queue in queues:
        mq.ensure(queue, "work", dead_letter=dead_letter_queue)
    if dead_letter_queue is not None:
        mq.ensure(dead_letter_queue, "dead")
    mq.ensure(undeliverable_queue, "dead")
