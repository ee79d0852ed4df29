"""`awf worker`: consume messages from a queue and run the workflows that they name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from awf_core.cli.options import duration_option, queue_options
from awf_core.cli.queues import load

if TYPE_CHECKING:
    from awf_core.config.load import Config
    from awf_core.worker.build import WorkerOptions


@click.command(context_settings={"show_default": True})
@queue_options
@click.option("--queue", "-q", "queues", multiple=True, help="Queue to consume; repeatable.")
@click.option(
    "--concurrency", "-c", type=int, help="Workflows that run at the same time.  [default: mq.concurrency, 5]"
)
@click.option("--grace", help="Time that running workflows get to finish after TERM or INT.  [default: mq.grace, 25s]")
@click.option(
    "--burst", is_flag=True, help="Exit when the queues are empty; exit code 3 if a message was dead-lettered."
)
@click.option("--max-messages", type=click.IntRange(min=1), help="Exit after N messages.", metavar="N")
@click.option("--name", help="Name of the worker in logs and results.  [default: host and process id]")
@click.option("--connect-timeout", default="30s", help="Time to wait for the broker at start, before exit code 4.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="Format of the log.  [default: text on a terminal, else json]",
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", help="Minimum log level."
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
    """Consume messages from a queue and run the workflows that they name.

    \b
    Exit codes:
      0  drained, or --burst ended and every message completed
      2  wrong configuration or missing backend
      3  --burst ended and a message was dead-lettered
      4  the broker was not reached within --connect-timeout
      5  stopped by force; unfinished messages were released
    """
    from awf_core.observe.log import configure_logging
    from awf_core.worker.build import WorkerOptions

    configure_logging(log_format, log_level, in_background=True)  # type: ignore[arg-type]
    config = load(config_path, mq_type=mq_type, concurrency=concurrency, grace=grace)
    options = WorkerOptions(
        queues=queues,
        name=name,
        burst=burst,
        max_messages=max_messages,
        connect_timeout_s=duration_option("--connect-timeout", connect_timeout),
    )
    return _serve(config, options)


def _serve(config: Config, options: WorkerOptions) -> int:
    from awf_core.engine.process import orphans, own_environment
    from awf_core.worker.build import build_worker
    from awf_core.worker.checks import workflow_warnings
    from awf_core.worker.startup import log_started
    from awf_core.worker.step_environment import SETTINGS, shown, step_environment

    worker, assembly = build_worker(config, options, cwd=Path.cwd(), env=os.environ)
    log_started(
        config,
        assembly,
        burst=options.burst,
        step_env=shown(step_environment(os.environ, config.mq)),
        warnings=workflow_warnings(Path.cwd(), os.environ),
    )
    own_environment.hide(SETTINGS.removesuffix("*"))
    if config.mq.orphans == "kill":
        orphans.adopt()
    orphans.reap_in_background()
    return worker.serve()
