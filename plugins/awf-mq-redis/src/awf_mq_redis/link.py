"""The server as the rest of the backend sees it: calls that answer, or raise the contract's errors.

The one place where redis-py's exceptions end. Thread-safe; connects at the first use, in whichever process that is.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError, RedisError, ResponseError

from awf_mq_redis.cluster import ClusterWire
from awf_mq_redis.failures import broker_error
from awf_mq_redis.scripts import script
from awf_mq_redis.wire import Command, NotSent, ServerWire, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from awf_core.errors import BrokerError
    from awf_mq_redis.pools import Target

Argument = str | bytes | int | float

AT_ONCE = 200
"""Items of one script call: what it takes of the server's time is a moment for everybody else."""


class Link:
    """One backend's way to its server."""

    def __init__(self, target: Target, *, is_cluster: bool) -> None:
        self.where = target.shown
        self.is_cluster = is_cluster
        self.wire: Wire = ClusterWire(target) if is_cluster else ServerWire(target)

    def call(self, doing: str, key: str, *command: Argument) -> Any:
        """One command's answer. `doing` ("publish to 'q'") stands in an error's text."""
        with self.translated(doing):
            return self.wire.call(key, *command)

    def each(self, doing: str, commands: Sequence[tuple[str, Command]]) -> list[Any]:
        """The answers of (key, command) pairs in one round trip; BrokerErrors for those the server refused."""
        with self.translated(doing):
            answers = self.wire.each(commands)
        return [self.error(answer, doing) if isinstance(answer, ResponseError) else answer for answer in answers]

    def run(self, doing: str, name: str, keys: Sequence[str], *arguments: Argument) -> Any:
        """A script's answer; a server that doesn't know the script is told it."""
        with self.translated(doing):
            return run_script(self.wire, name, keys, arguments)

    def everywhere(self, doing: str, *command: Argument) -> list[tuple[Callable[..., Any], Any]]:
        """See `wire.Wire.everywhere`."""
        with self.translated(doing):
            return self.wire.everywhere(*command)

    def error(self, error: BaseException, doing: str, *, in_doubt: bool = True) -> BrokerError:
        """The contract's error for one of redis-py's."""
        return broker_error(error, where=self.where, doing=doing, in_doubt=in_doubt)

    @contextmanager
    def translated(self, doing: str) -> Iterator[None]:
        """Nothing but the contract's errors leaves the block."""
        try:
            yield
        except NotSent as error:
            cause = error.__cause__
            assert cause is not None
            raise self.error(cause, doing, in_doubt=False) from cause
        except (RedisError, OSError) as error:
            raise self.error(error, doing) from error

    def close(self) -> None:
        """Let go of every connection nobody uses."""
        self.wire.close()


def run_script(wire: Wire, name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
    """As `Link.run`, with redis-py's errors."""
    found = script(name)
    key = keys[0]
    try:
        return wire.call(key, "EVALSHA", found.sha, len(keys), *keys, *arguments)
    except NoScriptError:
        return wire.call(key, "EVAL", found.source, len(keys), *keys, *arguments)


def text(value: Any) -> str:
    """A server's bytes as text; what isn't UTF-8 is replaced."""
    return bytes(value).decode("utf-8", "replace")
