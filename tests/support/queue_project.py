"""A project directory with an embedded queue, and an external SQLite client for it.

Used by the worker's, the client's and the commands' tests. Producers and readers here know plain SQL and nothing of us.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from awf_core.backends.sqlite.backend import Backend, SqliteSettings
from awf_core.clock import SystemClock
from awf_core.contract import BackendContext

if TYPE_CHECKING:
    from pathlib import Path

QUEUE = "awf-workflows"


@dataclass
class Project:
    """A directory with `.awf/`; the queue file is there from the start."""

    directory: Path
    marks: Path = field(init=False)

    def __post_init__(self) -> None:
        self.awf = self.directory / ".awf"
        self.queue_file = self.awf / "queue.db"
        (self.awf / "workflows").mkdir(parents=True)
        self.marks = self.directory / "marks"
        self.marks.mkdir()

    def make_queue(self) -> Project:
        """Create the queue file, as `awf queue ensure` would."""
        context = BackendContext(worker="maker", clock=SystemClock(), directory=str(self.awf))
        backend = Backend(SqliteSettings(path=str(self.queue_file)), context)
        backend.awf_mq_open()
        backend.awf_mq_close()
        return self

    def config(self, text: str) -> Path:
        """Write `.awf/config.yaml`."""
        path = self.awf / "config.yaml"
        path.write_text(text)
        return path

    def mq(self, **settings: object) -> Path:
        """Write a configuration with these keys under `mq:` (JSON is YAML)."""
        return self.config(json.dumps({"mq": settings}))

    def workflow(self, name: str, command: str = "true", **more: object) -> Path:
        """A workflow of one command; what it says of its failure is its stderr. `more`: other top-level keys."""
        document = {
            "name": name,
            "states": {
                "initial": "work",
                "work": {
                    "type": "step",
                    "command": command,
                    "on_success": "done",
                    "on_failure": {"message": "{{.states.work.Stderr}}"},
                },
                "done": {"type": "terminal"},
            },
            **more,
        }
        return self.workflow_text(name, json.dumps(document))

    def workflow_text(self, name: str, text: str) -> Path:
        path = self.awf / "workflows" / f"{name}.yaml"
        path.write_text(text)
        return path

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement the way any client of SQLite would; all rows of its answer."""
        with closing(sqlite3.connect(self.queue_file, timeout=10, isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()

    def put(self, *messages: object, queue: str = QUEUE) -> None:
        """Insert messages: bytes as a blob, text as text, anything else as its JSON."""
        with closing(sqlite3.connect(self.queue_file, timeout=10)) as connection, connection:
            connection.executemany(
                "INSERT INTO message(queue, body) VALUES (?, ?)", [(queue, _body(m)) for m in messages]
            )

    def bodies(self, queue: str) -> list[bytes | str]:
        return [body for (body,) in self.sql("SELECT body FROM message WHERE queue = ? ORDER BY id", queue)]

    def results(self, queue: str = "results") -> list[dict[str, Any]]:
        """The results in `queue`, oldest first."""
        return [json.loads(body) for body in self.bodies(queue)]

    def count(self, queue: str = QUEUE) -> int:
        return int(self.sql("SELECT COUNT(*) FROM message WHERE queue = ?", queue)[0][0])

    def dead_messages(self) -> list[dict[str, Any]]:
        """The dead-lettered messages, with `history` read."""
        columns = ("body", "source", "reason", "error", "history", "attempt", "deliveries", "message_id")
        rows = self.sql(f"SELECT {', '.join(columns)} FROM message WHERE queue = 'awf-dlq' ORDER BY id")
        found = [dict(zip(columns, row, strict=True)) for row in rows]
        return [{**dead, "history": json.loads(dead["history"] or "[]")} for dead in found]

    def row(self, queue: str = QUEUE) -> dict[str, Any] | None:
        """The only message of `queue`, with its counters; None when there is none."""
        columns = ("id", "due", "attempt", "deliveries", "crashes", "owner")
        rows = self.sql(f"SELECT {', '.join(columns)} FROM message WHERE queue = ?", queue)
        assert len(rows) <= 1, f"{len(rows)} messages in {queue}"
        return dict(zip(columns, rows[0], strict=True)) if rows else None

    def starts(self, name: str = "starts") -> int:
        """How many lines a workflow has appended to the mark file `name`: how often it ran."""
        path = self.marks / name
        return len(path.read_text().splitlines()) if path.exists() else 0


def _body(message: object) -> object:
    return message if isinstance(message, (str, bytes)) else json.dumps(message)
