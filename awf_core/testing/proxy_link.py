"""One connection through the fault proxy: two directions of queued bytes. Used by `proxy.py` only, under its lock.

Knows sockets and moments, nothing of faults beyond closing hard; never blocks.
"""

from __future__ import annotations

import selectors
import socket
import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

CHUNK_BYTES = 65536
MAX_QUEUED_BYTES = 1 << 20
RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Towards = Literal["broker", "client"]


@dataclass(slots=True, eq=False)
class Direction:
    """Bytes on their way from `source` to `sink`; each chunk with the monotonic second it is due."""

    source: socket.socket
    sink: socket.socket
    towards: Towards
    chunks: deque[tuple[float, bytes]] = field(default_factory=deque)
    queued_bytes: int = 0
    has_ended: bool = False
    is_finished: bool = False

    def read(self, due_at: float) -> None:
        """Take what the source has. Raises OSError when its connection broke."""
        try:
            data = self.source.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        if data:
            self.chunks.append((due_at, data))
            self.queued_bytes += len(data)
        else:
            self.has_ended = True

    def write(self, now: float, limit_bytes: int | None) -> int:
        """Pass on what is due, at most `limit_bytes`; returns how many bytes went. Raises OSError."""
        written = 0
        while self.is_due(now) and (limit_bytes is None or written < limit_bytes):
            due_at, data = self.chunks[0]
            allowed = len(data) if limit_bytes is None else min(len(data), limit_bytes - written)
            try:
                sent = self.sink.send(data[:allowed])
            except BlockingIOError:
                break
            written += sent
            self.queued_bytes -= sent
            if sent == len(data):
                self.chunks.popleft()
            else:
                self.chunks[0] = (due_at, data[sent:])
        return written

    def finish(self) -> None:
        """Pass the end of the stream on, once everything before it went."""
        if self.has_ended and not self.chunks and not self.is_finished:
            self.is_finished = True
            with suppress(OSError):
                self.sink.shutdown(socket.SHUT_WR)

    def due_at(self) -> float | None:
        """When the next chunk may go, None without one."""
        return self.chunks[0][0] if self.chunks else None

    def is_due(self, now: float) -> bool:
        """Whether a chunk may go now."""
        return bool(self.chunks) and self.chunks[0][0] <= now


class Link:
    """A client's connection and the one made to the broker for it."""

    def __init__(self, client: socket.socket, broker: socket.socket) -> None:
        self.client = client
        self.broker = broker
        self.up = Direction(client, broker, "broker")
        self.down = Direction(broker, client, "client")
        self.is_closed = False
        for each in (client, broker):
            each.settimeout(0)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def directions(self) -> tuple[Direction, Direction]:
        """Towards the broker, towards the client."""
        return self.up, self.down

    @property
    def is_over(self) -> bool:
        """Both sides have said all they had to say, and it was passed on."""
        return self.up.is_finished and self.down.is_finished

    def wants(self, now: float, *, is_stalled: bool) -> dict[socket.socket, int]:
        """What to wait for on each socket, as selector events."""
        events = {self.client: 0, self.broker: 0}
        if not is_stalled:
            for direction in self.directions:
                if not direction.has_ended and direction.queued_bytes < MAX_QUEUED_BYTES:
                    events[direction.source] |= selectors.EVENT_READ
                if direction.is_due(now):
                    events[direction.sink] |= selectors.EVENT_WRITE
        return events

    def close(self, *, reset_client: bool = True, reset_broker: bool = True) -> None:
        """End both sides; a reset side gets RST and loses what was on its way, the other a proper end. Idempotent."""
        self.is_closed = True
        for side, is_reset in ((self.client, reset_client), (self.broker, reset_broker)):
            with suppress(OSError):
                if is_reset:
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                side.close()
