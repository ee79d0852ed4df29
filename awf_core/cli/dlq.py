"""`awf dlq`: list, show, replay and remove dead-lettered messages."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

import rich_click as click

from awf_core.cli.items import dead_message_as_json, first_line, message_id_of, moment, workflow_of
from awf_core.cli.options import duration_option, format_option, queue_options
from awf_core.cli.output import SHOWN_CHARS, note, print_count, print_json, print_table, print_text, value_text
from awf_core.cli.queues import browse, connected
from awf_core.errors import UsageError

if TYPE_CHECKING:
    from awf_core.contract import QueueItem
    from awf_core.mq import Mq

MOVE_BATCH = 200


@click.group()
def dlq_command() -> None:
    """List, show, replay or purge dead-lettered messages."""


def _filters(command: click.decorators.FC) -> click.decorators.FC:
    for option in (
        click.option("--reason", help="Only messages with this reason."),
        click.option("--workflow", help="Only messages of this workflow."),
        click.option("--source", help="Only messages that came from this queue."),
    ):
        command = option(command)
    return command


@dlq_command.command("list", context_settings={"show_default": True})
@queue_options
@_filters
@click.option("--limit", type=click.IntRange(min=1), default=100, help="Maximum number of messages.")
@format_option
def list_command(
    *,
    config_path: str | None,
    mq_type: str | None,
    reason: str | None,
    workflow: str | None,
    source: str | None,
    limit: int,
    output_format: str,
) -> None:
    """List the dead-lettered messages, oldest first."""
    with connected(config_path, mq_type) as (config, assembly):
        found = _matching(assembly.mq, config.mq.dead_letter.queue, reason, workflow, source)[:limit]
    if output_format == "json":
        print_json([dead_message_as_json(item) for item in found])
    elif found:
        print_table(
            ("ID", "MESSAGE", "QUEUE", "WORKFLOW", "REASON", "ATTEMPTS", "DEAD_AT", "ERROR"),
            [_row(item) for item in found],
            max_chars=SHOWN_CHARS,
        )
    else:
        note("no dead-lettered messages")


@dlq_command.command("show")
@queue_options
@click.argument("message_id", metavar="ID")
@format_option
def show_command(*, config_path: str | None, mq_type: str | None, message_id: str, output_format: str) -> None:
    """Show one dead-lettered message in full: body, error, history. ID is its id in the list, or the message's id."""
    with connected(config_path, mq_type) as (config, assembly):
        item = _find(assembly.mq, config.mq.dead_letter.queue, [message_id])[0]
    shown = {**dead_message_as_json(item), "history": list(item.history)}
    if output_format == "json":
        print_json(shown)
        return
    for key, value in shown.items():
        print_text(f"{key}: {value_text(value)}")


@dlq_command.command("replay")
@queue_options
@click.argument("ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Replay every message that matches the filters.")
@_filters
@click.option("--to", "target", help="Queue to move them to.  [default: the queue each message came from]")
@format_option
def replay_command(
    *,
    config_path: str | None,
    mq_type: str | None,
    ids: tuple[str, ...],
    every: bool,
    reason: str | None,
    workflow: str | None,
    source: str | None,
    target: str | None,
    output_format: str,
) -> None:
    """Move dead-lettered messages back to a work queue. IDS are ids in the list, or the messages' ids.

    The attempts start at 1 again; the history is kept.
    """
    if bool(ids) == every:
        raise UsageError("give the ids of the messages to replay, or --all", hint="`awf dlq list` shows them")
    with connected(config_path, mq_type) as (config, assembly):
        queue = config.mq.dead_letter.queue
        found = _find(assembly.mq, queue, ids) if ids else _matching(assembly.mq, queue, reason, workflow, source)
        moved = _replay(assembly.mq, queue, found, target)
    print_count("replayed", moved, output_format)
    note(f"replayed {moved}")


@dlq_command.command("purge")
@queue_options
@click.option("--older-than", help="Only messages dead-lettered longer ago than this, such as 14d.")
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
@format_option
def purge_command(
    *, config_path: str | None, mq_type: str | None, older_than: str | None, yes: bool, output_format: str
) -> None:
    """Remove dead-lettered messages. They can't be restored."""
    age_s = duration_option("--older-than", older_than) if older_than is not None else None
    with connected(config_path, mq_type) as (config, assembly):
        queue = config.mq.dead_letter.queue
        if not yes:
            what = f"older than {older_than} " if older_than else ""
            click.confirm(f"Remove the messages {what}in '{queue}'? They can't be restored.", abort=True, err=True)
        removed = assembly.mq.purge(queue) if age_s is None else _purge_older(assembly.mq, queue, age_s)
    print_count("removed", removed, output_format)
    note(f"removed {'an unknown number of' if removed is None else removed} messages")


def _matching(mq: Mq, queue: str, reason: str | None, workflow: str | None, source: str | None) -> list[QueueItem]:
    """The messages of `queue` that match every filter that is not None."""
    return [
        item
        for item in browse(mq, queue, limit=None)
        if reason in (None, item.reason)
        and source in (None, item.source)
        and (workflow is None or workflow_of(item) == workflow)
    ]


def _row(item: QueueItem) -> tuple[object, ...]:
    return (
        item.id,
        message_id_of(item),
        item.source,
        workflow_of(item),
        item.reason,
        item.attempt,
        moment(item.dead_at),
        first_line(item.error),
    )


def _find(mq: Mq, queue: str, names: Iterable[str]) -> list[QueueItem]:
    """The messages with these ids or message ids. Raises UsageError for an unknown one."""
    items = list(browse(mq, queue, limit=None))
    found = []
    for name in names:
        matches = [item for item in items if name in (item.id, item.message_id, message_id_of(item))]
        if not matches:
            raise UsageError(
                f"no dead-lettered message '{name}' in '{queue}'", hint="`awf dlq list` shows the messages"
            )
        found += matches
    return found


def _replay(mq: Mq, queue: str, items: Iterable[QueueItem], target: str | None) -> int:
    by_queue: dict[str, list[str]] = defaultdict(list)
    for item in items:
        to = target or item.source
        if to is None:
            raise UsageError(f"message '{item.id}' does not record which queue it came from", hint="give --to QUEUE")
        by_queue[to].append(item.id)
    return sum(_move(mq, queue, to, ids) for to, ids in by_queue.items())


def _move(mq: Mq, source: str, target: str, ids: list[str]) -> int:
    """Returns how many moved; all of them where the broker does not report it."""
    moved = 0
    for start in range(0, len(ids), MOVE_BATCH):
        batch = ids[start : start + MOVE_BATCH]
        count = mq.move(source, target, ids=batch)
        moved += len(batch) if count is None else count
    return moved


def _purge_older(mq: Mq, queue: str, age_s: float) -> int:
    """Move the older messages to a queue of their own and purge it: not every broker can remove one message."""
    before = time.time() - age_s
    ids = [item.id for item in browse(mq, queue, limit=None) if item.dead_at is not None and item.dead_at < before]
    if ids:
        doomed = f"{queue}-purge"
        _move(mq, queue, doomed, ids)
        mq.purge(doomed)
    return len(ids)
