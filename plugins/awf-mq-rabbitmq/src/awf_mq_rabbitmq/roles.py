"""What each queue is for, where all workers of a broker can see it. `backend.py` notes it, `settling.py` asks.

A reply goes to whatever queue a producer names, so it must not reach a queue whose messages are run, or that keeps
dead-lettered messages. No client can read the arguments of a queue. So an exchange with its name, bound to it,
says what it is for; the broker deletes it together with the queue. Nothing is published through it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from awf_core.errors import BrokerMisconfigured, Unroutable
from awf_mq_rabbitmq.channel import open_channel
from awf_mq_rabbitmq.names import is_direct, is_private_reply_queue, role_exchange

if TYPE_CHECKING:
    from awf_core.contract import Role
    from awf_mq_rabbitmq.connection import Connection

REFUSED: tuple[Role, ...] = ("work", "dead")
KNOWN_S = 5.0
"""How long an answer is relied on: a fleet that starts meanwhile is protected that much later."""
MOST_KNOWN = 1024

log = logging.getLogger("awf_mq_rabbitmq")


class Roles:
    """The roles of queues in one virtual host. Thread-safe."""

    def __init__(self, connection: Connection, *, may_declare: bool) -> None:
        self._connection = connection
        self._may_declare = may_declare
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[Role | None, float]] = OrderedDict()

    def note(self, queue: str, role: Role) -> None:
        """Note what `queue` is for; the latest note counts. Without the right to do that it logs a warning."""
        if not self._may_declare:
            return
        try:
            with open_channel(self._connection) as channel:
                for other in REFUSED:
                    if other != role:
                        channel.delete_exchange(role_exchange(queue, other))
                if role in REFUSED:
                    channel.bind_marker(role_exchange(queue, role), queue)
        except BrokerMisconfigured as error:
            log.warning("%s: other workers may publish results to %r: %s", self._connection.where, queue, error)
        with self._lock:
            self._known.pop(queue, None)

    def check(self, queue: str) -> None:
        """Raise Unroutable where no reply may go. Raises BrokerUnavailable."""
        if is_direct(queue) or is_private_reply_queue(queue):
            return
        role = self._role(queue)
        if role is not None:
            raise Unroutable(
                f"{self._connection.where}: no reply can be published to {queue!r}: it is a {role} queue",
                hint="reply_to has to name a queue for results; `awf queue ensure --role reply` makes one of it",
            )

    def _role(self, queue: str) -> Role | None:
        now = time.monotonic()
        with self._lock:
            role, until = self._known.get(queue, (None, 0.0))
        if until > now:
            return role
        role = self._read(queue)
        with self._lock:
            self._known[queue] = role, now + KNOWN_S
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return role

    def _read(self, queue: str) -> Role | None:
        for role in REFUSED:
            # A channel each: the broker closes it where there is no such exchange.
            try:
                with open_channel(self._connection) as channel:
                    if channel.has_exchange(role_exchange(queue, role)):
                        return role
            except BrokerMisconfigured:
                continue
        return None
