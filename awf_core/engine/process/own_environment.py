"""Take settings out of what other processes can read of this one. Called by `awf worker` once it has read them.

A step runs as the worker's user, so it can read `/proc/<worker>/environ`: that shows the environment the worker was
started with, whatever has become of it since. `os.environ` keeps the values.
"""

from __future__ import annotations

import ctypes
import os


def hide(prefix: str) -> None:
    """Overwrite the values of variables that begin with `prefix`, and keep them from processes started from here on."""
    start = os.fsencode(prefix)
    for address in _addresses():
        entry = ctypes.string_at(address)
        name, equals, value = entry.partition(b"=")
        if equals and name.startswith(start):
            ctypes.memset(address + len(name) + 1, ord("*"), len(value))
    for name in [name for name in os.environb if name.startswith(start)]:
        os.unsetenv(name)  # the system's copy only


def _addresses() -> list[int]:
    """Where the entries of the environment lie in memory; none where the system does not say."""
    found: list[int] = []
    try:
        entries = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
        while (address := entries[len(found)]) is not None:
            found.append(address)
    except (ValueError, OSError):
        return []
    return found
