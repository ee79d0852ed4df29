"""Sleep until a queue may have something, inside the server. Called by `claim.py`.

A blocking move into the queue's landing strip: whatever it moved is taken by the next claim of whoever comes first, so
a worker that dies here loses nothing.
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

from awf_mq_redis.failures import code_of, is_stale_link, kind_of
from awf_mq_redis.wire import NotSent

if TYPE_CHECKING:
    from awf_mq_redis.link import Link
    from awf_mq_redis.names import QueueKeys

PAUSE_S = 0.2
"""How long to wait where the server can't make us wait: at maxmemory, and for letters, which are in no list."""

SHORTEST_S = 0.001


@dataclass(slots=True, eq=False)
class Nap:
    """A sleep under way: the socket it reads from, and the server's name for the connection once known."""

    key: str
    socket: socket.socket
    client_id: int | None = None


class Sleeper:
    """Puts consumers to sleep and wakes them. Thread-safe."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lock = threading.Lock()
        self._naps: set[Nap] = set()
        self._stopped = threading.Event()
        self._move: tuple[str, ...] = ("BLMOVE", "RIGHT", "LEFT")
        _ALL.add(self)

    @property
    def is_stopped(self) -> bool:
        """Whether nobody may sleep any more."""
        return self._stopped.is_set()

    def restart(self) -> None:
        """Allow sleeping again."""
        self._stopped.clear()

    def stop(self) -> None:
        """End every sleep, now and from now on."""
        with self._lock:
            self._stopped.set()
            for nap in self._naps:
                # Not CLIENT UNBLOCK: that needs a server that answers, and comes too early for a command under way.
                with suppress(OSError):
                    socket.socket.shutdown(nap.socket, socket.SHUT_RDWR)

    def wake(self, key: str) -> None:
        """End the sleeps on one queue of this process, so that they look at its schedule again. As good as it gets:
        one that isn't reached wakes by itself.
        """
        with self._lock:
            ids = [nap.client_id for nap in self._naps if nap.key == key and nap.client_id is not None]
        if ids and not self._link.is_cluster:
            with suppress(NotSent, RedisError, OSError):
                self._link.wire.each([(key, ("CLIENT", "UNBLOCK", client_id)) for client_id in ids])

    def sleep(self, keys: QueueKeys, wait_s: float) -> None:
        """Return when the queue's list had a message, on `wake` or `stop`, or after `wait_s` seconds.

        Raises BrokerError.
        """
        doing = f"wait for messages in {keys.ready!r}"
        try:
            with self._link.translated(doing):
                self._sleep(keys, max(wait_s, SHORTEST_S))
        except Exception:
            if not self.is_stopped:
                raise

    def forget_threads(self) -> None:
        """In a child after a fork: nobody sleeps here, and the sockets are the parent's."""
        self._lock = threading.Lock()
        self._naps = set()

    def _sleep(self, keys: QueueKeys, wait_s: float) -> None:
        with self._link.wire.sleeping(keys.ready) as connection:
            nap = Nap(key=keys.ready, socket=connection._sock)  # noqa: SLF001 - redis-py has no way to end a read
            with self._lock:
                if self._stopped.is_set():
                    return
                self._naps.add(nap)
            try:
                answer = self._block(connection, nap, keys, wait_s)
            finally:
                with self._lock:
                    self._naps.discard(nap)
            if isinstance(answer, ResponseError) and is_stale_link(answer):
                raise answer
        if isinstance(answer, ResponseError):
            self._refused(answer, wait_s)

    def _block(self, connection: Any, nap: Nap, keys: QueueKeys, wait_s: float) -> object:
        name, *sides = self._move
        move = (name, keys.ready, keys.landing, *sides, f"{wait_s:.3f}")
        connection.send_packed_command(connection.pack_commands([("CLIENT", "ID"), move]), check_health=False)
        client_id = _answer(connection)
        if isinstance(client_id, int):
            nap.client_id = client_id
        return _answer(connection)

    def _refused(self, answer: ResponseError, wait_s: float) -> None:
        if kind_of(answer) == "full" or isinstance(answer, MovedError) or code_of(answer) == "WRONGTYPE":
            self._stopped.wait(min(wait_s, PAUSE_S))
        elif len(self._move) > 1 and ("unknown command" in str(answer) or kind_of(answer) == "denied"):
            # The older name of the same thing, for servers (and rights) that know only that.
            self._move = ("BRPOPLPUSH",)
        else:
            raise answer


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


_ALL: weakref.WeakSet[Sleeper] = weakref.WeakSet()


def _after_fork() -> None:
    for sleeper in list(_ALL):
        sleeper.forget_threads()


os.register_at_fork(after_in_child=_after_fork)
