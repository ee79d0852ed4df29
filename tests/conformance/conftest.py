"""Install the `memory` backend of `tests/support`: a dist-info in a directory on the import path."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def memory_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mq.type: memory` is installed in this test."""
    info = tmp_path / "site" / "awf_mq_memory-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: awf-mq-memory\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[awf.mq]\nmemory = memory_backend:Backend\n")
    monkeypatch.syspath_prepend(str(info.parent))
    importlib.invalidate_caches()
