"""The transport to a Redis Cluster: each command goes to the server that has its key. Called by `connection.py`.

Follows MOVED and ASK, which say that the server did not carry out the command. Repeats no other command.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from awf_mq_redis.connection import NotSent, ServerTransport
from awf_mq_redis.keys import slot_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from awf_mq_redis.address import Node
    from awf_mq_redis.connection import Argument, Command
    from awf_mq_redis.pools import Target

MAX_REDIRECTS = 5


class ClusterTransport:
    """Holds the map of slots, and connections to every server met. Thread-safe."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._servers: dict[Node, ServerTransport] = {}
        self._slots: list[Node] | None = None
        self._silent: frozenset[Node] = frozenset()

    def call(self, key: str, *command: Argument) -> Any:
        """See `connection.Transport`."""
        node = self._node(key)
        for _ in range(MAX_REDIRECTS):
            try:
                answer = self._server(node).call(key, *command)
            except AskError as error:
                node = self._redirected(error)
                if not isinstance(error, MovedError):
                    return self._server(node).asking(*command)
            except ClusterDownError:
                self._slots = None
                raise
            except ResponseError:
                raise
            except (NotSent, RedisError, OSError):
                self._forget(node)
                raise
            else:
                if node in self._silent:
                    self._silent -= {node}
                return answer
        raise ClusterDownError(f"{MAX_REDIRECTS} redirections in a row; the slots are being moved")

    def each(self, commands: Sequence[tuple[str, Command]]) -> list[Any]:
        """See `connection.Transport`; one after the other. The first lost answer ends it: no later command is sent."""
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

    def everywhere(self, *command: Argument) -> list[tuple[Callable[..., Any], Any]]:
        """See `connection.Transport`."""
        servers = [self._server(node) for node in sorted(set(self._map()))]
        return [(server.call, server.call("", *command)) for server in servers]

    @contextmanager
    def blocking(self, key: str) -> Iterator[Any]:
        """See `connection.Transport`. A MOVED from there makes the next call read the slot map again."""
        node = self._node(key)
        try:
            with self._server(node).blocking(key) as connection:
                yield connection
        except MovedError:
            self._slots = None
            raise
        except (NotSent, RedisError, OSError):
            self._forget(node)
            raise

    def close(self) -> None:
        """See `connection.Transport`."""
        with self._lock:
            servers = list(self._servers.values())
        for server in servers:
            server.close()

    def _node(self, key: str) -> Node:
        return self._map()[slot_of(key)]

    def _map(self) -> list[Node]:
        slots = self._slots
        if slots is None:
            slots = self._slots = self._read_map()
        return slots

    def _forget(self, node: Node) -> None:
        """`node` didn't answer: read the map again, and ask the others first. They may serve while it is silent."""
        self._silent |= {node}
        self._slots = None

    def _redirected(self, error: AskError) -> Node:
        host, port = error.node_addr
        node = (str(host), int(port))
        if isinstance(error, MovedError):
            slots = self._slots
            if slots is not None and node not in slots:
                self._slots = None
            elif slots is not None:
                slots[error.slot_id] = node
        return node

    def _server(self, node: Node) -> ServerTransport:
        with self._lock:
            server = self._servers.get(node)
            if server is None:
                server = self._servers[node] = ServerTransport(self._target, node=node)
            return server

    def _read_map(self) -> list[Node]:
        failure: Exception | None = None
        with self._lock:
            known = list(self._servers)
        silent = self._silent
        nodes = dict.fromkeys((*self._target.address.nodes, *known))
        for node in sorted(nodes, key=lambda each: each in silent):
            try:
                return _slot_map(self._server(node).call("", "CLUSTER", "SLOTS"), node)
            except ResponseError:
                raise
            except (NotSent, RedisError, OSError) as error:
                failure = error
        assert failure is not None
        raise failure if isinstance(failure, NotSent) else NotSent from failure


def _slot_map(ranges: Any, asked: Node) -> list[Node]:
    """The server of each slot. A server that doesn't know its own name is the one that was `asked`."""
    slots: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
    for first, last, master, *_ in ranges:
        host = master[0].decode() if master[0] else asked[0]
        for slot in range(first, last + 1):
            slots[slot] = (host, master[1])
    complete = [node for node in slots if node is not None]
    if len(complete) < REDIS_CLUSTER_HASH_SLOTS:
        raise ClusterDownError(f"{REDIS_CLUSTER_HASH_SLOTS - len(complete)} hash slots have no server")
    return complete
