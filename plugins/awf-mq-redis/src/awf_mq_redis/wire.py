"""Send commands and read answers, nothing repeated. Called by `link.py`; raises redis-py's own exceptions.

Works on connections rather than on redis-py's client, which can't tell a command that was never sent from one whose
answer was lost. `cluster.py` has the same for a cluster.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from redis.exceptions import ChildDeadlockedError, RedisError, ResponseError

from awf_mq_redis.failures import is_stale_link
from awf_mq_redis.pools import make_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from awf_mq_redis.pools import Target

Command = tuple[str | bytes | int | float, ...]


class NotSent(Exception):
    """No connection could be had: nothing was sent. The cause is redis-py's exception."""


class Wire(Protocol):
    """A way to the server, or to the servers. Thread-safe. `key` says which server of a cluster."""

    def call(self, key: str, *command: str | bytes | float) -> Any:
        """One command's answer. Raises NotSent, RedisError."""

    def each(self, commands: Sequence[tuple[str, Command]]) -> list[Any]:
        """The answers of (key, command) pairs; a server's refusal of one is in its place."""

    def everywhere(self, *command: str | bytes | float) -> list[tuple[Callable[..., Any], Any]]:
        """A command's answer of every server that holds keys, each with a way to ask that one more."""

    @contextmanager
    def sleeping(self, key: str) -> Iterator[Any]:
        """A connection for a command that blocks. Raises NotSent."""

    def close(self) -> None:
        """Let go of idle connections, and of the others when they are given back."""


class ServerWire:
    """The way to one server, or to a sentinel's master."""

    def __init__(self, target: Target, *, node: tuple[str, int] | None = None) -> None:
        self._commands: Any = make_pool(target, read_timeout_s=target.socket_timeout_s, node=node)
        self._sleepers: Any = make_pool(target, read_timeout_s=target.block_timeout_s, node=node)

    def call(self, key: str, *command: str | bytes | float) -> Any:  # noqa: ARG002 - one server has all keys
        """See Wire."""
        with _borrowed(self._commands) as connection:
            connection.send_command(*command, check_health=False)
            return connection.read_response()

    def each(self, commands: Sequence[tuple[str, Command]]) -> list[Any]:
        """See Wire; all in one round trip."""
        if not commands:
            return []
        with _borrowed(self._commands) as connection:
            packed = connection.pack_commands([command for _, command in commands])
            connection.send_packed_command(packed, check_health=False)
            answers = [_answer(connection) for _ in commands]
            if any(isinstance(answer, ResponseError) and is_stale_link(answer) for answer in answers):
                connection.disconnect()
            return answers

    def everywhere(self, *command: str | bytes | float) -> list[tuple[Callable[..., Any], Any]]:
        """See Wire."""
        return [(self.call, self.call("", *command))]

    @contextmanager
    def sleeping(self, key: str) -> Iterator[Any]:  # noqa: ARG002 - one server has all keys
        """See Wire."""
        with _borrowed(self._sleepers) as connection:
            yield connection

    def asking(self, *command: str | bytes | float) -> Any:
        """One command's answer for a slot that is on its way to this server of a cluster."""
        with _borrowed(self._commands) as connection:
            connection.send_packed_command(connection.pack_commands([("ASKING",), command]), check_health=False)
            connection.read_response()
            return connection.read_response()

    def close(self) -> None:
        """See Wire."""
        for pool in (self._commands, self._sleepers):
            pool.disconnect(inuse_connections=False)


@contextmanager
def _borrowed(pool: Any) -> Iterator[Any]:
    try:
        connection = pool.get_connection()
    except (RedisError, OSError, ChildDeadlockedError) as error:
        raise NotSent from error
    try:
        yield connection
    except BaseException as error:
        # After anything but an answer there may be bytes under way that would be taken for the next answer.
        if not isinstance(error, ResponseError) or is_stale_link(error):
            connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error
