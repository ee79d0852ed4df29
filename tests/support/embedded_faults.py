"""The embedded queue's part of a fault test: messages put and read by a plain SQLite client."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from fault_project import DEAD, QUEUE, RESULTS, FaultProject, message

from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from pathlib import Path

LEASE_S = 1.0


class EmbeddedFaults(FaultProject):
    """A project on an embedded queue with leases of a second."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.queue_file = directory / ".awf" / "queue.db"

    def embedded(self, name: str = "config", **mq: object) -> str:
        """A configuration for it."""
        section = {"path": str(self.queue_file), "lease": f"{LEASE_S}s"}
        return self.configure(name, type="sqlite", sqlite=section, **mq)

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What any client of SQLite gets."""
        with closing(sqlite3.connect(self.queue_file, timeout=20, isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()

    def put(self, *message_ids: str, workflow: str = "long", queue: str = QUEUE, **more: object) -> None:
        """Put a message for each id, all at once."""
        rows = [(queue, message(each, workflow, **more)) for each in message_ids]
        with closing(sqlite3.connect(self.queue_file, timeout=20)) as connection, connection:
            connection.executemany("INSERT INTO message(queue, body) VALUES (?, ?)", rows)

    def count(self, queue: str) -> int:
        """How many messages a queue has, those in hand included."""
        return int(self.sql("SELECT COUNT(*) FROM message WHERE queue = ?", queue)[0][0])

    def results(self) -> list[dict[str, Any]]:
        """All results, oldest first."""
        rows = self.sql("SELECT body FROM message WHERE queue = ? ORDER BY id", RESULTS)
        return [json.loads(body) for (body,) in rows]

    def probe(self, number: int, *, beside: str) -> None:
        """Have one more message done, the `number`-th with a result, while `beside` runs and is started no second time.

        A worker takes it, so it has polled the queue since whatever the test did before.
        """
        self.put(f"probe-{number}", workflow="short")
        self.await_with_one_run_of(beside, lambda: self.count(RESULTS) >= number, f"{number} results")

    def await_results(self, count: int, *, within_s: float = 15.0) -> list[str]:
        """The message ids of all results, sorted, once there are `count`."""
        eventually(lambda: self.count(RESULTS) >= count, within_s, what=f"{count} results")
        return sorted(result["message_id"] for result in self.results())

    def dead(self) -> list[str]:
        """Why messages were dead-lettered."""
        return [reason for (reason,) in self.sql("SELECT reason FROM message WHERE queue = ?", DEAD)]
