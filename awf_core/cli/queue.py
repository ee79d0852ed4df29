"""`awf queue`: inspect queues, move and purge messages, create queues."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import rich_click as click

from awf_core.cli.items import body_preview, item_as_json, message_id_of, moment
from awf_core.cli.options import format_option, queue_options
from awf_core.cli.output import SHOWN_CHARS, note, print_count, print_json, print_table
from awf_core.cli.queues import browse, connected, dead_letter_queue
from awf_core.errors import UsageError

if TYPE_CHECKING:
    from awf_core.contract import Role


@click.group()
def queue_command() -> None:
    """Inspect queues, move or purge messages, create queues."""


@queue_command.command("stats")
@queue_options
@click.argument("queues", nargs=-1)
@format_option
def stats_command(*, config_path: str | None, mq_type: str | None, queues: tuple[str, ...], output_format: str) -> None:
    """Count the messages of QUEUES (default: the configured queue). `-` means that the broker has no such count."""
    with connected(config_path, mq_type) as (_, assembly):
        rows = [(queue, assembly.mq.stats(queue)) for queue in queues or assembly.queues]
    if output_format == "json":
        print_json([{"queue": queue, **asdict(stats)} for queue, stats in rows])
        return
    print_table(
        ("QUEUE", "READY", "DELAYED", "IN_FLIGHT", "DEAD", "OLDEST_S"),
        [(queue, s.ready, s.delayed, s.in_flight, s.dead, _whole(s.oldest_age_s)) for queue, s in rows],
    )


@queue_command.command("browse", context_settings={"show_default": True})
@queue_options
@click.argument("queue")
@click.option("--limit", type=click.IntRange(min=1), default=20, help="Maximum number of messages.")
@format_option
def browse_command(*, config_path: str | None, mq_type: str | None, queue: str, limit: int, output_format: str) -> None:
    """Show the messages of QUEUE, oldest first. None is consumed."""
    with connected(config_path, mq_type) as (_, assembly):
        items = list(browse(assembly.mq, queue, limit=limit))
    if output_format == "json":
        print_json([item_as_json(item) for item in items])
    elif items:
        print_table(
            ("ID", "MESSAGE", "STATE", "ATTEMPT", "DUE", "BODY"),
            [(i.id, message_id_of(i), i.state, i.attempt, moment(i.due_at), body_preview(i.body)) for i in items],
            max_chars=SHOWN_CHARS,
        )
    else:
        note(f"'{queue}' is empty")


@queue_command.command("move")
@queue_options
@click.argument("source")
@click.argument("target")
@click.option("--id", "ids", multiple=True, help="Only this message (an ID of `queue browse`); repeatable.")
@click.option("--limit", type=click.IntRange(min=1), help="Maximum number of messages.")
@format_option
def move_command(
    *,
    config_path: str | None,
    mq_type: str | None,
    source: str,
    target: str,
    ids: tuple[str, ...],
    limit: int | None,
    output_format: str,
) -> None:
    """Move messages from SOURCE to TARGET, except those in flight. They start at attempt 1, without a delay."""
    if source == target:
        raise UsageError(f"source and target are both '{source}'")
    with connected(config_path, mq_type) as (config, assembly):
        assembly.mq.ensure(target, "work", dead_letter=dead_letter_queue(config))
        moved = assembly.mq.move(source, target, ids=ids or None, limit=limit)
    print_count("moved", moved, output_format)
    note(f"moved {'messages' if moved is None else moved} from '{source}' to '{target}'")


@queue_command.command("purge")
@queue_options
@click.argument("queue")
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
@format_option
def purge_command(*, config_path: str | None, mq_type: str | None, queue: str, yes: bool, output_format: str) -> None:
    """Remove every message of QUEUE, except those in flight. They can't be restored."""
    with connected(config_path, mq_type) as (_, assembly):
        if not yes:
            count = assembly.mq.stats(queue)
            question = f"Remove {count.ready} ready and {count.delayed} delayed messages of '{queue}'?"
            click.confirm(question, abort=True, err=True)
        removed = assembly.mq.purge(queue)
    print_count("removed", removed, output_format)
    note(f"removed {'an unknown number of' if removed is None else removed} messages of '{queue}'")


@queue_command.command("ensure", context_settings={"show_default": True})
@queue_options
@click.argument("queues", nargs=-1)
@click.option("--role", type=click.Choice(["work", "dead", "reply"]), default="work", help="Purpose of the queues.")
def ensure_command(*, config_path: str | None, mq_type: str | None, queues: tuple[str, ...], role: Role) -> None:
    """Create QUEUES that do not exist (default: the configured queue and its dead-letter queue)."""
    with connected(config_path, mq_type) as (config, assembly):
        dead = dead_letter_queue(config)
        wanted: list[tuple[str, Role]] = [(queue, role) for queue in queues or assembly.queues]
        if not queues and dead is not None:
            wanted += [(dead, "dead"), (config.mq.undeliverable.queue, "dead")]
        for queue, each in wanted:
            assembly.mq.ensure(queue, each, dead_letter=dead if each == "work" else None)
            note(f"'{queue}' exists")


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)
