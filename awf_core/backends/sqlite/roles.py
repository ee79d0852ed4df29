"""What each queue is for, as far as a worker or an operator has said so. Called by `backend.py` and `settling.py`.

A reply goes to whatever queue a producer names, so it must not reach a queue whose messages are run, or that keeps
dead-lettered messages: of this worker or of any other one that shares the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.backends.sqlite.messages import to_json
from awf_core.errors import BrokerError, Unroutable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.backends.sqlite.connection import Connections
    from awf_core.contract import Outgoing, Role

_ROLE = "SELECT role FROM queue WHERE name = ?"
_NOTE = "INSERT INTO queue(name, role) VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET role = excluded.role"
_ROLES = "SELECT name, role FROM queue WHERE role <> 'reply' AND name IN (SELECT value FROM json_each(?))"


class Roles:
    """The roles of queues in one file. Thread-safe."""

    def __init__(self, connections: Connections, *, may_write: bool) -> None:
        self._connections = connections
        self._may_write = may_write

    def note(self, queue: str, role: Role) -> None:
        """Note what `queue` is for; the latest note counts. Checks that the file is there. Raises QueueMissing."""
        doing = "open the queue"
        with self._connections.reading(doing) as connection:
            found = connection.execute(_ROLE, (queue,)).fetchone()
        if self._may_write and found != (role,):
            with self._connections.writing(doing) as connection:
                connection.execute(_NOTE, (queue, role))

    def problems(self, batches: Sequence[Sequence[Outgoing]]) -> list[BrokerError | None]:
        """For each batch of replies, why one of them can't be published; None when all can."""
        names = sorted({reply.queue for replies in batches for reply in replies})
        if not names:
            return [None] * len(batches)
        with self._connections.reading("find out what a queue is for") as connection:
            refused = dict(connection.execute(_ROLES, (to_json(names),)).fetchall())
        return [self._problem(replies, refused) for replies in batches]

    def _problem(self, replies: Sequence[Outgoing], refused: dict[str, str]) -> BrokerError | None:
        queue = next((reply.queue for reply in replies if reply.queue in refused), None)
        if queue is None:
            return None
        return Unroutable(
            f"{self._connections.path}: no reply can be published to {queue!r}: it is a {refused[queue]} queue",
            hint="reply_to has to name a queue for results; `awf queue ensure --role reply` makes one of it",
        )
