"""What a process writes to one of its pipes: all of it, or its beginning and its end within a limit.

Made by `watch.py` for each pipe. With a limit, at most that many bytes are in memory, however much the process writes.
"""

from __future__ import annotations

from dataclasses import dataclass

SETTING = "mq.max_output_bytes"
"""The setting behind the limit, which the line at a cut names."""
_LONGEST_CHAR_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLimit:
    """How much of each pipe is kept; None = all.

    `secrets` are masked in the output later. A part of one that a cut leaves over goes with the cut.
    """

    max_bytes: int | None = None
    secrets: tuple[bytes, ...] = ()


UNLIMITED = OutputLimit()


class Captured:
    """The bytes of one pipe. Used on one thread."""

    __slots__ = ("_head", "_limit", "_parts", "_tail", "_tail_bytes", "_total")

    def __init__(self, limit: OutputLimit) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._total = 0
        self._head = self._tail_bytes = 0
        if limit.max_bytes is not None:
            self._head = limit.max_bytes // 2
            self._tail_bytes = limit.max_bytes - self._head
        self._tail = bytearray()

    def add(self, data: bytes) -> None:
        """Take what was read."""
        if self._limit.max_bytes is None:
            self._parts.append(data)
            return
        room = self._head - self._total
        self._total += len(data)
        if room > 0:
            self._parts.append(data[:room])
            data = data[room:]
        self._tail += data
        if len(self._tail) > self._tail_bytes:
            del self._tail[: len(self._tail) - self._tail_bytes]

    def value(self) -> tuple[bytes, int]:
        """What is kept, with a line where something was left out, and how many bytes were."""
        head = b"".join(self._parts)
        if self._limit.max_bytes is None or self._total <= self._limit.max_bytes:
            return head + self._tail, 0
        head = head[: _end_of_whole(head, self._limit.secrets)]
        tail = bytes(self._tail[_start_of_whole(self._tail, self._limit.secrets) :])
        cut_bytes = self._total - len(head) - len(tail)
        return b"%s\n[cut: %d bytes left out, see %s]\n%s" % (head, cut_bytes, SETTING.encode(), tail), cut_bytes


def _end_of_whole(head: bytes, secrets: tuple[bytes, ...]) -> int:
    """Where `head` ends without the beginning of a character or of a secret whose rest was cut."""
    parts = [size for secret in secrets for size in range(1, len(secret)) if head.endswith(secret[:size])]
    end = len(head) - max(parts, default=0)
    for back in range(1, min(_LONGEST_CHAR_BYTES, end) + 1):
        byte = head[end - back]
        if byte < 0x80:
            return end
        if byte >= 0xC0:
            return end if _char_bytes(byte) == back else end - back
    return end


def _start_of_whole(tail: bytearray, secrets: tuple[bytes, ...]) -> int:
    """Where `tail` starts without the rest of a secret or of a character whose beginning was cut."""
    parts = [size for secret in secrets for size in range(1, len(secret)) if tail.startswith(secret[-size:])]
    start = max(parts, default=0)
    end = min(start + _LONGEST_CHAR_BYTES - 1, len(tail))
    while start < end and 0x80 <= tail[start] < 0xC0:
        start += 1
    return start


def _char_bytes(first: int) -> int:
    return 4 if first >= 0xF0 else 3 if first >= 0xE0 else 2
