"""Put messages into the queue file, a call in one transaction. Called by `backend.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.backends.sqlite.outgoing import insert, problem
from awf_core.errors import BrokerError, BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.backends.sqlite.connection import Connections
    from awf_core.backends.sqlite.sweep import Sweeper
    from awf_core.backends.sqlite.wait import Waker
    from awf_core.backends.sqlite.wallclock import WallClock
    from awf_core.contract import Outgoing


class Publishing:
    """Publishes into one queue file. Thread-safe."""

    def __init__(self, connections: Connections, clock: WallClock, waker: Waker, sweeper: Sweeper) -> None:
        self._connections = connections
        self._clock = clock
        self._waker = waker
        self._sweeper = sweeper

    def publish(self, messages: Sequence[Outgoing]) -> list[BrokerError | None]:
        """Store what can be stored; the rest gets its error. Raises when nothing was stored."""
        now_ms = self._clock.now_ms()
        answers = [problem(message, self._connections.path, now_ms) for message in messages]
        good = [message for message, answer in zip(messages, answers, strict=True) if answer is None]
        try:
            self._store(good)
        except BrokerUnavailable as error:
            if not error.in_doubt:
                raise
            return [answer or error for answer in answers]
        self._waker.notify()
        return answers

    def _store(self, messages: Sequence[Outgoing]) -> None:
        if messages:
            with self._connections.writing("publish") as connection:
                now_ms = self._clock.now_ms()
                insert(connection, messages, now_ms)
                self._sweeper.sweep(connection, now_ms)
