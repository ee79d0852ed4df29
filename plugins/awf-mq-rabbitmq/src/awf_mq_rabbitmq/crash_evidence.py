"""How many workers a message has taken down, as far as that can be known. `backend.py` passes what is delivered
through here.

The broker counts how often it took a message back, which crashes, releases and lost connections raise alike. So from
some returns on a start is noted before it happens: a copy that says so goes back to the queue, and is what runs. Who
ends its run takes the start back (`settling.py`). Who lives on after the delivery was lost leaves a notice in a queue
of that message, which expires by itself. Starts without either are crashes. Never gives a verdict.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, Any

import pika

from awf_core.errors import BrokerError, BrokerMisconfigured, QueueMissing
from awf_mq_rabbitmq.channel import open_channel
from awf_mq_rabbitmq.headers import COUNTED_BY_BROKER, read_counts, returns_of
from awf_mq_rabbitmq.messages import PERSISTENT, noted_copy
from awf_mq_rabbitmq.names import alive_queue
from awf_mq_rabbitmq.properties import is_short
from awf_mq_rabbitmq.publishing import PendingPublish

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from awf_mq_rabbitmq.connection import Connection
    from awf_mq_rabbitmq.consumer_channel import UnackedDelivery
    from awf_mq_rabbitmq.messages import Received
    from awf_mq_rabbitmq.publishing import Publishing
    from awf_mq_rabbitmq.settling import Settling
    from awf_mq_rabbitmq.topology import Topology

SUSPECT_AFTER = 4
"""So often may the broker take a message back before its starts are noted."""
REFRESH_AFTER = 15
"""A message of our own that came back so often is copied too: queues that others declared may have a limit of 20."""
NOTICES_S = 86_400.0
MOST_ORPHANS = 2_000

Fingerprint = tuple[str, str | None, bytes]
log = logging.getLogger("awf_mq_rabbitmq")


class CrashEvidence:
    """Notes starts and reads what was noted. Thread-safe; `lost` and `unread` wait for nothing."""

    def __init__(self, connection: Connection, publishing: Publishing, topology: Topology, *, is_classic: bool) -> None:
        self._connection = connection
        self._publishing = publishing
        self._topology = topology
        self._lock = threading.Lock()
        self._orphans: deque[tuple[Fingerprint, dict[object, Any]]] = deque(maxlen=MOST_ORPHANS)
        self._owed: Counter[tuple[str, str]] = Counter()
        self._is_classic = is_classic
        self._uncounted: set[str] = set()

    def lost(self, deliveries: Iterable[UnackedDelivery]) -> None:
        """The channel of these is gone, and we live: no crashes, and they may come back to us."""
        ours = [delivery for delivery in deliveries if not delivery.is_settled]
        with self._lock:
            self._orphans.extend((_fingerprint(each), each.published) for each in ours)
        self.unread(ours)

    def unread(self, received: Iterable[Received]) -> None:
        """These go back to the queue without a start, or without the end of it."""
        for each in received:
            if each.is_start_noted and not each.is_excused:
                each.is_excused = True
                with self._lock:
                    self._owed[each.queue, str(read_counts(each.headers).key)] += 1

    def pay(self) -> None:
        """Publish the notices that are due. What can't be published now stays due. Never raises."""
        if not self._owed:
            return
        with self._lock:
            owed, self._owed = self._owed, Counter()
        for (queue, key), count in owed.items():
            try:
                self._notify(queue, key, count)
            except BrokerMisconfigured as error:
                log.warning("%s: a lost delivery of %r may count as a crash: %s", self._connection.where, queue, error)
            except BrokerError:
                with self._lock:
                    self._owed[queue, key] += count

    def sort_out(self, taken: Sequence[UnackedDelivery], settling: Settling) -> list[UnackedDelivery]:
        """Those of `taken` that may run now. The others were replaced by copies on which their start is noted."""
        suspects = [delivery for delivery in taken if self._is_to_be_noted(delivery)]
        if not suspects:
            return list(taken)
        answers = self._publishing.publish([partial(noted_copy, delivery) for delivery in suspects])
        replaced = [delivery for delivery, answer in zip(suspects, answers, strict=True) if answer is None]
        settling.acknowledge(replaced)
        gone = set(replaced)
        return [delivery for delivery in taken if delivery not in gone]

    def crashes(self, received: Received) -> int:
        """How many starts before this one have no end that is known; none where that can't be found out now."""
        counts = read_counts(received.headers)
        before = counts.starts - received.is_start_noted
        if counts.key is None or before <= 0:
            return 0
        try:
            return max(0, before - self._notices(received.queue, counts.key))
        except BrokerError as error:
            log.warning("%s: how often workers died of a message is unknown: %s", self._connection.where, error)
            return 0

    def _is_to_be_noted(self, delivery: UnackedDelivery) -> bool:
        counts, is_counted = read_counts(delivery.headers), self._is_counted(delivery)
        if not delivery.is_redelivered:
            return counts.key is not None and not counts.is_noted
        is_own, returns = self._was_own(delivery), returns_of(delivery.headers)
        # A classic queue says that a message came back, and not how often.
        is_suspect = counts.key is not None or returns >= SUSPECT_AFTER or not is_counted
        # A copy goes to the queue's end. The run of one of our own waits for it, and not for long.
        return is_suspect and not (is_own and returns < REFRESH_AFTER)

    def _is_counted(self, delivery: UnackedDelivery) -> bool:
        """Whether the broker counts the returns of this queue's messages, so that its header is not the producer's.

        A quorum queue sets the header on every delivery, in place of one that the producer wrote; a classic queue never
        does.
        """
        if COUNTED_BY_BROKER not in delivery.headers:
            self._uncounted.add(delivery.queue)
        return not self._is_classic and delivery.queue not in self._uncounted

    def _was_own(self, delivery: UnackedDelivery) -> bool:
        if not self._orphans:
            return False
        fingerprint = _fingerprint(delivery)
        with self._lock:
            found = next((orphan for orphan in self._orphans if orphan[0] == fingerprint), None)
            if found is None:
                return False
            self._orphans.remove(found)
        # A settlement that was cut off goes on with this delivery, and publishes nothing twice.
        delivery.published = found[1]
        return True

    def _notify(self, queue: str, key: str, count: int) -> None:
        name = alive_queue(queue, key)
        if not self._topology.may_declare or not is_short(name):
            return
        self._topology.declare_expiring(name, NOTICES_S)
        properties = pika.BasicProperties(delivery_mode=PERSISTENT)
        notices = [PendingPublish(queue=name, properties=properties, body=b"") for _ in range(count)]
        answers = self._publishing.publish([partial(_same, notice) for notice in notices])
        failed = [answer for answer in answers if answer is not None]
        if failed:
            with self._lock:
                self._owed[queue, key] += len(failed)

    def _notices(self, queue: str, key: str) -> int:
        """How many starts of a message were lost by workers that live, with those that are not published yet."""
        name = alive_queue(queue, key)
        try:
            with open_channel(self._connection) as channel:
                published = channel.count(name) if is_short(name) else 0
        except QueueMissing:
            published = 0
        return published + self._owed[queue, key]


def _same(pending: PendingPublish) -> PendingPublish:
    return pending


def _fingerprint(received: Received) -> Fingerprint:
    """Messages that are alike in it are as good as each other."""
    return received.queue, received.message_id, hashlib.blake2b(received.body, digest_size=16).digest()
