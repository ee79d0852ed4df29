"""Times in headers that no calendar has, such as one after the year 9999. Installed by `link.py`.

The client library (pika 1.4.4) raises where it reads frames, and that costs the connection with everything held on it;
the message comes again on the next one. So any producer could keep workers from working, with one header.
"""

from __future__ import annotations

from typing import Any

from pika import data

_TIME, _TIME_BYTES = b"T", 9
_decode = data.decode_value


def decode_value(encoded: bytes, offset: int) -> tuple[Any, int]:
    """As the library's, and None for a time that it can't read."""
    try:
        value: tuple[Any, int] = _decode(encoded, offset)
    except (ValueError, OverflowError, OSError):
        if bytes(encoded[offset : offset + 1]) != _TIME:
            raise
        return None, offset + _TIME_BYTES
    return value


def install() -> None:
    """Have the library read so in this process. Idempotent."""
    data.decode_value = decode_value
