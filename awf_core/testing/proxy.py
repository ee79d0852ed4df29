"""A TCP proxy that breaks connections on command: put it between a client and its broker, in tests only.

    with Proxy("127.0.0.1", redis.port) as proxy:
        mq = connect(proxy.through(redis.url))
        proxy.cut()

One thread moves all bytes. Every fault holds from the moment the call returns; `restore` ends them all.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from awf_core.testing.proxy_link import Direction, Link, Towards

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

LOCAL = "127.0.0.1"
CONNECT_S = 5.0
LOOK_S = 0.5


class Proxy:
    """Listens on a free local port and passes everything on to `host:port`. All methods are thread-safe.

    port        where clients connect
    accepted    how many connections were passed on so far
    latency_s   how long every byte is held up in each direction; may be set at any moment
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
        self._bell, self._ringer = socket.socketpair()
        self._bell.settimeout(0)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def live(self) -> int:
        """Connections open now."""
        return len(self._links)

    def through(self, url: str) -> str:
        """`url` with its host and port replaced by this proxy's; user, password and path stay."""
        parts = urlsplit(url)
        account = parts.netloc.rpartition("@")[0]
        netloc = f"{account}@{LOCAL}:{self.port}" if account else f"{LOCAL}:{self.port}"
        return urlunsplit(parts._replace(netloc=netloc))

    def cut(self) -> int:
        """Reset (RST) every live connection on both sides and go on accepting; returns how many there were."""
        with self._lock:
            links = list(self._links)
            for link in links:
                self._end(link)
            return len(links)

    def refuse(self) -> None:
        """Refuse new connections (ECONNREFUSED). Live ones stay: `cut` them too to take the broker away entirely."""
        with self._lock:
            if self._listener is not None:
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None
        self._ring()

    def blackhole(self) -> None:
        """Let nothing through in either direction, with no end and no error: the half-open connection.

        New connections are still accepted, and hang. What clients send is kept until `restore`.
        """
        with self._lock:
            self._is_stalled = True
        self._ring()

    def cut_after(self, limit_bytes: int, *, towards: Towards = "broker") -> None:
        """Let `limit_bytes` more bytes pass towards one side, then cut every connection.

        `cut_after(0, towards="client")` loses the answer to the next command after the broker has carried it out.
        Towards the broker the last bytes surely arrive: it gets a proper end of stream, the client a reset.
        """
        with self._lock:
            self._budget = (towards, limit_bytes)

    def restore(self) -> None:
        """Be a faithful proxy again: accept, pass on (what a blackhole held back included), no latency, no budget."""
        with self._lock:
            self._is_stalled = False
            self._budget = None
            self.latency_s = 0.0
            if self._listener is None and not self._is_stopped:
                self._listen()
        self._ring()

    def close(self) -> None:
        """Cut everything and stop listening. Idempotent."""
        with self._lock:
            if self._is_stopped:
                return
            self._is_stopped = True
        self._ring()
        self._thread.join()
        self.refuse()
        self.cut()
        self._selector.close()
        self._bell.close()
        self._ringer.close()

    def _listen(self) -> None:
        self._listener = socket.create_server((LOCAL, self.port), backlog=128)
        self._listener.settimeout(0)
        self.port = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ)

    def _ring(self) -> None:
        with suppress(OSError):
            self._ringer.send(b"\0")

    def _run(self) -> None:
        while not self._is_stopped:
            with self._lock:
                wait_s = self._prepare(time.monotonic())
            ready = self._selector.select(wait_s)
            for key, events in ready:
                if key.fileobj is self._bell:
                    with suppress(BlockingIOError):
                        self._bell.recv(4096)
                elif isinstance(key.data, Link):
                    self._serve(key.data, key.fileobj, events)
                else:
                    self._accept()

    def _prepare(self, now: float) -> float:
        """Tell the selector what each link waits for; returns how long to wait at most, in seconds."""
        wait_s = LOOK_S
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
                    self._pass_on(link, direction, now)
            except OSError:
                self._end(link)
            if link.is_over:
                self._end(link, reset_client=False, reset_broker=False)

    def _pass_on(self, link: Link, direction: Direction, now: float) -> None:
        """Write what may go; the byte that uses up the budget, or the first beyond an empty one, cuts."""
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
