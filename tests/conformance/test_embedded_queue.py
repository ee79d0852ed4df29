"""The embedded queue proves every guarantee of the kit, several processes and kills included."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, ClassVar

import pytest

from awf_core.testing.conformance import MqConformance
from awf_core.testing.needs import SERVER
from awf_core.testing.target import MqTarget

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def mq_target(tmp_path: Path) -> MqTarget:
    path = tmp_path / "queue.db"

    def rows() -> int:
        with closing(sqlite3.connect(path)) as connection:
            return int(connection.execute("SELECT COUNT(*) FROM message").fetchone()[0])

    def delete() -> None:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)

    return MqTarget(type="sqlite", settings={"path": str(path)}, short_lease_s=0.5, flush=delete, storage_size=rows)


class TestEmbeddedQueue(MqConformance):
    skips: ClassVar = dict.fromkeys(
        ("A10b", "B7b", "C5b", "D10", "G1", "G2", "G3", "G4", "G4b", "G4c", "G5", "G5b", "G7", "G8"), SERVER
    )
