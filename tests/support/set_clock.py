"""A wall clock that a test can set under running processes (Debian's `faketime`); their monotonic clocks stay true.

One `SetClock` is one machine's clock: every process that gets its `environment` has the same time.
"""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path

import pytest

LIBRARY = "libfaketimeMT.so.1"
DIRECTORIES = ("/usr/lib", "/usr/local/lib", "/usr/lib64")


def faketime_library() -> str | None:
    """The library to preload, None where it isn't installed."""
    found = chain.from_iterable(
        chain(Path(directory).glob(f"faketime/{LIBRARY}"), Path(directory).glob(f"*/faketime/{LIBRARY}"))
        for directory in DIRECTORIES
    )
    return next(map(str, found), None)


class SetClock:
    """A clock that starts with the real time. Skips the test where faketime isn't installed, and fails it in CI."""

    def __init__(self, directory: Path) -> None:
        library = faketime_library()
        if library is None:
            text = "faketime is not installed: apt-get install faketime"
            pytest.fail(text, pytrace=False) if os.environ.get("CI") else pytest.skip(text)
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / "clock"
        self.environment = {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0)

    def set(self, seconds: int) -> None:
        """Make it differ from the real time by `seconds`, at once for every process that has it."""
        # A reader must never find half a line.
        whole = self._file.with_suffix(".new")
        whole.write_text(f"{seconds:+d}\n")
        whole.replace(self._file)
