"""Wait until a queue may have messages, with a blocking command. Called by `claim.py`.

The command moves a message to the queue's landing list. The next claim of any worker takes it from there, so a worker
that dies while it waits loses no message.
"""

from __future__ import annotations

import os
import socket
import threading
import weakref
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.exceptions import MovedError, RedisError, ResponseError

from awf_mq_redis.connection import NotSent
from awf_mq_redis.discard import DiscardingReader
from awf_mq_redis.failures import code_of, is_lost_master, kind_of

if TYPE_CHECKING:
    from awf_mq_redis.connection import RedisConnection
    from awf_mq_redis.keys import QueueKeys

PAUSE_S = 0.2
"""The wait where the server can't block: at maxmemory, and on a dead-letter stream, which BLMOVE can't move from."""

SHORTEST_S = 0.001


@dataclass(slots=True, eq=False)
class Wait:
    """A wait under way: the socket it reads from, and the server's id of the connection once known."""

    key: str
    socket: socket.socket
    client_id: int | None = None


class Waiter:
    """Lets consumers wait, and ends their waits. Thread-safe."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._waits: set[Wait] = set()
        self._stopped = threading.Event()
        self._move: tuple[str, ...] = ("BLMOVE", "RIGHT", "LEFT")
        _ALL.add(self)

    @property
    def is_stopped(self) -> bool:
        """Whether every wait returns at once."""
        return self._stopped.is_set()

    def restart(self) -> None:
        """Allow waits again."""
        self._stopped.clear()

    def stop(self) -> None:
        """End every wait, now and until `restart`."""
        with self._lock:
            self._stopped.set()
            for wait in self._waits:
                # CLIENT UNBLOCK needs a server that answers, and does nothing before the command has reached it.
                with suppress(OSError):
                    socket.socket.shutdown(wait.socket, socket.SHUT_RDWR)

    def wake(self, key: str) -> None:
        """End this process's waits on one queue, so that its consumers read the schedule again. Best effort: a wait
        that isn't reached ends by itself.
        """
        with self._lock:
            ids = [wait.client_id for wait in self._waits if wait.key == key and wait.client_id is not None]
        if ids and not self._connection.is_cluster:
            with suppress(NotSent, RedisError, OSError):
                self._connection.transport.each([(key, ("CLIENT", "UNBLOCK", client_id)) for client_id in ids])

    def wait(self, keys: QueueKeys, wait_s: float) -> None:
        """Return when the queue's list had a message, on `wake` or `stop`, or after `wait_s` seconds.

        Raises BrokerError.
        """
        doing = f"wait for messages in {keys.ready!r}"
        try:
            with self._connection.translated(doing):
                self._wait(keys, max(wait_s, SHORTEST_S))
        except Exception:
            if not self.is_stopped:
                raise

    def forget_threads(self) -> None:
        """In a child after a fork: the parent's threads don't run here, and the sockets are the parent's."""
        self._lock = threading.Lock()
        self._waits = set()

    def _wait(self, keys: QueueKeys, wait_s: float) -> None:
        with self._connection.transport.blocking(keys.ready) as connection:
            wait = Wait(key=keys.ready, socket=connection._sock)  # noqa: SLF001 - redis-py has no way to end a read
            with self._lock:
                if self._stopped.is_set():
                    return
                self._waits.add(wait)
            try:
                answer = self._block(connection, wait, keys, wait_s)
            finally:
                with self._lock:
                    self._waits.discard(wait)
            if isinstance(answer, ResponseError) and is_lost_master(answer):
                raise answer
        if isinstance(answer, ResponseError):
            self._refused(answer, wait_s)

    def _block(self, connection: Any, wait: Wait, keys: QueueKeys, wait_s: float) -> object:
        name, *sides = self._move
        move = (name, keys.ready, keys.landing, *sides, f"{wait_s:.3f}")
        connection.send_packed_command(connection.pack_commands([("CLIENT", "ID"), move]), check_health=False)
        reader = DiscardingReader(connection)
        client_id = reader.answer()
        if isinstance(client_id, int):
            wait.client_id = client_id
        return reader.answer()

    def _refused(self, answer: ResponseError, wait_s: float) -> None:
        if kind_of(answer) == "full" or isinstance(answer, MovedError) or code_of(answer) == "WRONGTYPE":
            self._stopped.wait(min(wait_s, PAUSE_S))
        elif len(self._move) > 1 and ("unknown command" in str(answer) or kind_of(answer) == "denied"):
            # The older command that does the same, for servers and rights that have only that one.
            self._move = ("BRPOPLPUSH",)
        else:
            raise answer


_ALL: weakref.WeakSet[Waiter] = weakref.WeakSet()


def _after_fork() -> None:
    for waiter in list(_ALL):
        waiter.forget_threads()


os.register_at_fork(after_in_child=_after_fork)
