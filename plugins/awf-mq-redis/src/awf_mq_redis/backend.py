"""`mq.type: redis`: Redis or Valkey as a backend. The plugin manager calls the hooks; each goes to the part it names.

Never decides about retries or dead letters; that is the engine's. All times are the server's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.contract import Capabilities
from awf_core.hookspecs import hookimpl
from awf_mq_redis.batch import Batches
from awf_mq_redis.browse import Browsing
from awf_mq_redis.bury import Burying
from awf_mq_redis.checks import check_queue, check_server
from awf_mq_redis.claim import Claims
from awf_mq_redis.far import Far
from awf_mq_redis.letters import Letters
from awf_mq_redis.link import AT_ONCE, Link
from awf_mq_redis.move import Moving
from awf_mq_redis.names import reply_queue_name
from awf_mq_redis.outgoing import MAX_BODY_BYTES
from awf_mq_redis.pools import refuse_missing_files, target_of
from awf_mq_redis.publish import Publishing
from awf_mq_redis.settings import RedisSettings
from awf_mq_redis.settle import Settling
from awf_mq_redis.sleep import Sleeper
from awf_mq_redis.spans import MAX_SPAN_S, bad_span, span_ms
from awf_mq_redis.state import State

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


class Backend:
    """Queues in a Redis server. Thread-safe; used after a fork, it connects anew on both sides."""

    api_version = 1
    Settings = RedisSettings

    def __init__(self, settings: RedisSettings, context: BackendContext) -> None:
        self.settings = settings
        self.capabilities = _capabilities(settings)
        self._may_write = context.declare == "auto"
        self._target = target_of(settings, worker=context.worker, directory=context.directory)
        self._link = link = Link(self._target, is_cluster=settings.cluster)
        self._sleeper = Sleeper(link)
        prefix, lease_s, reply_ttl_s = settings.key_prefix, settings.lease_s, context.reply_ttl_s
        batches, letters = Batches(link, prefix=prefix), Letters(link, prefix=prefix)
        far = Far(link, prefix=prefix, reply_ttl_s=reply_ttl_s)
        self._publishing = Publishing(link, self._sleeper, prefix=prefix, block_s=settings.block_s)
        self._settling = Settling(
            link, batches, far, self._sleeper,
            prefix=prefix, lease_s=lease_s, block_s=settings.block_s, reply_ttl_s=reply_ttl_s,
        )  # fmt: skip
        self._burying = Burying(
            link, batches, far, self._settling, prefix=prefix, lease_s=lease_s, reply_ttl_s=reply_ttl_s
        )
        self._claims = Claims(
            link, self._sleeper, letters, context.clock,
            prefix=prefix, lease_s=lease_s, block_s=settings.block_s, give_back=self._settling.nack,
        )  # fmt: skip
        self._browsing = Browsing(link, letters, prefix=prefix)
        self._moving = Moving(link, self._browsing, letters, prefix=prefix)
        self._state = State(link, prefix=prefix)

    @property
    def address(self) -> str:
        """Where the queue is, for the log; without user and password."""
        return self._link.where

    @hookimpl
    def awf_mq_open(self) -> None:
        """Connect, and look at the server."""
        refuse_missing_files(self._target)
        check_server(self._link)
        self._sleeper.restart()

    @hookimpl
    def awf_mq_close(self) -> None:
        """End waiting consumes and let go of the connections."""
        self._sleeper.stop()
        self._link.close()

    @hookimpl
    def awf_mq_ensure(self, queue: str, role: Role, dead_letter: str | None) -> None:
        """Look whether the keys are, or can become, a queue's; there is nothing to create."""
        prefix = self.settings.key_prefix
        check_queue(self._link, queue, role, dead_letter, prefix=prefix, may_write=self._may_write)

    @hookimpl
    def awf_mq_consume(self, queue: str, limit: int, wait_s: float) -> Sequence[Delivery]:
        """Take up to `limit` messages: what is due again first, then in order."""
        return self._claims.consume(queue, limit, wait_s)

    @hookimpl
    def awf_mq_interrupt(self) -> None:
        """End waiting consumes until the next open; what a claim under way brings is given back."""
        self._sleeper.stop()

    @hookimpl
    def awf_mq_publish(self, messages: Sequence[Outgoing]) -> Sequence[BrokerError | None]:
        """Push."""
        return self._publishing.publish(messages)

    @hookimpl
    def awf_mq_ack(self, acks: Sequence[Ack]) -> Sequence[BrokerError | None]:
        """Remove, with replies and remembered state in the same script."""
        return self._settling.ack(acks)

    @hookimpl
    def awf_mq_nack(self, nacks: Sequence[Nack]) -> Sequence[BrokerError | None]:
        """Give back."""
        return self._settling.nack(nacks)

    @hookimpl
    def awf_mq_dead_letter(self, dead_letters: Sequence[DeadLetter]) -> Sequence[BrokerError | None]:
        """Move to the dead-letter stream, with replies in the same script."""
        return self._burying.dead_letter(dead_letters)

    @hookimpl
    def awf_mq_extend(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Renew leases."""
        return self._settling.extend(deliveries)

    @hookimpl
    def awf_mq_stats(self, queue: str) -> Stats:
        """Count."""
        return self._browsing.stats(queue)

    @hookimpl
    def awf_mq_browse(self, queue: str, limit: int, after: str | None) -> Page:
        """Look."""
        return self._browsing.browse(queue, limit, after)

    @hookimpl
    def awf_mq_move(self, source: str, target: str, ids: Sequence[str] | None, limit: int | None) -> int:
        """Move what nobody holds."""
        return self._moving.move(source, target, ids, limit)

    @hookimpl
    def awf_mq_purge(self, queue: str) -> int:
        """Remove what nobody holds."""
        return self._moving.purge(queue)

    @hookimpl
    def awf_mq_reply_queue(self, ttl_s: float) -> str:
        """A fresh name; whatever is published to it is gone when `ttl_s` from now is over, by the server's clock."""
        error = bad_span("ttl_s", ttl_s, self._link.where)
        if error is not None:
            raise error
        seconds, microseconds = self._link.call("name a reply queue", "", "TIME")
        return reply_queue_name(int(seconds) * 1000 + int(microseconds) // 1000 + span_ms(ttl_s))

    @hookimpl
    def awf_mq_state_get(self, keys: Sequence[str]) -> Sequence[str | None]:
        """Read shared state."""
        return self._state.get(keys)

    @hookimpl
    def awf_mq_state_put(self, entries: Sequence[StateEntry]) -> Sequence[bool]:
        """Write shared state."""
        return self._state.put(entries)

    @hookimpl
    def awf_mq_state_list(self, prefix: str) -> Sequence[tuple[str, str]]:
        """List shared state."""
        return self._state.matching(prefix)


def _capabilities(settings: RedisSettings) -> Capabilities:
    return Capabilities(
        lease_s=settings.lease_s,
        max_delay_s=MAX_SPAN_S,
        max_body_bytes=MAX_BODY_BYTES,
        batch=AT_ONCE,
        # In a cluster a result may lie in another slot than the queue, and no script reaches both.
        atomic_settle=not settings.cluster,
        stable_ids=True,
        state=True,
        temporary_reply=True,
        browse_exact=True,
        interrupt_s=0.25,
        ordered=True,
    )
