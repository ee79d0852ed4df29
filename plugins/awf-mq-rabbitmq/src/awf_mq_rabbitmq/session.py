"""What there is between an open and a close: the two connections and the parts that use them. Made by `backend.py`.

Belongs to one process; nothing is connected before it is opened or used.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from awf_mq_rabbitmq.accepting import Accepting
from awf_mq_rabbitmq.checks import hold_warning
from awf_mq_rabbitmq.consuming import Consuming
from awf_mq_rabbitmq.delaying import Delaying
from awf_mq_rabbitmq.headers import COUNTED_BY_BROKER
from awf_mq_rabbitmq.operating import Operating
from awf_mq_rabbitmq.publishing import Parcel, Publishing
from awf_mq_rabbitmq.replies import Answer, DirectReplies, new_queue_name
from awf_mq_rabbitmq.requesters import Requesters
from awf_mq_rabbitmq.settling import Settling
from awf_mq_rabbitmq.topology import Topology
from awf_mq_rabbitmq.wire import delivery_of, outgoing_parcel, problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import Ack, BackendContext, Delivery, Nack, Outgoing
    from awf_core.errors import BrokerError
    from awf_mq_rabbitmq.lane import Held
    from awf_mq_rabbitmq.parameters import Target

log = logging.getLogger("awf_mq_rabbitmq")


class Session:
    """The parts, wired. Thread-safe."""

    def __init__(self, target: Target, context: BackendContext) -> None:
        settings = target.settings
        self.pid = os.getpid()
        self.is_closed = False
        self._is_looked_at = False
        self._longest_run_s = context.max_run_s
        self._target = target
        self._clock = context.clock
        self._publishing = Publishing(target)
        self._consuming = Consuming(target, is_held_back=lambda: self._publishing.is_blocked)
        self.topology = Topology(self._consuming.link, settings, context.declare, on_missing=self._consuming.renew)
        self._requesters = Requesters(target)
        self._delaying = Delaying(self._publishing, self.topology, self._requesters, settings)
        self._accepting = Accepting(
            Path(target.directory) / Path(settings.journal).expanduser(),
            self._consuming,
            self._publishing,
            where=target.where,
            is_on=settings.ack == "on_accept",
        )
        self.settling = Settling(
            self._consuming,
            self._delaying,
            context.clock,
            where=target.where,
            max_body_bytes=settings.max_body_bytes,
            reply_ttl_s=context.reply_ttl_s,
            end=self._accepting.end,
        )
        self.operating = Operating(self._consuming.link, self._publishing, self.topology, settings)
        self._direct = DirectReplies(self._publishing.link)

    def open(self) -> None:
        """Connect. Raises the contract's errors."""
        self._consuming.open()
        self._direct.restart()

    def close(self) -> None:
        """End waiting calls, then both connections."""
        self.is_closed = True
        self.interrupt()
        self._accepting.close()
        self._publishing.close()
        self._requesters.close()
        self._consuming.close()

    def interrupt(self) -> None:
        """End waiting calls and the later ones."""
        self._direct.stop()
        self._consuming.interrupt()

    def consume(self, queue: str, limit: int, wait_s: float) -> list[Delivery]:
        """See `awf_mq_consume`."""
        if self._direct.owns(queue):
            return self._direct.consume(queue, limit, wait_s)
        if self.topology.is_for_work(queue):
            return [delivery_of(held) for held in self._accepting.accept(self._take_work(queue, limit, wait_s))]
        return [delivery_of(held) for held in self._take(queue, limit, wait_s)]

    def publish(self, messages: Sequence[Outgoing]) -> list[BrokerError | None]:
        """See `awf_mq_publish`."""
        makes = [partial(self._parcel, message) for message in messages]
        return [error for _, error in self._delaying.publish(makes)]

    def extend(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """See `awf_mq_extend`. A worker with no free hand consumes nothing, so it looks around here."""
        self._accepting.look_around()
        return self.settling.extend(deliveries)

    def ack(self, acks: Sequence[Ack]) -> list[BrokerError | None]:
        """See `awf_mq_ack`. Answers by direct reply-to are the broker's past already."""
        real = [ack for ack in acks if not isinstance(ack.delivery.receipt, Answer)]
        answers = iter(self.settling.ack(real))
        return [None if isinstance(ack.delivery.receipt, Answer) else next(answers) for ack in acks]

    def nack(self, nacks: Sequence[Nack]) -> list[BrokerError | None]:
        """See `awf_mq_nack`."""
        for nack in nacks:
            if isinstance(nack.delivery.receipt, Answer):
                self._direct.give_back(nack.delivery.receipt)
        real = [nack for nack in nacks if not isinstance(nack.delivery.receipt, Answer)]
        answers = iter(self.settling.nack(real))
        return [None if isinstance(nack.delivery.receipt, Answer) else next(answers) for nack in nacks]

    def reply_queue(self, ttl_s: float) -> str:
        """See `awf_mq_reply_queue`."""
        wanted = self._target.settings.private_replies
        if wanted == "direct" or (wanted == "auto" and not self.topology.may_declare):
            return self._direct.new_address()
        name = new_queue_name()
        self.topology.declare_expiring(name, ttl_s)
        return name

    def _take(self, queue: str, limit: int, wait_s: float) -> list[Held]:
        helds = self._consuming.consume(queue, limit, wait_s, self.topology.recreate)
        now_s = self._clock.now()
        for held in helds:
            held.seen_at_s = now_s
        return [held for held in helds if not self._was_recounted(held)]

    def _take_work(self, queue: str, limit: int, wait_s: float) -> list[Held]:
        self._accepting.prepare()
        helds = self._take(queue, limit, wait_s)
        if not self._is_looked_at:
            self._is_looked_at = True
            self._look_at_broker()
        return helds

    def _look_at_broker(self) -> None:
        if self._target.settings.ack == "on_accept":
            return
        version = self._consuming.link.server_version
        warning = hold_warning(version, self._target.settings, self._longest_run_s, self._target.where)
        if warning is not None:
            log.warning(warning)

    def _parcel(self, message: Outgoing) -> Parcel | BrokerError:
        error = problem(message, max_body_bytes=self._target.settings.max_body_bytes, where=self._target.where)
        if error is not None:
            return error
        queue = self._delaying.way(message.queue, message.delay_s)
        return outgoing_parcel(message, expires_s=message.expires_s, queue=queue)

    def _was_recounted(self, held: Held) -> bool:
        """Whether a message that a classic queue handed out before was put back with that written on it.

        Else one that takes its worker down would come again for ever, looking as if it came for the second time.
        """
        if not held.is_redelivered or COUNTED_BY_BROKER in (held.properties.headers or {}):
            return False
        return self.settling.recount(held)
