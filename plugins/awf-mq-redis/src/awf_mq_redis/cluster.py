"""The way to the servers of a Redis Cluster: each command to the server that has its key. Called by `link.py`.

Follows MOVED and ASK, which say that a command was not carried out; repeats nothing else.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from awf_mq_redis.wire import Command, NotSent, ServerWire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from awf_mq_redis.address import Node
    from awf_mq_redis.pools import Target

MAX_REDIRECTS = 5


class ClusterWire:
    """Keeps a map of slots, and connections to every server met. Thread-safe."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._servers: dict[Node, ServerWire] = {}
        self._slots: list[Node] | None = None

    def call(self, key: str, *command: str | bytes | float) -> Any:
        """See `wire.Wire`."""
        node = self._node(key)
        for _ in range(MAX_REDIRECTS):
            try:
                return self._server(node).call(key, *command)
            except AskError as error:
                node = self._redirected(error)
                if not isinstance(error, MovedError):
                    return self._server(node).asking(*command)
            except (NotSent, ClusterDownError):
                self._forget()
                raise
            except ResponseError:
                raise
            except (RedisError, OSError):
                self._forget()
                raise
        raise ClusterDownError(f"{MAX_REDIRECTS} redirections in a row; slots are on the move")

    def each(self, commands: Sequence[tuple[str, Command]]) -> list[Any]:
        """See `wire.Wire`; one after the other. The first lost answer ends it: what comes after is not sent."""
        answers: list[Any] = []
        for key, command in commands:
            try:
                answers.append(self.call(key, *command))
            except ResponseError as error:
                answers.append(error)
            except NotSent as error:
                if not answers:
                    raise
                # Some were carried out already, so this is no longer "nothing was sent".
                raise RedisConnectionError(str(error.__cause__)) from error
        return answers

    def everywhere(self, *command: str | bytes | float) -> list[tuple[Callable[..., Any], Any]]:
        """See `wire.Wire`."""
        servers = [self._server(node) for node in sorted(set(self._map()))]
        return [(server.call, server.call("", *command)) for server in servers]

    @contextmanager
    def sleeping(self, key: str) -> Iterator[Any]:
        """See `wire.Wire`. A MOVED met there makes the next call look the slots up again."""
        try:
            with self._server(self._node(key)).sleeping(key) as connection:
                yield connection
        except (NotSent, RedisError, OSError):
            self._forget()
            raise

    def close(self) -> None:
        """See `wire.Wire`."""
        with self._lock:
            servers = list(self._servers.values())
        for server in servers:
            server.close()

    def _node(self, key: str) -> Node:
        return self._map()[key_slot(key.encode("utf-8", "replace"))]

    def _map(self) -> list[Node]:
        slots = self._slots
        if slots is None:
            slots = self._slots = self._look_up()
        return slots

    def _forget(self) -> None:
        self._slots = None

    def _redirected(self, error: AskError) -> Node:
        host, port = error.node_addr
        node = (str(host), int(port))
        if isinstance(error, MovedError):
            slots = self._slots
            if slots is not None and node not in slots:
                self._forget()
            elif slots is not None:
                slots[error.slot_id] = node
        return node

    def _server(self, node: Node) -> ServerWire:
        with self._lock:
            server = self._servers.get(node)
            if server is None:
                server = self._servers[node] = ServerWire(self._target, node=node)
            return server

    def _look_up(self) -> list[Node]:
        failure: Exception | None = None
        with self._lock:
            known = list(self._servers)
        for node in dict.fromkeys((*self._target.address.nodes, *known)):
            try:
                return _slot_map(self._server(node).call("", "CLUSTER", "SLOTS"), node)
            except ResponseError:
                raise
            except (NotSent, RedisError, OSError) as error:
                failure = error
        assert failure is not None
        raise failure if isinstance(failure, NotSent) else NotSent from failure


def _slot_map(ranges: Any, asked: Node) -> list[Node]:
    """Which server has which slot; a server that doesn't know its own name is the one that was asked."""
    slots: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
    for first, last, master, *_ in ranges:
        host = master[0].decode() if master[0] else asked[0]
        for slot in range(first, last + 1):
            slots[slot] = (host, master[1])
    complete = [node for node in slots if node is not None]
    if len(complete) < REDIS_CLUSTER_HASH_SLOTS:
        raise ClusterDownError(f"{REDIS_CLUSTER_HASH_SLOTS - len(complete)} hash slots are served by nobody")
    return complete
