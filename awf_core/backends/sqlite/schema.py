"""The file format: tables, versions, and whether a file is a queue file. Used by `opening.py` when it connects.

An external producer runs `INSERT INTO message(queue, body) VALUES ('awf-workflows', '{...}')`; an external reader runs
`SELECT body FROM message WHERE queue = 'results'`. A change is a new entry of STEPS; old entries stay as they are.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from awf_core.errors import BrokerMisconfigured

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

APPLICATION_ID = 0x41574651  # "AWFQ"
OLDEST_SQLITE = (3, 38, 0)  # STRICT tables, RETURNING, JSON functions

# unixepoch('subsec') needs SQLite 3.42.
WALL_MS = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
"""The wall clock of the host in SQL, as in the defaults of `due` and `created`: epoch milliseconds."""

LARGEST = 1 << 52
"""The largest number that a row can mean: as milliseconds, 140,000 years."""


def bounded(column: str, least: int = 0) -> str:
    """`column` in SQL, between `least` and LARGEST.

    Any client may write any 64-bit number. Beyond them SQLite calculates with floating-point numbers, which the table
    refuses, and the whole statement fails for one row.
    """
    return f"MAX({least}, MIN({column}, {LARGEST}))"


# body is ANY: a STRICT BLOB column would refuse an external client's INSERT of text. It comes last: SQLite reads a
# column behind a large body by walking through the body. AUTOINCREMENT: an id is never used twice, so an old receipt
# can't match.
_VERSION_1 = f"""
CREATE TABLE message(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  queue TEXT NOT NULL,
  due INTEGER NOT NULL DEFAULT ({WALL_MS}),      -- epoch ms: not before; with an owner, its lease's end
  created INTEGER NOT NULL DEFAULT ({WALL_MS}),  -- epoch ms
  attempt INTEGER NOT NULL DEFAULT 1,            -- 1 + counted nacks
  deliveries INTEGER NOT NULL DEFAULT 0,         -- times delivered: the fence
  released INTEGER NOT NULL DEFAULT 0,           -- of these, ended by an uncounted nack
  owner TEXT,                                    -- the worker that holds it, NULL = none
  first_seen INTEGER,                            -- epoch ms of the first delivery
  expires INTEGER,                               -- epoch ms, NULL = never
  message_id TEXT,
  reply_to TEXT,
  correlation_id TEXT,
  content_type TEXT,
  headers TEXT,                                  -- a JSON object of texts
  source TEXT,                                   -- of a dead-lettered message: its work queue
  reason TEXT,
  error TEXT,
  history TEXT,                                  -- a JSON array of objects, oldest first
  dead_at INTEGER,                               -- epoch ms
  body ANY NOT NULL
) STRICT;
CREATE INDEX message_due ON message(queue, due);
CREATE INDEX message_held ON message(queue, due) WHERE owner IS NOT NULL;
CREATE INDEX message_expires ON message(expires) WHERE expires IS NOT NULL;
CREATE INDEX message_source ON message(source) WHERE source IS NOT NULL;
CREATE TABLE state(key TEXT PRIMARY KEY, value TEXT NOT NULL, expires INTEGER) STRICT, WITHOUT ROWID;
CREATE INDEX state_expires ON state(expires) WHERE expires IS NOT NULL;
CREATE TABLE store(name TEXT NOT NULL) STRICT;
"""

# The table is made anew, so that `body` stays its last column. Rows of version 1 have wall-clock times, as rows of
# external producers have.
_VERSION_2 = f"""
ALTER TABLE message RENAME TO message_1;
DROP INDEX message_due;
DROP INDEX message_held;
DROP INDEX message_expires;
DROP INDEX message_source;
CREATE TABLE message(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  queue TEXT NOT NULL,
  due INTEGER NOT NULL DEFAULT ({WALL_MS}),      -- ms: not before; with an owner, its lease's end
  created INTEGER NOT NULL DEFAULT ({WALL_MS}),  -- ms
  queue_time INTEGER NOT NULL DEFAULT 0,         -- 1: due, created, expires are by the queue's clock; 0: by the wall's
  attempt INTEGER NOT NULL DEFAULT 1,            -- 1 + counted nacks
  deliveries INTEGER NOT NULL DEFAULT 0,         -- times delivered: the fence
  crashes TEXT,                                  -- a JSON array: the deliveries whose worker died
  owner TEXT,                                    -- the process that claimed it last and has not settled it
  first_seen INTEGER,                            -- ms of the first delivery, by the queue's clock
  expires INTEGER,                               -- ms, NULL = never
  message_id TEXT,
  reply_to TEXT,
  correlation_id TEXT,
  content_type TEXT,
  headers TEXT,                                  -- a JSON object of texts
  source TEXT,                                   -- of a dead-lettered message: its work queue
  reason TEXT,
  error TEXT,
  history TEXT,                                  -- a JSON array of objects, oldest first
  dead_at INTEGER,                               -- ms, by the queue's clock
  body ANY NOT NULL
) STRICT;
INSERT INTO message(id, queue, due, created, attempt, deliveries, owner, first_seen, expires, message_id, reply_to,
  correlation_id, content_type, headers, source, reason, error, history, dead_at, body)
SELECT id, queue, due, created, attempt, deliveries, owner, first_seen, expires, message_id, reply_to,
  correlation_id, content_type, headers, source, reason, error, history, dead_at, body
FROM message_1;
DELETE FROM sqlite_sequence WHERE name = 'message';
UPDATE sqlite_sequence SET name = 'message' WHERE name = 'message_1';
DROP TABLE message_1;
CREATE INDEX message_due ON message(queue, queue_time, due);
CREATE INDEX message_held ON message(queue, queue_time, due) WHERE owner IS NOT NULL;
CREATE INDEX message_expires ON message(expires) WHERE expires IS NOT NULL AND queue_time = 1;
CREATE INDEX message_external_expires ON message(expires) WHERE expires IS NOT NULL AND queue_time = 0;
CREATE INDEX message_source ON message(source) WHERE source IS NOT NULL;
CREATE TABLE clock(
  boot TEXT NOT NULL,        -- the boot of the host that `start` belongs to
  start INTEGER NOT NULL,    -- what the queue's clock showed when the host's monotonic clock showed 0, ms
  seen INTEGER NOT NULL      -- a recent time of the queue's clock: it never shows less again
) STRICT;
"""

_VERSION_3 = """
CREATE TABLE queue(
  name TEXT PRIMARY KEY,
  role TEXT NOT NULL         -- work, dead or reply: no result goes to the first two
) STRICT, WITHOUT ROWID;
"""

STEPS = (_VERSION_1, _VERSION_2, _VERSION_3)
VERSION = len(STEPS)


def refuse_old_sqlite(version: tuple[int, ...]) -> None:
    """Raise BrokerMisconfigured when the SQLite library `version` can't do what the queue needs."""
    if version < OLDEST_SQLITE:
        have, need = (".".join(map(str, numbers)) for numbers in (version, OLDEST_SQLITE))
        raise BrokerMisconfigured(
            f"Python's SQLite library is {have}; the embedded queue needs {need} or newer",
            hint="use a newer Python image or distribution, or another mq.type",
        )


def is_current(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file has this version's schema; False = it is empty or older, and is to be migrated.

    Raises BrokerMisconfigured for a file of another program or of a newer version, and leaves it as it is.
    """
    version, tables = _version(connection), _tables(connection)
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID and (application or version or tables):
        raise BrokerMisconfigured(
            f"{path}: is an SQLite file of something else (application id {application:#x}, tables: "
            f"{', '.join(tables[:5]) or 'none'})",
            hint="name a file of its own for the queue in mq.sqlite.path; it is created when it isn't there",
        )
    if version > VERSION:
        raise BrokerMisconfigured(
            f"{path}: was made by a newer awf-core (schema version {version}; this one knows {VERSION})",
            hint="upgrade awf-core here, or name another file in mq.sqlite.path",
        )
    return version == VERSION


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to this version, in the caller's write transaction. Does nothing where that is already done."""
    version = _version(connection)
    for step in STEPS[version:]:
        for statement in step.split(";\n"):
            connection.execute(statement)
    if version == 0:
        connection.execute("INSERT INTO store(name) VALUES (?)", (secrets.token_hex(4),))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def store_name(connection: sqlite3.Connection) -> str:
    """The file's own short random name; part of generated message ids and of receipts."""
    name: str = connection.execute("SELECT name FROM store").fetchone()[0]
    return name


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _tables(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
