"""A TCP proxy between a client and its broker that injects faults, for tests.

    with Proxy("127.0.0.1", redis.port) as proxy:
        mq = connect(proxy.through(redis.url))
        proxy.cut()

One thread moves all bytes. A fault is in effect when its call returns; `restore` ends all faults.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from typing import Self

LOCAL = "127.0.0.1"
CONNECT_S = 5.0
POLL_S = 0.5
CHUNK_BYTES = 65536
MAX_QUEUED_BYTES = 1 << 20
RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Towards = Literal["broker", "client"]


class Proxy:
    """Listens on a free local port and forwards to `host:port`. Thread-safe.

    port        where clients connect
    accepted    how many connections were forwarded so far
    latency_s   the delay of every byte in each direction; may be set at any time
    """

    def __init__(self, host: str, port: int, *, latency_s: float = 0.0) -> None:
        self.latency_s = latency_s
        self.accepted = 0
        self._upstream = (host, port)
        self._lock = threading.RLock()
        self._selector = selectors.DefaultSelector()
        self._links: set[Link] = set()
        self._is_stalled = False
        self._is_stopped = False
        self._budget: tuple[Towards, int] | None = None
        self._listener: socket.socket | None = None
        self.port = 0
        self._listen()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.settimeout(0)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def live(self) -> int:
        """The number of open connections."""
        return len(self._links)

    def through(self, url: str) -> str:
        """`url` with its host and port replaced by this proxy's; user, password and path stay."""
        parts = urlsplit(url)
        account = parts.netloc.rpartition("@")[0]
        netloc = f"{account}@{LOCAL}:{self.port}" if account else f"{LOCAL}:{self.port}"
        return urlunsplit(parts._replace(netloc=netloc))

    def cut(self) -> int:
        """Reset (RST) every open connection on both sides and accept new ones; returns how many were open."""
        with self._lock:
            links = list(self._links)
            for link in links:
                self._end(link)
            return len(links)

    def refuse(self) -> None:
        """Refuse new connections (ECONNREFUSED). Open ones stay: `cut` them too to simulate a broker that is down."""
        with self._lock:
            if self._listener is not None:
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None
        self._wake()

    def blackhole(self) -> None:
        """Forward nothing in either direction, without an end or an error: the half-open connection.

        New connections are still accepted, and hang. The proxy keeps what clients send until `restore`.
        """
        with self._lock:
            self._is_stalled = True
        self._wake()

    def cut_after(self, limit_bytes: int, *, towards: Towards = "broker") -> None:
        """Forward `limit_bytes` more bytes towards one side, then cut every connection.

        `cut_after(0, towards="client")` loses the answer to the next command after the broker has executed it. Towards
        the broker the last bytes arrive: the broker gets an end of stream, the client a reset.
        """
        with self._lock:
            self._budget = (towards, limit_bytes)

    def restore(self) -> None:
        """End all faults: accept, forward (also what a blackhole kept), no latency, no byte limit."""
        with self._lock:
            self._is_stalled = False
            self._budget = None
            self.latency_s = 0.0
            if self._listener is None and not self._is_stopped:
                self._listen()
        self._wake()

    def close(self) -> None:
        """Cut everything and stop listening. Idempotent."""
        with self._lock:
            if self._is_stopped:
                return
            self._is_stopped = True
        self._wake()
        self._thread.join()
        self.refuse()
        self.cut()
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()

    def _listen(self) -> None:
        self._listener = socket.create_server((LOCAL, self.port), backlog=128)
        self._listener.settimeout(0)
        self.port = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ)

    def _wake(self) -> None:
        with suppress(OSError):
            self._wake_write.send(b"\0")

    def _run(self) -> None:
        while not self._is_stopped:
            with self._lock:
                wait_s = self._prepare(time.monotonic())
            ready = self._selector.select(wait_s)
            for key, events in ready:
                if key.fileobj is self._wake_read:
                    with suppress(BlockingIOError):
                        self._wake_read.recv(4096)
                elif isinstance(key.data, Link):
                    self._serve(key.data, key.fileobj, events)
                else:
                    self._accept()

    def _prepare(self, now: float) -> float:
        """Register what each link waits for; returns how many seconds to wait at most."""
        wait_s = POLL_S
        for link in list(self._links):
            for side, events in link.wants(now, is_stalled=self._is_stalled).items():
                self._watch(link, side, events)
            for direction in link.directions:
                due_at = direction.due_at()
                if due_at is not None and due_at > now:
                    wait_s = min(wait_s, due_at - now)
        return wait_s

    def _watch(self, link: Link, side: socket.socket, events: int) -> None:
        key = self._selector.get_map().get(side)
        if key is None:
            if events:
                self._selector.register(side, events, link)
        elif not events:
            self._selector.unregister(side)
        elif key.events != events:
            self._selector.modify(side, events, link)

    def _accept(self) -> None:
        with self._lock:
            if self._listener is None:
                return
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                return
        try:
            broker = socket.create_connection(self._upstream, timeout=CONNECT_S)
        except OSError:
            client.close()
            return
        with self._lock:
            self.accepted += 1
            self._links.add(Link(client, broker))

    def _serve(self, link: Link, side: object, events: int) -> None:
        with self._lock:
            if link.is_closed or self._is_stalled:
                return
            now = time.monotonic()
            try:
                for direction in link.directions:
                    if direction.source is side and events & selectors.EVENT_READ:
                        direction.read(now + self.latency_s)
                    self._forward(link, direction, now)
            except OSError:
                self._end(link)
            if link.is_over:
                self._end(link, reset_client=False, reset_broker=False)

    def _forward(self, link: Link, direction: Direction, now: float) -> None:
        """Write what is due. The last byte of the budget cuts; with an empty budget the next byte does."""
        if link.is_closed:
            return
        if self._budget is None or self._budget[0] != direction.towards:
            direction.write(now, None)
            direction.finish()
            return
        written = direction.write(now, self._budget[1])
        left = self._budget[1] - written
        self._budget = (direction.towards, left)
        if left == 0 and (written or direction.is_due(now)):
            self._budget = None
            for each in list(self._links):
                self._end(each, reset_broker=direction.towards == "client")

    def _end(self, link: Link, *, reset_client: bool = True, reset_broker: bool = True) -> None:
        for side in (link.client, link.broker):
            if side in self._selector.get_map():
                self._selector.unregister(side)
        self._links.discard(link)
        link.close(reset_client=reset_client, reset_broker=reset_broker)


@dataclass(slots=True, eq=False)
class Direction:
    """The bytes from `source` to `sink`; each chunk has the monotonic second when it is due."""

    source: socket.socket
    sink: socket.socket
    towards: Towards
    chunks: deque[tuple[float, bytes]] = field(default_factory=deque)
    queued_bytes: int = 0
    has_ended: bool = False
    is_finished: bool = False

    def read(self, due_at: float) -> None:
        """Read from the source. Raises OSError when its connection broke."""
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
        """Write what is due, at most `limit_bytes`; returns how many bytes. Raises OSError."""
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
        """Forward the end of the stream, after all bytes before it."""
        if self.has_ended and not self.chunks and not self.is_finished:
            self.is_finished = True
            with suppress(OSError):
                self.sink.shutdown(socket.SHUT_WR)

    def due_at(self) -> float | None:
        """When the next chunk is due; None without one."""
        return self.chunks[0][0] if self.chunks else None

    def is_due(self, now: float) -> bool:
        """Whether a chunk is due now."""
        return bool(self.chunks) and self.chunks[0][0] <= now


class Link:
    """A client's connection, and the proxy's connection to the broker for it. Never blocks."""

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
        """To the broker, to the client."""
        return self.up, self.down

    @property
    def is_over(self) -> bool:
        """Whether both sides ended their streams and all bytes were forwarded."""
        return self.up.is_finished and self.down.is_finished

    def wants(self, now: float, *, is_stalled: bool) -> dict[socket.socket, int]:
        """The selector events to wait for on each socket."""
        events = {self.client: 0, self.broker: 0}
        if not is_stalled:
            for direction in self.directions:
                if not direction.has_ended and direction.queued_bytes < MAX_QUEUED_BYTES:
                    events[direction.source] |= selectors.EVENT_READ
                if direction.is_due(now):
                    events[direction.sink] |= selectors.EVENT_WRITE
        return events

    def close(self, *, reset_client: bool = True, reset_broker: bool = True) -> None:
        """Close both sides: with a reset, which loses bytes in transit, or with an end of stream. Idempotent."""
        self.is_closed = True
        for side, is_reset in ((self.client, reset_client), (self.broker, reset_broker)):
            with suppress(OSError):
                if is_reset:
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                side.close()
