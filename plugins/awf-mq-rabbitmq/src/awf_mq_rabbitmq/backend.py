"""`mq.type: rabbitmq`: the hooks of the backend, and the parts between an open and a close, connected to each other.

Never decides about retries or dead-lettering; that is the engine's.
"""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from awf_core.contract import Ack, Capabilities, Delivery, Nack, Stats
from awf_core.hookspecs import hookimpl
from awf_mq_rabbitmq.consuming import Consuming
from awf_mq_rabbitmq.crash_evidence import CrashEvidence
from awf_mq_rabbitmq.failures import hold_warning
from awf_mq_rabbitmq.messages import delivery_of, outgoing, unsupported
from awf_mq_rabbitmq.moving import Moving
from awf_mq_rabbitmq.names import RESERVED
from awf_mq_rabbitmq.publishing import Publishing
from awf_mq_rabbitmq.replies import DirectReplies, DirectReply, ReplyProbe, new_reply_queue
from awf_mq_rabbitmq.roles import Roles
from awf_mq_rabbitmq.settings import RabbitMqSettings, Target, parse_url
from awf_mq_rabbitmq.settling import Answers, Settling
from awf_mq_rabbitmq.topology import Topology

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.contract import BackendContext, DeadLetter, Outgoing, Page, Role
    from awf_core.errors import BrokerError
    from awf_mq_rabbitmq.connection import Connection
    from awf_mq_rabbitmq.consumer_channel import UnackedDelivery
    from awf_mq_rabbitmq.early_ack import EarlyAck
    from awf_mq_rabbitmq.publishing import PendingPublish

log = logging.getLogger("awf_mq_rabbitmq")
T = TypeVar("T", Ack, Nack, Delivery)
NOTED_S = 0.5
"""How soon a copy comes back that was published to note a start; its queue was just consumed."""


class Backend:
    """Queues in RabbitMQ. Thread-safe; used after a fork, it connects anew on both sides."""

    api_version = 1
    Settings = RabbitMqSettings

    def __init__(self, settings: RabbitMqSettings, context: BackendContext) -> None:
        self.settings = settings
        self.capabilities = _capabilities(settings)
        self._context = context
        self._target = Target(
            settings=settings, address=parse_url(settings.url), worker=context.worker, directory=context.directory
        )
        self._parts: Parts | None = None

    @property
    def address(self) -> str:
        """Where the broker is, for the log: no account, no password."""
        return self._target.where

    @hookimpl
    def awf_mq_open(self) -> None:
        """Connect. The publishing connection is made at the first publish."""
        if self._parts is not None and self._parts.is_closed:
            self._parts = None
        parts = self._now()
        parts.consuming.open()
        parts.direct.restart()

    @hookimpl
    def awf_mq_close(self) -> None:
        """End waiting consumes and close all connections; the broker requeues what is not settled."""
        parts = self._parts
        if parts is not None and parts.pid == os.getpid():
            parts.close()

    @hookimpl
    def awf_mq_ensure(self, queue: str, role: Role, dead_letter: str | None) -> None:
        """Check for the queue, declare it where it is missing and may be declared, and check the right to publish."""
        parts = self._now()
        parts.topology.ensure(queue, role, dead_letter)
        parts.roles.note(queue, role)
        parts.publishing.check_rights()

    @hookimpl
    def awf_mq_consume(self, queue: str, limit: int, wait_s: float) -> Sequence[Delivery]:
        """Take up to `limit` messages of those the broker pushed."""
        parts = self._now()
        if parts.direct.owns(queue):
            return parts.direct.consume(queue, limit, wait_s)
        is_work = parts.topology.is_for_work(queue)
        if is_work and parts.early_ack is not None:
            parts.early_ack.prepare()
        taken = parts.take(queue, limit, wait_s)
        if is_work:
            parts.warn_once()
            if parts.early_ack is not None:
                taken = parts.early_ack.accept(taken)
        return [delivery_of(delivery, parts.evidence.crashes(delivery)) for delivery in taken]

    @hookimpl
    def awf_mq_interrupt(self) -> None:
        """End waiting consumes until the next open; the broker sends no more."""
        if self._parts is not None:
            self._parts.interrupt()

    @hookimpl
    def awf_mq_publish(self, messages: Sequence[Outgoing]) -> Sequence[BrokerError | None]:
        """Publish, confirmed."""
        publishing = self._now().publishing
        return publishing.publish([partial(self._outgoing, publishing, message) for message in messages])

    @hookimpl
    def awf_mq_ack(self, acks: Sequence[Ack]) -> Sequence[BrokerError | None]:
        """Publish the replies, confirmed, then acknowledge."""
        return _without_direct(acks, self._now().settling.ack)

    @hookimpl
    def awf_mq_nack(self, nacks: Sequence[Nack]) -> Sequence[BrokerError | None]:
        """Release, at once or after a delay."""
        parts = self._now()
        for nack in nacks:
            if isinstance(nack.delivery.receipt, DirectReply):
                parts.direct.release(nack.delivery.receipt)
        return _without_direct(nacks, parts.settling.nack)

    @hookimpl
    def awf_mq_dead_letter(self, dead_letters: Sequence[DeadLetter]) -> Sequence[BrokerError | None]:
        """Publish to the dead-letter queue, and the replies, confirmed, then acknowledge."""
        return self._now().settling.dead_letter(dead_letters)

    @hookimpl
    def awf_mq_extend(self, deliveries: Sequence[Delivery]) -> Sequence[BrokerError | None]:
        """LeaseLost for those whose channel is gone.

        A worker without free slots consumes nothing, so it checks journals here, and says here what it has lost.
        """
        parts = self._now()
        if parts.early_ack is not None:
            parts.early_ack.put_back_abandoned()
        parts.pay_evidence()
        return _without_direct(deliveries, parts.settling.extend)

    @hookimpl
    def awf_mq_stats(self, queue: str) -> Stats:
        """Count what is ready and delayed."""
        return self._now().moving.stats(queue)

    @hookimpl
    def awf_mq_browse(self, queue: str, limit: int, after: str | None) -> Page:
        """A page of what is ready. On quorum queues this changes the order."""
        return self._now().moving.browse(queue, limit, after)

    @hookimpl
    def awf_mq_move(self, source: str, target: str, ids: Sequence[str] | None, limit: int | None) -> int:
        """Move what is ready."""
        return self._now().moving.move(source, target, ids, limit)

    @hookimpl
    def awf_mq_purge(self, queue: str) -> int:
        """Remove what is ready."""
        return self._now().moving.purge(queue)

    @hookimpl
    def awf_mq_reply_queue(self, ttl_s: float) -> str:
        """A queue that the broker deletes when it was unused for `ttl_s`, or a direct reply address."""
        parts, wanted = self._now(), self.settings.private_replies
        if wanted == "direct" or (wanted == "auto" and not parts.topology.may_declare):
            return parts.direct.new_address()
        name = new_reply_queue()
        parts.topology.declare_expiring(name, ttl_s)
        return name

    def _now(self) -> Parts:
        """The parts of this process: after a fork new ones, after a close the closed ones, which raise."""
        if self._parts is None or self._parts.pid != os.getpid():
            self._parts = Parts(self._target, self._context)
        return self._parts

    def _outgoing(self, publishing: Publishing, message: Outgoing) -> PendingPublish:
        problem = unsupported(message, self._target.where)
        if problem is not None:
            raise problem
        queue = publishing.route(message.queue, message.delay_s)
        return outgoing(message, queue=queue, expires_s=message.expires_s)


class Parts:
    """The connections and what uses them. Belongs to one process; connects when it is opened or used. Thread-safe."""

    def __init__(self, target: Target, context: BackendContext) -> None:
        settings = target.settings
        self.pid = os.getpid()
        self.is_closed = False
        self._target = target
        self._longest_run_s = context.max_run_s
        self._has_warned = False
        self._probe = ReplyProbe(target)
        self.consuming = Consuming(
            target,
            is_publishing_blocked=lambda: self.publishing.connection.is_blocked,
            evidence=lambda: self.evidence,
        )
        connection = self.consuming.connection
        self.topology = Topology(connection, settings, context.declare, on_missing=self.consuming.renew)
        self.publishing = Publishing(target, self.topology, self._probe)
        self.roles = Roles(connection, may_declare=self.topology.may_declare)
        self.settling, self.early_ack = _settling(target, context, connection, self.publishing, self.roles)
        self.evidence = CrashEvidence(
            connection, self.publishing, self.topology, is_classic=settings.queue_type == "classic"
        )
        self.moving = Moving(connection, self.publishing, self.topology, settings, self.evidence)
        self.direct = DirectReplies(self.publishing.connection)

    def take(self, queue: str, limit: int, wait_s: float) -> list[UnackedDelivery]:
        """Up to `limit` messages that may run. One whose start had to be noted first is waited for."""
        end = time.monotonic() + wait_s
        self.pay_evidence()
        while True:
            taken = self.consuming.consume(queue, limit, wait_s, self.topology.recreate)
            ready = self.evidence.sort_out(taken, self.settling)
            if ready or not taken:
                return ready
            wait_s = max(NOTED_S, end - time.monotonic())

    def pay_evidence(self) -> None:
        """Publish that we live after deliveries were lost."""
        if self.consuming.connection.is_ready and not self.publishing.connection.is_blocked:
            self.evidence.pay()

    def interrupt(self) -> None:
        """End waiting calls and the later ones."""
        self.direct.stop()
        self.consuming.interrupt()

    def close(self) -> None:
        """End waiting calls, then the connections."""
        self.is_closed = True
        self.interrupt()
        if self.early_ack is not None:
            self.early_ack.close()
        self.evidence.unread([held for held in self.consuming.held() if not held.is_settled])
        self.pay_evidence()
        self.publishing.connection.close()
        self._probe.close()
        self.consuming.close()

    def warn_once(self) -> None:
        """Warn of a broker that may redeliver a message during its run."""
        if self._has_warned or self._target.settings.ack == "on_accept":
            return
        self._has_warned = True
        version = self.consuming.connection.server_version
        warning = hold_warning(version, self._target.settings, self._longest_run_s, self._target.where)
        if warning is not None:
            log.warning(warning)


def _settling(
    target: Target, context: BackendContext, connection: Connection, publishing: Publishing, roles: Roles
) -> tuple[Settling, EarlyAck | None]:
    """The part that settles, and the same again where it may acknowledge before."""
    arguments = (connection, publishing, roles, context.clock, context.reply_ttl_s)
    directory, is_on = target.path(target.settings.journal), target.settings.ack == "on_accept"
    if not is_on and not directory.is_dir():
        return Settling(*arguments), None
    from awf_mq_rabbitmq.early_ack import EarlyAck

    early_ack = EarlyAck(*arguments, directory=directory, is_on=is_on)
    return early_ack, early_ack


def _without_direct(items: Sequence[T], settle: Callable[[Sequence[T]], Answers]) -> Answers:
    """The answers of `settle`; None for direct replies, which the broker doesn't have any more."""
    is_direct = [isinstance(_delivery(item).receipt, DirectReply) for item in items]
    answers = iter(settle([item for item, direct in zip(items, is_direct, strict=True) if not direct]))
    return [None if direct else next(answers) for direct in is_direct]


def _delivery(item: Ack | Nack | Delivery) -> Delivery:
    return item if isinstance(item, Delivery) else item.delivery


def _capabilities(settings: RabbitMqSettings) -> Capabilities:
    return Capabilities(
        lease_s=None,
        max_hold_s=None if settings.ack == "on_accept" else settings.consumer_timeout_s,
        max_publish_delay_s=settings.delays_s[-1],
        max_nack_delay_s=settings.delays_s[-1],
        max_body_bytes=settings.max_body_bytes,
        reserved_names=RESERVED,
        batch=200,
        # A reply is published before the broker can refuse the acknowledgement.
        fenced=False,
        attempts="exact" if settings.queue_type == "quorum" else "approximate",
        crashes="noted",
        headers=True,
        temporary_reply=True,
        # To browse requeues messages, which quorum queues reorder and count, and classic ones mark.
        browse_exact=False,
        interrupt_s=0.5,
        ordered=True,
    )
