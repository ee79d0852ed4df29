"""The queues: checks whether they are there, and declares what is missing. `backend.py`, `publishing.py` and
`moving.py` call it.

Never changes a queue that exists, and never declares one where `declare` forbids it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from awf_core.errors import BrokerError, QueueMissing, Unroutable
from awf_core.units import span_ms
from awf_mq_rabbitmq.channel import open_channel
from awf_mq_rabbitmq.names import retry_queue
from awf_mq_rabbitmq.properties import is_short

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from awf_core.contract import Declare, Role
    from awf_mq_rabbitmq.connection import Connection
    from awf_mq_rabbitmq.settings import RabbitMqSettings

UNLIMITED = 1_000_000
"""A delivery limit that browsing won't reach. Never -1: before RabbitMQ 4 that drops a message at its first requeue."""

Arguments = dict[str, object]


def queue_arguments(settings: RabbitMqSettings, role: Role, dead_letter: str | None) -> Arguments:
    """What we declare a queue with. Pure."""
    if settings.queue_type == "classic":
        return {"x-queue-type": "classic"}
    arguments: Arguments = {"x-queue-type": "quorum", "x-delivery-limit": UNLIMITED}
    if role == "work":
        arguments["x-delivery-limit"] = settings.delivery_limit
        arguments["x-consumer-timeout"] = round(settings.consumer_timeout_s * 1000)
        if dead_letter is not None:
            arguments |= _dead_lettering(dead_letter)
    return arguments


def retry_arguments(settings: RabbitMqSettings, queue: str, delay_ms: int) -> Arguments:
    """What we declare the retry queue of `queue` with, in which messages wait for `delay_ms`. Pure.

    The queue itself has no expiry: the broker would delete it with its messages.
    """
    if settings.queue_type == "classic":
        back: Arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}
    else:
        back = _dead_lettering(queue)
    return {"x-queue-type": settings.queue_type, "x-message-ttl": delay_ms, **back}


class Topology:
    """What queues there are, as far as this process knows. Thread-safe."""

    def __init__(
        self, connection: Connection, settings: RabbitMqSettings, declare: Declare, *, on_missing: Callable[[str], None]
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._declare = declare
        self._on_missing = on_missing
        self._lock = threading.Lock()
        self._ensured: dict[str, tuple[Role, str | None]] = {}
        self._retry_queues: set[str] = set()

    @property
    def may_declare(self) -> bool:
        """Whether a missing queue may be made."""
        return self._declare == "auto"

    def ensure(self, queue: str, role: Role, dead_letter: str | None) -> None:
        """See `awf_mq_ensure`. Raises QueueMissing, BrokerMisconfigured."""
        if self._declare != "never":
            self._ensure(queue, queue_arguments(self._settings, role, dead_letter))
        if self._declare == "passive" and role == "work":
            self._check_retry_queues(queue)
        with self._lock:
            self._ensured[queue] = (role, dead_letter)

    def is_for_work(self, queue: str) -> bool:
        """Whether it was ensured as a queue whose messages are run."""
        return self._ensured.get(queue, ("reply", None))[0] == "work"

    def declare_if_missing(self, queue: str) -> None:
        """Declare a queue for messages that are moved aside, unless there is one, of whatever kind."""
        if self._declare != "never":
            self._check_or_declare(queue, queue_arguments(self._settings, "dead", None))

    def recreate(self, queue: str) -> bool:
        """Declare again a queue that was ensured and has vanished; False where that may not or can't be."""
        known = self._ensured.get(queue)
        if known is None or not self.may_declare:
            return False
        self.ensure(queue, *known)
        return True

    def ensure_retry_queue(self, queue: str, delay_ms: int) -> str:
        """The name of the queue in which messages wait for `delay_ms`; it is there when this returns.

        Raises as `ensure`, and Unroutable where the name gets too long.
        """
        name = retry_queue(queue, delay_ms)
        if name not in self._retry_queues:
            if not is_short(name):
                raise Unroutable(
                    f"{self._connection.where}: a message for {queue[:80]!r} can't be delayed: the name of its retry "
                    "queue would be too long",
                    hint="use a shorter name for the queue",
                )
            if self._declare != "never":
                self._ensure(name, retry_arguments(self._settings, queue, delay_ms))
            self._retry_queues.add(name)
        return name

    def forget_retry_queue(self, name: str) -> bool:
        """A retry queue turned out to be gone; whether it was known before, and is worth declaring again."""
        if name not in self._retry_queues:
            return False
        self._retry_queues.discard(name)
        return True

    def is_known_retry_queue(self, name: str) -> bool:
        """Whether this retry queue was there when last needed."""
        return name in self._retry_queues

    def declare_expiring(self, queue: str, ttl_s: float) -> None:
        """Declare a queue that the broker deletes when it was unused for `ttl_s` seconds."""
        # Classic: a replicated one is too expensive for one reply. Durable: newer brokers refuse transient ones.
        arguments: Arguments = {"x-queue-type": "classic", "x-expires": max(1, span_ms(ttl_s))}
        with open_channel(self._connection) as channel:
            channel.declare(queue, arguments)

    def _ensure(self, queue: str, arguments: Mapping[str, object]) -> None:
        if self._settings.existing_queues == "compare" and self.may_declare:
            with open_channel(self._connection) as channel:
                channel.declare(queue, arguments)
            return
        self._check_or_declare(queue, arguments)

    def _check_or_declare(self, queue: str, arguments: Mapping[str, object]) -> None:
        try:
            with open_channel(self._connection) as channel:
                channel.count(queue)
        except QueueMissing as missing:
            self._on_missing(queue)
            if not self.may_declare:
                raise self._missing([queue], missing) from missing
            with open_channel(self._connection) as channel:
                channel.declare(queue, arguments)

    def _check_retry_queues(self, queue: str) -> None:
        absent = []
        for delay_s in self._settings.delays_s:
            try:
                self.ensure_retry_queue(queue, round(delay_s * 1000))
            except QueueMissing:
                absent.append(retry_queue(queue, round(delay_s * 1000)))
        if absent:
            raise self._missing(absent, None)

    def _missing(self, queues: Sequence[str], error: BrokerError | None) -> QueueMissing:
        said = "" if error is None else f" ({error})"
        return QueueMissing(
            f"{self._connection.where}: there is no queue {', '.join(map(repr, queues))}, and mq.declare is "
            f"{self._declare}{said}",
            hint="run `awf queue ensure` with mq.declare: auto as a user that may declare; for retry queues, "
            "mq.rabbitmq.delays says which there have to be",
        )


def _dead_lettering(queue: str) -> Arguments:
    return {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue,
        # Copied before it is removed; works only together with refusing what doesn't fit.
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
