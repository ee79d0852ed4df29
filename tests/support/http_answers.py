"""A server on a free port of this machine, that answers as a test configures it and records what it was asked."""

from __future__ import annotations

import contextlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Answer:
    """One answer. `is_held`: not before `go_on` is set, or the server is closed."""

    status: int = 200
    body: bytes = b"{}"
    headers: list[tuple[str, str]] = field(default_factory=list)
    is_held: bool = False


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: str


class HttpAnswers:
    """`answers` by path, 404 for others; `asked` has every request in order."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[Asked] = []
        self.go_on = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.01)

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


def _handler(server: HttpAnswers) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            server.asked.append(Asked(self.command, self.path, dict(self.headers.items()), body))
            answer = server.answers.get(self.path, Answer(status=404))
            if answer.is_held:
                server.go_on.wait(30)
            self.send_response(answer.status)
            for name, value in [*answer.headers, ("Content-Length", str(len(answer.body)))]:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 - the names the server calls

        def handle(self) -> None:
            with contextlib.suppress(OSError):  # the asking side left, which is what some tests are about
                super().handle()

    return Handler


@contextmanager
def http_answers() -> Iterator[HttpAnswers]:
    """A running server."""
    server = HttpAnswers()
    thread = threading.Thread(target=server.serve, name="http-answers", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(5)
