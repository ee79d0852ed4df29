"""What the figures were measured on: processor, memory, disk, versions, load. Called by `__main__`."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from awf_core import __version__

if TYPE_CHECKING:
    from collections.abc import Callable


def facts(directory: Path) -> dict[str, str]:
    """The machine and the versions; `directory` is where the queue files are."""
    asked: dict[str, Callable[[], str]] = {
        "processor": _processor,
        "memory": lambda: f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "system": platform.platform,
        "queue files on": lambda: _file_system(directory),
        "python": platform.python_version,
        "sqlite": lambda: sqlite3.sqlite_version,
        "awf-core": lambda: __version__,
        "load average": load,
    }
    return {name: ask() for name, ask in asked.items()}


def load() -> str:
    """The load averages of 1, 5 and 15 minutes."""
    return " ".join(f"{one:.2f}" for one in os.getloadavg())


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return f"{len(os.sched_getaffinity(0))} cores, {model}"


def _file_system(directory: Path) -> str:
    found = subprocess.run(["stat", "-f", "-c", "%T", str(directory)], capture_output=True, text=True)
    return f"{directory} ({found.stdout.strip() or 'unknown'})"
