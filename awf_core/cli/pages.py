"""Going through a queue page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.cli.output import note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from awf_core.contract import QueueItem
    from awf_core.mq import Mq

PAGE = 200


def browse(mq: Mq, queue: str, *, limit: int | None) -> Iterator[QueueItem]:
    """The messages of `queue`, oldest first, at most `limit` of them (None = all). Says when looking disturbs."""
    after: str | None = None
    left = limit
    warned = False
    while left is None or left > 0:
        page = mq.browse(queue, limit=PAGE if left is None else min(PAGE, left), after=after)
        if not page.exact and not warned:
            warned = True
            note(f"note: looking into '{queue}' on this broker may change order and counts")
        yield from page.items
        left = None if left is None else left - len(page.items)
        after = page.next
        if after is None:
            return
