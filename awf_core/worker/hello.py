"""The first lines of a worker: what an operator needs in a bug report, and what is worth a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core import __version__
from awf_core.errors import redact_url
from awf_core.observe import events
from awf_core.observe.log import get_logger
from awf_core.units import format_duration

if TYPE_CHECKING:
    from awf_core.config.load import Config
    from awf_core.plugin.assemble import Assembly
    from awf_core.worker.build import WorkerOptions

log = get_logger(__name__)


def log_started(config: Config, assembly: Assembly, options: WorkerOptions) -> None:
    """Say who we are and by which rules we work; warn of what loses data by choice or is ignored."""
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
        burst=options.burst,
    )
    for warning in assembly.warnings:
        log.warning(events.CONFIG_WARNING, warning=warning)
    if not mq.dead_letter.enabled:
        log.warning(
            events.CONFIG_WARNING,
            warning="mq.dead_letter.enabled is false: messages that can't be done are answered and discarded",
        )


def address_of(assembly: Assembly) -> str | None:
    """Where the queue is, as the backend puts it; passwords masked."""
    address = getattr(assembly.backend, "address", None) or getattr(assembly.settings, "url", None)
    return redact_url(str(address)) if address else None
