"""The embedded queue proves every guarantee of the kit, several processes and kills included."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from awf_core.testing.conformance import MqConformance
from awf_core.testing.target import MqTarget

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def mq_target(tmp_path: Path) -> MqTarget:
    path = tmp_path / "queue.db"

    def rows() -> int:
        with closing(sqlite3.connect(path)) as connection:
            return int(connection.execute("SELECT COUNT(*) FROM message").fetchone()[0])

    return MqTarget(type="sqlite", settings={"path": str(path)}, short_lease_s=0.5, storage_size=rows)


class TestEmbeddedQueue(MqConformance):
    skips = {}
