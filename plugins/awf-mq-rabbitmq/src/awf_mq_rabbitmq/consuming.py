"""Takes messages of queues: as many as callers wait for, and no more. `backend.py` calls `Consuming`; each queue has a
`QueueConsumer`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from awf_core.errors import QueueMissing
from awf_mq_rabbitmq.connection import Connection
from awf_mq_rabbitmq.queue_consumer import QueueConsumer

if TYPE_CHECKING:
    from collections.abc import Callable

    from awf_core.errors import BrokerError
    from awf_mq_rabbitmq.consumer_channel import UnackedDelivery
    from awf_mq_rabbitmq.crash_evidence import CrashEvidence
    from awf_mq_rabbitmq.settings import Target


class Consuming:
    """The consuming connection and a consumer for each queue. Thread-safe.

    `is_publishing_blocked()` says whether results can't go out now; then no more is taken than is in work. `evidence()`
    hears of deliveries that go back without being settled.
    """

    def __init__(
        self, target: Target, *, is_publishing_blocked: Callable[[], bool], evidence: Callable[[], CrashEvidence]
    ) -> None:
        self._target = target
        self._is_publishing_blocked = is_publishing_blocked
        self._evidence = evidence
        self._lock = threading.Lock()
        self._consumers: dict[str, QueueConsumer] = {}
        self._is_stopped = False
        self.connection = Connection(target, "consuming", self)

    def open(self) -> None:
        """Connect, and let calls wait again. Raises the contract's errors."""
        self.connection.ensure_ready()
        self._is_stopped = False
        for consumer in self._all():
            consumer.restart()

    def interrupt(self) -> None:
        """End waiting calls and the later ones, until the next open."""
        self._is_stopped = True
        for consumer in self._all():
            consumer.stop()

    def close(self) -> None:
        """End waiting calls, then the connection; the broker requeues what is not acknowledged."""
        self.interrupt()
        self.connection.close()

    def consume(self, queue: str, limit: int, wait_s: float, recreate: Callable[[str], bool]) -> list[UnackedDelivery]:
        """Up to `limit` messages of `queue`. `recreate(queue)` declares a queue that vanished, if it may."""
        if self._is_stopped:
            return []
        self.connection.ensure_ready()
        consumer = self._consumer(queue)
        try:
            taken = consumer.consume(limit, wait_s)
        except QueueMissing:
            if not recreate(queue):
                raise
            taken = consumer.consume(limit, wait_s)
        return taken

    def held(self) -> list[UnackedDelivery]:
        """What was delivered and is not settled."""
        channels = [channel for consumer in self._all() for channel in consumer.channels]
        return [delivery for channel in channels for delivery in list(channel.unacked.values())]

    def renew(self, queue: str) -> None:
        """The queue vanished: its consumer starts anew."""
        consumer = self._consumers.get(queue)
        if consumer is not None:
            consumer.renew()

    def connection_opened(self, _amqp: Any) -> None:
        """See `connection.Owner`. Channels are opened when they are needed."""
        self.connection.mark_ready()

    def connection_lost(self, error: BrokerError) -> None:
        """See `connection.Owner`."""
        for consumer in self._all():
            consumer.connection_lost(error)

    def _all(self) -> list[QueueConsumer]:
        with self._lock:
            return list(self._consumers.values())

    def _consumer(self, queue: str) -> QueueConsumer:
        with self._lock:
            if queue not in self._consumers:
                timeout_s = self._target.settings.consumer_timeout_s
                self._consumers[queue] = QueueConsumer(
                    self.connection,
                    queue,
                    timeout_s=timeout_s,
                    is_publishing_blocked=self._is_publishing_blocked,
                    evidence=self._evidence(),
                )
            return self._consumers[queue]
