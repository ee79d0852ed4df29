"""`awf dlq`: what could not be done, why, and back to work with it."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import rich_click as click

from awf_core.cli.connected import connected
from awf_core.cli.items import letter_as_json, message_id_of, moment, shortened, workflow_of
from awf_core.cli.output import format_option, note, print_count, print_json, print_table, print_text
from awf_core.cli.pages import browse
from awf_core.cli.queue_options import duration_option, queue_options
from awf_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from awf_core.contract import QueueItem
    from awf_core.mq import Mq

MOVE_BATCH = 200


@click.group()
def dlq_command() -> None:
    """List, show, replay or purge dead letters."""


def _filters(command: click.decorators.FC) -> click.decorators.FC:
    for option in (
        click.option("--reason", help="Only letters with this reason."),
        click.option("--workflow", help="Only letters of this workflow."),
        click.option("--source", help="Only letters that came from this queue."),
    ):
        command = option(command)
    return command


@dlq_command.command("list", context_settings={"show_default": True})
@queue_options
@_filters
@click.option("--limit", type=click.IntRange(min=1), default=100, help="How many to list.")
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
    """List the dead letters, oldest first."""
    with connected(config_path, mq_type) as (config, assembly):
        found = browse(assembly.mq, config.mq.dead_letter.queue, limit=None)
        letters = [item for item in found if _matches(item, reason, workflow, source)][:limit]
    if output_format == "json":
        print_json([letter_as_json(item) for item in letters])
    elif letters:
        print_table(
            ("ID", "MESSAGE", "QUEUE", "WORKFLOW", "REASON", "ATTEMPTS", "DEAD_AT", "ERROR"),
            [_row(item) for item in letters],
        )
    else:
        note("no dead letters")


@dlq_command.command("show")
@queue_options
@click.argument("letter")
@format_option
def show_command(*, config_path: str | None, mq_type: str | None, letter: str, output_format: str) -> None:
    """Show one letter (ID or message id) whole: body, error, history."""
    with connected(config_path, mq_type) as (config, assembly):
        item = _find(assembly.mq, config.mq.dead_letter.queue, [letter])[0]
    shown = {**letter_as_json(item), "history": list(item.history)}
    if output_format == "json":
        print_json(shown)
        return
    for key, value in shown.items():
        print_text(f"{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)}")


@dlq_command.command("replay")
@queue_options
@click.argument("letters", nargs=-1)
@click.option("--all", "all_letters", is_flag=True, help="Every letter that passes the filters.")
@_filters
@click.option("--to", "target", help="Queue to put them in.  [default: the queue each came from]")
@format_option
def replay_command(
    *,
    config_path: str | None,
    mq_type: str | None,
    letters: tuple[str, ...],
    all_letters: bool,
    reason: str | None,
    workflow: str | None,
    source: str | None,
    target: str | None,
    output_format: str,
) -> None:
    """Put LETTERS (IDs or message ids) back to work: attempts start anew, the history stays."""
    if bool(letters) == all_letters:
        raise UsageError("name the letters to replay, or give --all", hint="`awf dlq list` shows them")
    with connected(config_path, mq_type) as (config, assembly):
        queue = config.mq.dead_letter.queue
        if letters:
            items = _find(assembly.mq, queue, letters)
        else:
            found = browse(assembly.mq, queue, limit=None)
            items = [item for item in found if _matches(item, reason, workflow, source)]
        moved = _replay(assembly.mq, queue, items, target)
    print_count("replayed", moved, output_format)
    note(f"replayed {moved}")


@dlq_command.command("purge")
@queue_options
@click.option("--older-than", help="Only letters older than this, such as 14d.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@format_option
def purge_command(
    *, config_path: str | None, mq_type: str | None, older_than: str | None, yes: bool, output_format: str
) -> None:
    """Remove dead letters for good."""
    age_s = duration_option("--older-than", older_than) if older_than is not None else None
    with connected(config_path, mq_type) as (config, assembly):
        queue = config.mq.dead_letter.queue
        if not yes:
            what = f"older than {older_than} " if older_than else ""
            click.confirm(f"Remove the letters {what}in '{queue}' for good?", abort=True, err=True)
        removed = assembly.mq.purge(queue) if age_s is None else _purge_older(assembly.mq, queue, age_s)
    print_count("removed", removed, output_format)
    note(f"removed {'an unknown number of' if removed is None else removed} letters")


def _matches(item: QueueItem, reason: str | None, workflow: str | None, source: str | None) -> bool:
    return (
        reason in (None, item.reason)
        and source in (None, item.source)
        and (workflow is None or workflow_of(item) == workflow)
    )


def _row(item: QueueItem) -> tuple[object, ...]:
    return (
        item.id,
        message_id_of(item),
        item.source,
        workflow_of(item),
        item.reason,
        item.attempt,
        moment(item.dead_at),
        shortened(item.error),
    )


def _find(mq: Mq, queue: str, names: Iterable[str]) -> list[QueueItem]:
    """The letters with these ids or message ids. Raises UsageError for one that isn't there."""
    items = list(browse(mq, queue, limit=None))
    found = []
    for name in names:
        matches = [item for item in items if name in (item.id, item.message_id, message_id_of(item))]
        if not matches:
            raise UsageError(f"no dead letter '{name}' in '{queue}'", hint="`awf dlq list` shows what there is")
        found += matches
    return found


def _replay(mq: Mq, queue: str, items: Iterable[QueueItem], target: str | None) -> int:
    by_queue: dict[str, list[str]] = defaultdict(list)
    for item in items:
        to = target or item.source
        if to is None:
            raise UsageError(f"letter '{item.id}' doesn't say which queue it came from", hint="give --to QUEUE")
        by_queue[to].append(item.id)
    moved = 0
    for to, ids in by_queue.items():
        for start in range(0, len(ids), MOVE_BATCH):
            moved += mq.move(queue, to, ids=ids[start : start + MOVE_BATCH])
    return moved


def _purge_older(mq: Mq, queue: str, age_s: float) -> int:
    """Letters by age: moved aside, then purged there, since a broker can't remove single ones everywhere."""
    before = time.time() - age_s
    ids = [item.id for item in browse(mq, queue, limit=None) if item.dead_at is not None and item.dead_at < before]
    aside = f"{queue}-purge"
    for start in range(0, len(ids), MOVE_BATCH):
        mq.move(queue, aside, ids=ids[start : start + MOVE_BATCH])
    if ids:
        mq.purge(aside)
    return len(ids)
