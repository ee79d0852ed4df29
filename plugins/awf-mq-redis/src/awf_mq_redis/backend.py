"""`mq.type: redis`: Redis or Valkey as a backend. The plugin manager calls the hooks; each calls the part of its name.

The worker decides what is retried or dead-lettered, never this backend. No time is the worker's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.contract import Capabilities
from awf_core.hookspecs import hookimpl
from awf_core.outgoing import OutgoingRules
from awf_core.units import MAX_SPAN_S, span_ms
from awf_mq_redis.browse import Browsing
from awf_mq_redis.checks import check_queue, check_server, note_role
from awf_mq_redis.claim import Claims
from awf_mq_redis.cluster import ClusterTransport
from awf_mq_redis.connection import MAX_BATCH, RedisConnection, ServerTransport
from awf_mq_redis.cross_slot import CrossSlotPublish
from awf_mq_redis.dead_letter import DeadLettering, DeadMessageCounts
from awf_mq_redis.failures import bad_span
from awf_mq_redis.keys import MAX_QUEUE_NAME_BYTES, reply_queue_name, reserved_names
from awf_mq_redis.leases import Leases
from awf_mq_redis.move import Moving
from awf_mq_redis.pools import refuse_missing_files, target_of
from awf_mq_redis.publish import Publishing
from awf_mq_redis.settings import RedisSettings
from awf_mq_redis.settle import Batches, Settling
from awf_mq_redis.state import State
from awf_mq_redis.ticker import Ticker
from awf_mq_redis.wait import Waiter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import (
        Ack,
        BackendContext,
        DeadLetter,
        Delivery,
        Nack,
        Outgoing,
        Page,
        Role,
        StateEntry,
        Stats,
    )
    from awf_core.errors import BrokerError


MAX_BODY_BYTES = 512 * 1024 * 1024
"""The longest value of a Redis key (and the default of its `proto-max-bulk-len`)."""


class Backend:
    """Queues in a Redis server. Thread-safe. After a fork both processes connect anew."""

    api_version = 1
    Settings = RedisSettings

    def __init__(self, settings: RedisSettings, context: BackendContext) -> None:
        self.settings = settings
        self.capabilities = _capabilities(settings)
        self._may_write = context.declare == "auto"
        self._target = target_of(settings, worker=context.worker, directory=context.directory)
        transport = ClusterTransport(self._target) if settings.cluster else ServerTransport(self._target)
        self._connection = connection = RedisConnection(
            transport, where=self._target.shown, is_cluster=settings.cluster, prefix=settings.key_prefix
        )
        self._waiter = Waiter(connection)
        self._ticker = Ticker(connection)
        lease_s, block_s, reply_ttl_s = settings.lease_s, settings.block_s, context.reply_ttl_s
        batches, dead_messages = Batches(connection), DeadMessageCounts(connection)
        cross_slot = CrossSlotPublish(connection, reply_ttl_s=reply_ttl_s)
        self._publishing = Publishing(connection, self._waiter, block_s=block_s)
        self._leases = Leases(connection, lease_s=lease_s)
        self._settling = Settling(
            connection, batches, cross_slot, self._waiter, self._leases,
            lease_s=lease_s, block_s=block_s, reply_ttl_s=reply_ttl_s,
        )  # fmt: skip
        self._dead_lettering = DeadLettering(
            connection, batches, cross_slot, self._settling, self._leases, lease_s=lease_s, reply_ttl_s=reply_ttl_s
        )
        self._claims = Claims(
            connection, self._waiter, dead_messages, self._ticker, context,
            lease_s=lease_s, block_s=block_s, release=self._settling.nack,
        )  # fmt: skip
        self._browsing = Browsing(connection, dead_messages)
        rules = OutgoingRules(self.capabilities, backend="redis")
        self._moving = Moving(connection, self._browsing, dead_messages, name_problem=rules.name_problem)
        self._state = State(connection)

    @property
    def address(self) -> str:
        """Where the queue is, for the log; without user and password."""
        return self._connection.where

    @hookimpl
    def awf_mq_open(self) -> None:
        """Connect and check the server."""
        refuse_missing_files(self._target)
        check_server(self._connection)
        self._waiter.restart()
        self._ticker.open()

    @hookimpl
    def awf_mq_close(self) -> None:
        """End waiting consumes and close the connections."""
        self._waiter.stop()
        self._ticker.stop()
        self._connection.close()

    @hookimpl
    def awf_mq_ensure(self, queue: str, role: Role, dead_letter: str | None) -> None:
        """Check that the keys are a queue's or don't exist, and that this user has the rights; note its role."""
        check_queue(self._connection, queue, role, dead_letter, may_write=self._may_write)
        if self._may_write:
            note_role(self._connection, queue, role)
            if dead_letter is not None:
                note_role(self._connection, dead_letter, "dead")

    @hookimpl
    def awf_mq_consume(self, queue: str, limit: int, wait_s: float) -> Sequence[Delivery]:
        """Claim up to `limit` messages: those due for a retry first, then in publish order."""
        return self._claims.consume(queue, limit, wait_s)

    @hookimpl
    def awf_mq_interrupt(self) -> None:
        """End waiting consumes until the next open; messages that a claim under way still brings are released."""
        self._waiter.stop()

    @hookimpl
    def awf_mq_publish(self, messages: Sequence[Outgoing]) -> Sequence[BrokerError | None]:
        """Push the messages to their lists; delayed ones go to the schedule."""
        return self._publishing.publish(messages)

    @hookimpl
    def awf_mq_ack(self, acks: Sequence[Ack]) -> Sequence[BrokerError | None]:
        """Remove the messages, with replies and remembered state in the same script."""
        return self._settling.ack(acks)

    @hookimpl
    def awf_mq_nack(self, nacks: Sequence[Nack]) -> Sequence[BrokerError | None]:
        """Release the messages, each due after its delay."""
        return self._settling.nack(nacks)

    @hookimpl
    def awf_mq_dead_letter(self, dead_letters: Sequence[DeadLetter]) -> Sequence[BrokerError | None]:
        """Move the messages to the dead-letter stream, with replies in the same script."""
        return self._dead_lettering.dead_letter(dead_letters)

    @hookimpl
    def awf_mq_extend(self, deliveries: Sequence[Delivery]) -> Sequence[BrokerError | None]:
        """Renew leases, ended ones too where no other worker has claimed the message."""
        return self._leases.extend(deliveries)

    @hookimpl
    def awf_mq_stats(self, queue: str) -> Stats:
        """Count by state; `dead` are the messages of this queue in any dead-letter queue."""
        return self._browsing.stats(queue)

    @hookimpl
    def awf_mq_browse(self, queue: str, limit: int, after: str | None) -> Page:
        """A page of messages; nothing is changed."""
        return self._browsing.browse(queue, limit, after)

    @hookimpl
    def awf_mq_move(self, source: str, target: str, ids: Sequence[str] | None, limit: int | None) -> int:
        """Move messages that are not in flight."""
        return self._moving.move(source, target, ids, limit)

    @hookimpl
    def awf_mq_purge(self, queue: str) -> int:
        """Remove messages that are not in flight."""
        return self._moving.purge(queue)

    @hookimpl
    def awf_mq_reply_queue(self, ttl_s: float) -> str:
        """A new name. What is published to it expires `ttl_s` seconds from now, by the server's clock."""
        error = bad_span("ttl_s", ttl_s, self._connection.where)
        if error is not None:
            raise error
        seconds, microseconds = self._connection.call("name a reply queue", "", "TIME")
        return reply_queue_name(int(seconds) * 1000 + int(microseconds) // 1000 + span_ms(ttl_s))

    @hookimpl
    def awf_mq_state_get(self, keys: Sequence[str]) -> Sequence[str | None]:
        """The live values, None where there is none."""
        return self._state.get(keys)

    @hookimpl
    def awf_mq_state_put(self, entries: Sequence[StateEntry]) -> Sequence[bool]:
        """Write; False where `if_absent` found a live value."""
        return self._state.put(entries)

    @hookimpl
    def awf_mq_state_list(self, prefix: str) -> Sequence[tuple[str, str]]:
        """The live pairs whose key starts with `prefix`, by key."""
        return self._state.matching(prefix)


def _capabilities(settings: RedisSettings) -> Capabilities:
    return Capabilities(
        lease_s=settings.lease_s,
        max_publish_delay_s=MAX_SPAN_S,
        max_nack_delay_s=MAX_SPAN_S,
        max_body_bytes=MAX_BODY_BYTES,
        max_queue_name_bytes=MAX_QUEUE_NAME_BYTES,
        reserved_names=reserved_names(settings.key_prefix),
        # A list expires as a whole, so a single message can't.
        expires="replies",
        batch=MAX_BATCH,
        # In a cluster a result may be in another slot than the queue, and no script reaches both.
        atomic_settle=not settings.cluster,
        fenced=not settings.cluster,
        stable_ids=True,
        oversized_stubs=True,
        state=True,
        temporary_reply=True,
        browse_exact=True,
        interrupt_s=0.25,
        ordered=True,
    )
