"""A project on an embedded queue, and a clock that can be set; nothing of either outlives its test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from embedded_faults import EmbeddedFaults
from set_clock import SetClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Iterator[EmbeddedFaults]:
    made = EmbeddedFaults(tmp_path / "project")
    yield made
    made.close()


@pytest.fixture
def clock(tmp_path: Path) -> SetClock:
    return SetClock(tmp_path)
