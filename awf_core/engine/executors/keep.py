"""Take over what the original tool recorded of a run, from the storage it was given into the one that lasts.

Called by the `awf-cli` executor after a run. Files are moved, rows of the history copied; a record that can't be kept
is given up, for the run itself is over.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from awf_core.engine.records.history import COLUMNS, connect

if TYPE_CHECKING:
    from pathlib import Path

HISTORY = "history.db"


def keep_records(source: Path, target: Path) -> None:
    """Move states and transcripts from `source` into `target`, and add the rows of the history."""
    for folder in ("states", "transcripts"):
        for path in sorted((source / folder).glob("*")):
            with suppress(OSError):
                (target / folder).mkdir(parents=True, exist_ok=True, mode=0o750)
                shutil.move(path, target / folder / path.name)
    if (source / HISTORY).exists():
        with suppress(OSError, sqlite3.Error):
            _copy_rows(source / HISTORY, target / HISTORY)


def _copy_rows(source: Path, target: Path) -> None:
    with closing(connect(source)) as reading:
        rows = reading.execute(f"SELECT {COLUMNS} FROM execution_records").fetchall()  # noqa: S608
    with closing(connect(target)) as writing:
        writing.executemany(
            f"INSERT OR IGNORE INTO execution_records ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            rows,
        )
