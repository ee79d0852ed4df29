"""`awf worker`: take messages from a queue and run the workflows they name."""

from __future__ import annotations

import os
from pathlib import Path

import rich_click as click

from awf_core.cli.queue_options import config_overrides, queue_options


@click.command(context_settings={"show_default": True})
@queue_options
@click.option("--queue", "-q", "queues", multiple=True, help="Queue to consume, literally; repeatable.")
@click.option("--concurrency", "-c", type=int, help="Workflows run at once.  [default: mq.concurrency, 5]")
@click.option("--grace", help="How long running workflows may finish after TERM or INT.  [default: mq.grace, 25s]")
@click.option("--burst", is_flag=True, help="Leave when the queues are dry; exit 3 if anything was dead-lettered.")
@click.option("--max-messages", type=click.IntRange(min=1), help="Leave after so many messages.")
@click.option("--name", help="The worker's name in logs and results.  [default: host and process id]")
@click.option("--connect-timeout", default="30s", help="How long to wait for the broker at start; then exit 4.")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="[default: text on a terminal, else json]")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", help="Least level logged."
)
def worker_command(
    *,
    config_path: str | None,
    mq_type: str | None,
    queues: tuple[str, ...],
    concurrency: int | None,
    grace: str | None,
    burst: bool,
    max_messages: int | None,
    name: str | None,
    connect_timeout: str,
    log_format: str | None,
    log_level: str,
) -> int:
    """Take messages from a queue and run the workflows they name.

    \b
    Exit codes: 0 drained, or --burst ran dry with every message completed; 2 configuration or missing backend;
    3 --burst dead-lettered something; 4 broker not reached within --connect-timeout; 5 stopped by force, and
    what was unfinished was given back.
    """
    from awf_core.cli.queue_options import duration_option, load
    from awf_core.observe.log import configure_logging
    from awf_core.worker.build import WorkerOptions, build_worker
    from awf_core.worker.startup import log_started

    configure_logging(log_format, log_level)  # type: ignore[arg-type]
    overrides = config_overrides(mq_type=mq_type, concurrency=concurrency, grace=grace)
    config = load(config_path, overrides)
    options = WorkerOptions(
        queues=queues,
        name=name,
        burst=burst,
        max_messages=max_messages,
        connect_timeout_s=duration_option("--connect-timeout", connect_timeout),
    )
    worker, assembly = build_worker(config, options, cwd=Path.cwd(), env=os.environ)
    log_started(config, assembly, burst=burst)
    return worker.serve()
