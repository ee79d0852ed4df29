"""Which queue a message has to go through to come no earlier than it should. Called by `settling.py` and `backend.py`.

A delay is a stay in a queue whose messages all stay equally long, so that none holds up another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.errors import BrokerError, Unroutable
from awf_mq_rabbitmq.names import bucket_ms, is_direct, too_long
from awf_mq_rabbitmq.wire import header_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_mq_rabbitmq.publishing import Parcel, Publishing
    from awf_mq_rabbitmq.requesters import Requesters
    from awf_mq_rabbitmq.settings import RabbitMqSettings
    from awf_mq_rabbitmq.topology import Topology

    Made = tuple[Parcel | None, BrokerError | None]


class Delaying:
    """Finds and publishes through retry queues. Thread-safe."""

    def __init__(
        self, publishing: Publishing, topology: Topology, requesters: Requesters, settings: RabbitMqSettings
    ) -> None:
        self._requesters = requesters
        self._publishing = publishing
        self._topology = topology
        self._delays_s = settings.delays_s

    def way(self, queue: str, delay_s: float) -> str:
        """Where to publish for `queue` with that delay: itself, or a retry queue, made if need be. Raises errors."""
        if is_direct(queue):
            self._requesters.look(queue)
        elif delay_s > 0:
            return self._retry_queue(queue, delay_s)
        return queue

    def _retry_queue(self, queue: str, delay_s: float) -> str:
        delay_ms = bucket_ms(delay_s, self._delays_s)
        if delay_ms is None:
            raise too_long(delay_s, self._delays_s, self._publishing.link.where)
        return self._topology.retry_queue(queue, delay_ms)

    def publish(self, makes: Sequence[Callable[[], Parcel | BrokerError]]) -> list[Made]:
        """Publish what each of `makes` makes; what comes back from a retry queue that is gone is made once more."""
        made = [self._made(make) for make in makes]
        self._await(made)
        again = [
            index
            for index, (parcel, error) in enumerate(made)
            if isinstance(error, Unroutable) and parcel is not None and self._topology.forget(parcel.queue)
        ]
        for index in again:
            made[index] = self._made(makes[index])
        if again:
            self._await(made)
        return made

    def _made(self, make: Callable[[], Parcel | BrokerError]) -> Made:
        try:
            made = make()
        except BrokerError as error:
            return None, error
        if isinstance(made, BrokerError):
            return None, made
        unfit = None if made.is_sent else header_problem(made, self._publishing.link.where)
        return (made, None) if unfit is None else (None, unfit)

    def _await(self, made: list[Made]) -> None:
        parcels = [parcel for parcel, error in made if parcel is not None and error is None]
        if not parcels:
            return
        self._publishing.send([parcel for parcel in parcels if not parcel.is_sent])
        answers = dict(zip(map(id, parcels), self._publishing.await_all(parcels), strict=True))
        for index, (parcel, error) in enumerate(made):
            if parcel is not None and error is None:
                made[index] = (parcel, answers[id(parcel)])
