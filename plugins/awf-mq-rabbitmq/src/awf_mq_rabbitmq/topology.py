"""The queues: looking whether they are there, and declaring what is missing. Called by `backend.py` and the parts that
need a retry queue.

Never changes a queue that exists, and never declares one where `declare` forbids it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from awf_core.errors import BrokerError, QueueMissing
from awf_mq_rabbitmq.channel import open_channel
from awf_mq_rabbitmq.names import bad_queue_name, retry_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from awf_core.contract import Declare, Role
    from awf_mq_rabbitmq.link import Link
    from awf_mq_rabbitmq.settings import RabbitMqSettings

UNLIMITED = 1_000_000
"""A delivery limit that looking at letters won't reach. Never -1: before RabbitMQ 4 that drops at the first return."""

Arguments = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensured:
    """How a queue was asked for, to make it anew should it vanish."""

    role: Role
    dead_letter: str | None


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
    """What we declare a queue with that gives back to `queue` after `delay_ms`. Pure.

    No expiry of the queue itself: it would take the messages in it along.
    """
    if settings.queue_type == "classic":
        back: Arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}
    else:
        back = _dead_lettering(queue)
    return {"x-queue-type": settings.queue_type, "x-message-ttl": delay_ms, **back}


class Topology:
    """What queues there are, as far as we know. Thread-safe."""

    def __init__(
        self, link: Link, settings: RabbitMqSettings, declare: Declare, *, on_missing: Callable[[str], None]
    ) -> None:
        self._link = link
        self._settings = settings
        self._declare = declare
        self._on_missing = on_missing
        self._lock = threading.Lock()
        self._ensured: dict[str, Ensured] = {}
        self._retry_queues: set[str] = set()

    @property
    def may_declare(self) -> bool:
        """Whether a missing queue may be made."""
        return self._declare == "auto"

    def ensure(self, queue: str, role: Role, dead_letter: str | None) -> None:
        """See `awf_mq_ensure`. Raises QueueMissing, BrokerMisconfigured, Unroutable for a bad name."""
        for name in filter(None, (queue, dead_letter)):
            error = bad_queue_name(name, self._link.where)
            if error is not None:
                raise error
        if self._declare != "never":
            self._ensure(queue, queue_arguments(self._settings, role, dead_letter))
        if self._declare == "passive" and role == "work":
            self._look_for_retry_queues(queue)
        with self._lock:
            self._ensured[queue] = Ensured(role=role, dead_letter=dead_letter)

    def is_for_work(self, queue: str) -> bool:
        """Whether it was ensured as a queue whose messages are run."""
        known = self._ensured.get(queue)
        return known is not None and known.role == "work"

    def make_if_missing(self, queue: str) -> None:
        """A queue to put messages aside in: whatever is there will do."""
        if self._declare != "never":
            self._look_or_declare(queue, queue_arguments(self._settings, "dead", None))

    def recreate(self, queue: str) -> bool:
        """Make a queue anew that was ensured and has vanished; False where that may not or can't be."""
        known = self._ensured.get(queue)
        if known is None or not self.may_declare:
            return False
        self.ensure(queue, known.role, known.dead_letter)
        return True

    def retry_queue(self, queue: str, delay_ms: int) -> str:
        """The name of the queue that holds for `delay_ms`, which is there when this returns. Raises as `ensure`."""
        name = retry_queue(queue, delay_ms)
        if name not in self._retry_queues:
            error = bad_queue_name(name, self._link.where)
            if error is not None:
                raise error
            if self._declare != "never":
                self._ensure(name, retry_arguments(self._settings, queue, delay_ms))
            self._retry_queues.add(name)
        return name

    def forget(self, name: str) -> bool:
        """A retry queue turned out to be gone; whether it was believed to be there, and is worth another look."""
        if name not in self._retry_queues:
            return False
        self._retry_queues.discard(name)
        return True

    def is_known(self, name: str) -> bool:
        """Whether this retry queue was there when last needed."""
        return name in self._retry_queues

    def declare_expiring(self, queue: str, ttl_s: float) -> None:
        """A queue that goes away when nobody has used it for `ttl_s` seconds."""
        # Classic: a replicated one is much to ask for one answer. Durable: newer brokers refuse the other kind.
        arguments: Arguments = {"x-queue-type": "classic", "x-expires": max(1, round(ttl_s * 1000))}
        with open_channel(self._link) as channel:
            channel.declare(queue, arguments)

    def _ensure(self, queue: str, arguments: Mapping[str, object]) -> None:
        if self._settings.existing_queues == "compare" and self.may_declare:
            with open_channel(self._link) as channel:
                channel.declare(queue, arguments)
            return
        self._look_or_declare(queue, arguments)

    def _look_or_declare(self, queue: str, arguments: Mapping[str, object]) -> None:
        try:
            with open_channel(self._link) as channel:
                channel.count(queue)
        except QueueMissing as missing:
            self._on_missing(queue)
            if not self.may_declare:
                raise self._missing([queue], missing) from missing
            with open_channel(self._link) as channel:
                channel.declare(queue, arguments)

    def _look_for_retry_queues(self, queue: str) -> None:
        absent = []
        for delay_s in self._settings.delays_s:
            try:
                self.retry_queue(queue, round(delay_s * 1000))
            except QueueMissing:
                absent.append(retry_queue(queue, round(delay_s * 1000)))
        if absent:
            raise self._missing(absent, None)

    def _missing(self, queues: Sequence[str], error: BrokerError | None) -> QueueMissing:
        said = "" if error is None else f" ({error})"
        return QueueMissing(
            f"{self._link.where}: there is no queue {', '.join(map(repr, queues))}, and mq.declare is "
            f"{self._declare}{said}",
            hint="have somebody who may declare run `awf queue ensure` with mq.declare: auto; for retry queues, "
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
