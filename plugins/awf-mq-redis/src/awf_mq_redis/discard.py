"""Read the answer of a blocking command without its body. Called by `wait.py`.

The command moves a message inside the server and answers with its body. The claim that follows brings the body again,
so this one is dropped as it arrives, and the connection is closed where it is large.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse
from redis.exceptions import TimeoutError as RedisTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK_BYTES = 65536
MAX_DISCARDED_BYTES = 1024 * 1024
"""A larger body costs more to receive than a new connection."""


class DiscardingReader:
    """Reads answers from the socket of a redis-py connection that has none left unread."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._socket = connection._sock  # noqa: SLF001 - redis-py reads whole bodies only
        self._parse_error: Callable[[str], Exception] = connection._parser.parse_error  # noqa: SLF001
        self._unread = b""

    def answer(self) -> object:
        """The next answer: a number, an error as an object, True for a body, None for none. Raises redis-py's errors.

        A large body ends the connection.
        """
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            return self._parse_error(rest.decode("utf-8", "replace"))
        if kind == b":":
            return int(rest)
        if line in (b"$-1", b"*-1"):
            return None
        if kind != b"$":
            raise InvalidResponse(f"Protocol Error: {line[:100]!r}")
        self._discard(int(rest) + len(b"\r\n"))
        return True

    def _line(self) -> bytes:
        while b"\r\n" not in self._unread:
            self._unread += self._received()
        line, _, self._unread = self._unread.partition(b"\r\n")
        return line

    def _discard(self, size: int) -> None:
        if size > MAX_DISCARDED_BYTES:
            self._connection.disconnect()
            return
        while size > len(self._unread):
            size -= len(self._unread)
            self._unread = self._received()
        self._unread = self._unread[size:]

    def _received(self) -> bytes:
        try:
            received: bytes = self._socket.recv(CHUNK_BYTES)
        except TimeoutError as error:
            raise RedisTimeoutError("Timeout reading from socket") from error
        except OSError as error:
            raise RedisConnectionError(f"Error while reading from socket: {error}") from error
        if not received:
            raise RedisConnectionError("Connection closed by server.")
        return received
