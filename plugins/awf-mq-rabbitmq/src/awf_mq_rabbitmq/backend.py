"""`mq.type: rabbitmq`: RabbitMQ as a backend. The plugin manager calls the hooks; each goes to the part it names.

Never decides about retries or dead letters; that is the engine's.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from awf_core.contract import Capabilities, Stats
from awf_core.hookspecs import hookimpl
from awf_mq_rabbitmq.parameters import target_of
from awf_mq_rabbitmq.session import Session
from awf_mq_rabbitmq.settings import RabbitMqSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import Ack, BackendContext, DeadLetter, Delivery, Nack, Outgoing, Page, Role
    from awf_core.errors import BrokerError


class Backend:
    """Queues in RabbitMQ. Thread-safe; used after a fork, it connects anew on both sides."""

    api_version = 1
    Settings = RabbitMqSettings

    def __init__(self, settings: RabbitMqSettings, context: BackendContext) -> None:
        self.settings = settings
        self.capabilities = _capabilities(settings)
        self._context = context
        self._target = target_of(settings, worker=context.worker, directory=context.directory)
        self._session: Session | None = None

    @property
    def address(self) -> str:
        """Where the broker is, for the log: no account, no password."""
        return self._target.where

    @hookimpl
    def awf_mq_open(self) -> None:
        """Connect. The publishing connection is made at the first publish."""
        if self._session is not None and self._session.is_closed:
            self._session = None
        self._now().open()

    @hookimpl
    def awf_mq_close(self) -> None:
        """End waiting consumes and close both connections; what is held goes back."""
        session = self._session
        if session is not None and session.pid == os.getpid():
            session.close()

    @hookimpl
    def awf_mq_ensure(self, queue: str, role: Role, dead_letter: str | None) -> None:
        """Look for the queue; declare it where it is missing and may be made."""
        self._now().topology.ensure(queue, role, dead_letter)

    @hookimpl
    def awf_mq_consume(self, queue: str, limit: int, wait_s: float) -> Sequence[Delivery]:
        """Take up to `limit` messages of those the broker pushed."""
        return self._now().consume(queue, limit, wait_s)

    @hookimpl
    def awf_mq_interrupt(self) -> None:
        """End waiting consumes until the next open; the broker sends no more."""
        if self._session is not None:
            self._session.interrupt()

    @hookimpl
    def awf_mq_publish(self, messages: Sequence[Outgoing]) -> Sequence[BrokerError | None]:
        """Publish, confirmed."""
        return self._now().publish(messages)

    @hookimpl
    def awf_mq_ack(self, acks: Sequence[Ack]) -> Sequence[BrokerError | None]:
        """Replies out and confirmed, then acknowledge."""
        return self._now().ack(acks)

    @hookimpl
    def awf_mq_nack(self, nacks: Sequence[Nack]) -> Sequence[BrokerError | None]:
        """Give back."""
        return self._now().nack(nacks)

    @hookimpl
    def awf_mq_dead_letter(self, dead_letters: Sequence[DeadLetter]) -> Sequence[BrokerError | None]:
        """Letters and replies out and confirmed, then acknowledge."""
        return self._now().settling.dead_letter(dead_letters)

    @hookimpl
    def awf_mq_extend(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Those whose channel is gone."""
        return self._now().extend(deliveries)

    @hookimpl
    def awf_mq_stats(self, queue: str) -> Stats:
        """Count what is ready and delayed."""
        return self._now().operating.stats(queue)

    @hookimpl
    def awf_mq_browse(self, queue: str, limit: int, after: str | None) -> Page:
        """Look."""
        return self._now().operating.browse(queue, limit, after)

    @hookimpl
    def awf_mq_move(self, source: str, target: str, ids: Sequence[str] | None, limit: int | None) -> int:
        """Move what nobody holds."""
        return self._now().operating.move(source, target, ids, limit)

    @hookimpl
    def awf_mq_purge(self, queue: str) -> int:
        """Remove what is ready."""
        return self._now().operating.purge(queue)

    @hookimpl
    def awf_mq_reply_queue(self, ttl_s: float) -> str:
        """A queue that goes away when unused for `ttl_s`, or a direct reply address."""
        return self._now().reply_queue(ttl_s)

    def _now(self) -> Session:
        """The session of this process: after a fork a new one, after a close the closed one, which says so."""
        session = self._session
        if session is None or session.pid != os.getpid():
            session = self._session = Session(self._target, self._context)
        return session


def _capabilities(settings: RabbitMqSettings) -> Capabilities:
    is_quorum = settings.queue_type == "quorum"
    return Capabilities(
        lease_s=None,
        max_hold_s=None if settings.ack == "on_accept" else settings.consumer_timeout_s,
        max_delay_s=settings.delays_s[-1],
        max_body_bytes=settings.max_body_bytes,
        batch=200,
        release_counts=True,
        attempts="exact" if is_quorum else "approximate",
        headers=True,
        temporary_reply=True,
        # Looking gives messages back, which quorum queues reorder and count, and classic ones mark.
        browse_exact=False,
        interrupt_s=0.5,
        ordered=True,
    )
