"""A proxy that holds back one answer of the server: the one that contains a marker, until it is let go.

Everything else passes, also on other connections; so a worker can be shown with exactly one answer under way.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

LOCAL = "127.0.0.1"
CHUNK_BYTES = 65536


class AnswerHold:
    """Listens on `port` and passes on to the server at `server_port`.

    holding   set while an answer with the marker is held back
    passed    how many pieces of other answers have passed since
    """

    def __init__(self, server_port: int, marker: bytes) -> None:
        self._server_port = server_port
        self._marker = marker
        self.holding = threading.Event()
        self._let_go = threading.Event()
        self.passed = 0
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server((LOCAL, 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name="answer-hold", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def through(self, url: str) -> str:
        """`url` with this proxy's host and port."""
        parts = urlsplit(url)
        account = parts.netloc.rpartition("@")[0]
        return urlunsplit(
            parts._replace(netloc=f"{account}@{LOCAL}:{self.port}" if account else f"{LOCAL}:{self.port}")
        )

    def let_go(self) -> None:
        """Deliver the answer, and hold nothing any more."""
        self._let_go.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((LOCAL, self._server_port))
                self._sockets += [client, server]
                threading.Thread(target=self._pump, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pump_answers, args=(server, client), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _pump_answers(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                if self._marker in data and not self._let_go.is_set():
                    self.holding.set()
                    self._let_go.wait()
                elif self.holding.is_set():
                    self.passed += 1
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
