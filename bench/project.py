"""A temporary project with a queue file: workflows, messages to publish, results to count. Used by the sections.

Reads the queue file with plain SQLite, as any external reader may.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from awf_core.client import Client, Request
from bench.figure import BenchFailed

if TYPE_CHECKING:
    from types import TracebackType

RESULTS = "results-queue"
WORK = "awf-workflows"
_PUT_AT_ONCE = 1000

NOOP = """\
name: noop
states:
  initial: done
  done:
    type: terminal
"""
COMMAND = """\
name: shell
states:
  initial: go
  go:
    type: step
    command: "true"
    on_success: done
    on_failure: {message: "true was not"}
  done:
    type: terminal
"""


class Project:
    """A directory with `.awf/`, removed at the end of the `with` block."""

    def __init__(self, parent: Path) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="awf-bench-", dir=parent))
        self.queue_file = self.path / ".awf" / "queue.db"
        workflows = self.path / ".awf" / "workflows"
        workflows.mkdir(parents=True)
        (self.path / ".awf" / "config.yaml").write_text("mq: {type: sqlite}\n", encoding="utf-8")
        for name, text in (("noop", NOOP), ("shell", COMMAND)):
            (workflows / f"{name}.yaml").write_text(text, encoding="utf-8")

    def __enter__(self) -> Project:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def client(self) -> Client:
        """A producer that sees this project and no variable of the caller's."""
        return Client(cwd=self.path, env={"HOME": str(self.path)})

    def fill(self, workflow: str, count: int) -> None:
        """Put `count` messages of about 200 bytes into the queue, each asking for its result."""
        with self.client() as client:
            for first in range(0, count, _PUT_AT_ONCE):
                client.submit_many([_request(workflow, n) for n in range(first, min(first + _PUT_AT_ONCE, count))])

    def settled_at_s(self) -> list[float]:
        """When each result was written, in epoch seconds, oldest first. The result and the ack are one transaction."""
        rows = self.query("SELECT created FROM message WHERE queue = ? ORDER BY created", RESULTS)
        return [int(str(created_ms)) / 1000 for (created_ms,) in rows]

    def check_all_completed(self, count: int) -> None:
        """Raise BenchFailed unless there are `count` results, all `completed`, and no other message."""
        queues = {str(q): int(str(n)) for q, n in self.query("SELECT queue, COUNT(*) FROM message GROUP BY queue")}
        completed = self.query(
            "SELECT COUNT(*) FROM message WHERE queue = ? AND body ->> '$.status' = 'completed'", RESULTS
        )[0][0]
        if queues != {RESULTS: count} or completed != count:
            raise BenchFailed(f"expected {count} completed results, found {completed}; queues hold {queues}")

    def query(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """What a reader of the queue file sees."""
        with closing(sqlite3.connect(self.queue_file, timeout=10)) as connection:
            return connection.execute(sql, values).fetchall()


def noop_body(number: int) -> str:
    """A message of about 200 bytes that asks for its result."""
    metadata = {"correlation_id": f"bench-{number:06}", "seq": number, "path": "/data/in/file.csv"}
    return json.dumps({"id": f"m-{number:06}", "workflow": "noop", "reply_to": RESULTS, "metadata": metadata})


def _request(workflow: str, number: int) -> Request:
    metadata = {"correlation_id": f"bench-{number:06}", "seq": number, "path": "/data/in/file.csv"}
    return Request(workflow=workflow, id=f"message-{number:06}", reply_to=RESULTS, metadata=metadata)
