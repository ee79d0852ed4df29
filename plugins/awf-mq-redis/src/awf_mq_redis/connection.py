"""The connection to the server: commands and scripts go out, answers or the contract's errors come back.

Every part of the backend calls this one, and redis-py's exceptions end here. It uses redis-py's connections instead of
its client, whose errors are the same for a command that was never sent and for a lost answer. Repeats no command.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Protocol

from redis.exceptions import ChildDeadlockedError, NoScriptError, RedisError, ResponseError

from awf_mq_redis.failures import broker_error, is_lost_master
from awf_mq_redis.keys import queue_keys
from awf_mq_redis.pools import make_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from awf_core.errors import BrokerError
    from awf_mq_redis.keys import QueueKeys
    from awf_mq_redis.pools import Target

Argument = str | bytes | int | float
Command = tuple[Argument, ...]

MAX_BATCH = 200
"""Items of one script call. The server does nothing else while a script runs."""


class NotSent(Exception):
    """No connection was to be had, so the command was not sent. The cause is redis-py's exception."""


class Transport(Protocol):
    """Sends to one server or to a cluster, where `key` says to which server. Thread-safe. Raises redis-py's errors."""

    def call(self, key: str, *command: Argument) -> Any:
        """One command's answer. Raises NotSent, RedisError."""

    def each(self, commands: Sequence[tuple[str, Command]]) -> list[Any]:
        """The answers of (key, command) pairs; where the server refused one, its error takes the answer's place."""

    def everywhere(self, *command: Argument) -> list[tuple[Callable[..., Any], Any]]:
        """The answer of every server that holds keys, each with a function that sends that server one more."""

    @contextmanager
    def blocking(self, key: str) -> Iterator[Any]:
        """A redis-py connection for a command that blocks. Raises NotSent."""

    def close(self) -> None:
        """Close idle connections now, and the others as soon as they are released."""


class RedisConnection:
    """One backend's connection to its server or cluster. Thread-safe; connects at the first use, in any process."""

    def __init__(self, transport: Transport, *, where: str, is_cluster: bool, prefix: str) -> None:
        self.transport = transport
        self.where = where
        self.is_cluster = is_cluster
        self.prefix = prefix

    def keys(self, queue: str) -> QueueKeys:
        """The keys of `queue` under this connection's key prefix."""
        return queue_keys(queue, self.prefix)

    def call(self, doing: str, key: str, *command: Argument) -> Any:
        """One command's answer. `doing` ("publish to 'q'") goes into an error's text."""
        with self.translated(doing):
            return self.transport.call(key, *command)

    def each(self, doing: str, commands: Sequence[tuple[str, Command]]) -> list[Any]:
        """The answers of (key, command) pairs in one round trip; BrokerErrors for those the server refused."""
        with self.translated(doing):
            answers = self.transport.each(commands)
        return [self.error(answer, doing) if isinstance(answer, ResponseError) else answer for answer in answers]

    def run(self, doing: str, name: str, keys: Sequence[str], *arguments: Argument) -> Any:
        """The answer of the script `name`; a server that doesn't have the script gets its source."""
        found = script(name)
        with self.translated(doing):
            try:
                return self.transport.call(keys[0], "EVALSHA", found.sha, len(keys), *keys, *arguments)
            except NoScriptError:
                return self.transport.call(keys[0], "EVAL", found.source, len(keys), *keys, *arguments)

    def everywhere(self, doing: str, *command: Argument) -> list[tuple[Callable[..., Any], Any]]:
        """See `Transport.everywhere`."""
        with self.translated(doing):
            return self.transport.everywhere(*command)

    def error(self, error: BaseException, doing: str, *, in_doubt: bool = True) -> BrokerError:
        """The contract's error for one of redis-py's."""
        return broker_error(error, where=self.where, doing=doing, in_doubt=in_doubt)

    @contextmanager
    def translated(self, doing: str) -> Iterator[None]:
        """Only the contract's errors leave the block."""
        try:
            yield
        except NotSent as error:
            cause = error.__cause__
            assert cause is not None
            raise self.error(cause, doing, in_doubt=False) from cause
        except (RedisError, OSError) as error:
            raise self.error(error, doing) from error

    def close(self) -> None:
        """See `Transport.close`."""
        self.transport.close()


class ServerTransport:
    """Sends to one server, or to the master that sentinels name."""

    def __init__(self, target: Target, *, node: tuple[str, int] | None = None) -> None:
        self._commands: Any = make_pool(target, read_timeout_s=target.socket_timeout_s, node=node)
        self._blocking: Any = make_pool(target, read_timeout_s=target.block_timeout_s, node=node)

    def call(self, key: str, *command: Argument) -> Any:  # noqa: ARG002 - one server has all keys
        """See Transport."""
        with _borrowed(self._commands) as connection:
            connection.send_command(*command, check_health=False)
            return connection.read_response()

    def each(self, commands: Sequence[tuple[str, Command]]) -> list[Any]:
        """See Transport; all in one round trip."""
        if not commands:
            return []
        with _borrowed(self._commands) as connection:
            packed = connection.pack_commands([command for _, command in commands])
            connection.send_packed_command(packed, check_health=False)
            answers = [read_answer(connection) for _ in commands]
            if any(isinstance(answer, ResponseError) and is_lost_master(answer) for answer in answers):
                connection.disconnect()
            return answers

    def everywhere(self, *command: Argument) -> list[tuple[Callable[..., Any], Any]]:
        """See Transport."""
        return [(self.call, self.call("", *command))]

    @contextmanager
    def blocking(self, key: str) -> Iterator[Any]:  # noqa: ARG002 - one server has all keys
        """See Transport."""
        with _borrowed(self._blocking) as connection:
            yield connection

    def asking(self, *command: Argument) -> Any:
        """One command's answer for a slot that is moving to this server of a cluster."""
        with _borrowed(self._commands) as connection:
            connection.send_packed_command(connection.pack_commands([("ASKING",), command]), check_health=False)
            connection.read_response()
            return connection.read_response()

    def close(self) -> None:
        """See Transport."""
        for pool in (self._commands, self._blocking):
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
        # After anything but an answer, bytes may still arrive that the next caller would take for its answer.
        if not isinstance(error, ResponseError) or is_lost_master(error):
            connection.disconnect()
        raise
    finally:
        pool.release(connection)


def read_answer(connection: Any) -> Any:
    """The next answer on a redis-py connection; an error answer is returned, not raised."""
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


_QUEUE = ("prelude", "queue", "clock")
_SETTLE = (*_QUEUE, "fence", "replies")
_MOVE = (*_QUEUE, "dead_letter_stream", "transfers")
SCRIPTS: dict[str, tuple[str, ...]] = {
    "ack": _SETTLE,
    "add_dead_message": ("prelude",),
    "browse": _QUEUE,
    "check_rights": ("prelude",),
    "check_writable": ("prelude",),
    "claim": (*_QUEUE, "dead_letter_stream"),
    "count_dead_messages": ("prelude",),
    "dead_letter": _SETTLE,
    "extend": (*_QUEUE, "fence"),
    "move": _MOVE,
    "move_drop": _MOVE,
    "move_pick": _MOVE,
    "move_put": _MOVE,
    "nack": (*_QUEUE, "fence"),
    "publish_delayed": _QUEUE,
    "purge": _QUEUE,
    "push_replies": ("prelude", "replies"),
    "read_leased": (*_QUEUE, "fence"),
    "stats": _QUEUE,
    "tick": _QUEUE,
}
"""The scripts, each with the parts that stand before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script as the server takes it: its source, or its hash once the server has it."""

    source: str
    sha: str


@cache
def script(name: str) -> Script:
    """The script of `lua/<name>.lua`, with its parts in front."""
    folder = files("awf_mq_redis") / "lua"
    source = "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in (*SCRIPTS[name], name))
    return Script(source=source, sha=hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def text(value: Any) -> str:
    """A server's bytes as text; what isn't UTF-8 is replaced."""
    return bytes(value).decode("utf-8", "replace")
