"""An HTTP server before SQS that answers some requests itself, as AWS does where moto doesn't, and forwards the rest.

with SqsAnswers(moto.url) as front:
    front.answer("SendMessageBatch", 400, "ThrottlingException", times=2)
    front.lose("DeleteMessageBatch")          # the request has its effect, its answer is lost
"""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from collections import Counter, deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

LOCAL = "127.0.0.1"
FORWARD_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """An answer: `status` 0 = forward the request and cut the connection."""

    action: str
    status: int
    code: str = ""
    text: str = ""


class SqsAnswers:
    """Counts requests by action in `counts`. Thread-safe."""

    def __init__(self, upstream: str) -> None:
        self.counts: Counter[str] = Counter()
        self._upstream = upstream
        self._scripted: deque[Scripted] = deque()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((LOCAL, 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The endpoint for clients."""
        return f"http://{LOCAL}:{self._server.server_port}"

    def answer(self, action: str, status: int, code: str, text: str = "scripted", *, times: int = 1) -> None:
        """Answer the next `times` requests of `action` with an error."""
        self._scripted.extend(Scripted(action=action, status=status, code=code, text=text) for _ in range(times))

    def lose(self, action: str, *, times: int = 1) -> None:
        """Let the next requests of `action` have their effect, and lose their answers."""
        self._scripted.extend(Scripted(action=action, status=0) for _ in range(times))

    def take(self, action: str) -> Scripted | None:
        """The scripted answer to a request of `action`; None = forward it."""
        with self._lock:
            self.counts[action] += 1
            found = next((each for each in self._scripted if each.action == action), None)
            if found is not None:
                self._scripted.remove(found)
            return found

    def forward(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send the request on; status, headers and body of the answer."""
        request = urllib.request.Request(self._upstream + path, data=body, headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=FORWARD_S) as response:
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()


def _handler(front: SqsAnswers) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            scripted = front.take(self.headers.get("X-Amz-Target", "").rpartition(".")[2])
            if scripted is not None and scripted.status:
                error = json.dumps({"__type": f"com.amazonaws.sqs#{scripted.code}", "message": scripted.text}).encode()
                self._answer(scripted.status, {"Content-Type": "application/x-amz-json-1.0"}, error)
                return
            answer = front.forward(self.path, dict(self.headers), body)
            if scripted is not None:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            self._answer(*answer)

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() in ("content-type", "x-amzn-query-error", "x-amzn-requestid"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
