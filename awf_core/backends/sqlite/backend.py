"""`mq.type: sqlite`: the embedded queue as a backend. The plugin manager calls the hooks; each goes to the
part it names.

Never decides about retries or dead letters; that is the engine's. Times are the host's wall clock, since all
processes that share a queue file share a host.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from awf_core.backends.sqlite import filesystem, outgoing, schema
from awf_core.backends.sqlite.browse import Browsing
from awf_core.backends.sqlite.claim import Claims
from awf_core.backends.sqlite.connection import Connections
from awf_core.backends.sqlite.failures import os_error
from awf_core.backends.sqlite.move import Moving
from awf_core.backends.sqlite.publish import Publishing
from awf_core.backends.sqlite.settings import SqliteSettings, queue_file
from awf_core.backends.sqlite.settle import Settling
from awf_core.backends.sqlite.state import State
from awf_core.backends.sqlite.sweep import Sweeper
from awf_core.backends.sqlite.wait import Waker
from awf_core.backends.sqlite.wallclock import MAX_SPAN_S, WallClock
from awf_core.contract import Capabilities
from awf_core.hookspecs import hookimpl

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
    """A queue in one file. Thread-safe; used after a fork, it connects anew on both sides."""

    api_version = 1
    Settings = SqliteSettings

    def __init__(self, settings: SqliteSettings, context: BackendContext) -> None:
        self.settings = settings
        self.path = queue_file(settings, context.directory)
        self.capabilities = _capabilities(settings.lease_s)
        self._waker = Waker()
        self._clock = WallClock(context.clock)
        self._connections = Connections(
            self.path,
            synchronous=settings.synchronous,
            busy_timeout_s=settings.busy_timeout_s,
            may_create=context.declare == "auto",
        )
        parts, sweeper = (self._connections, self._clock), Sweeper()
        self._publishing = Publishing(*parts, self._waker, sweeper)
        self._claims = Claims(*parts, self._waker, owner=context.worker, lease_s=settings.lease_s)
        self._settling = Settling(
            *parts, self._waker, sweeper, lease_s=settings.lease_s, reply_ttl_s=context.reply_ttl_s
        )
        self._browsing = Browsing(*parts)
        self._moving = Moving(*parts, self._waker)
        self._state = State(*parts, sweeper)

    @property
    def address(self) -> str:
        """Where the queue is, for the log: the file's absolute path."""
        return str(self.path)

    @hookimpl
    def awf_mq_open(self) -> None:
        """Open the file, making it (with the umask's rights) and its directory where `declare` is auto."""
        schema.refuse_old_sqlite(sqlite3.sqlite_version_info)
        try:
            filesystem.refuse_network(self.path)
        except OSError as error:
            raise os_error(error, path=self.path, doing="open the queue") from error
        self._connections.open()
        self._waker.restart()

    @hookimpl
    def awf_mq_close(self) -> None:
        """End waiting consumes and close the file."""
        self._waker.stop()
        self._connections.close()

    @hookimpl
    def awf_mq_ensure(self, queue: str, role: Role, dead_letter: str | None) -> None:  # noqa: ARG002 - no queue differs
        """Check that the file is there: every name is a queue already. Raises QueueMissing, Unroutable for a
        bad name.
        """
        for name in (queue, dead_letter):
            error = None if name is None else outgoing.bad_queue_name(name, self.path)
            if error is not None:
                raise error
        with self._connections.reading("look for the queue"):
            pass

    @hookimpl
    def awf_mq_consume(self, queue: str, limit: int, wait_s: float) -> Sequence[Delivery]:
        """Take up to `limit` messages in order of their due times."""
        return self._claims.consume(queue, limit, wait_s)

    @hookimpl
    def awf_mq_interrupt(self) -> None:
        """End waiting consumes until the next open; a claim under way is rolled back."""
        self._waker.stop()

    @hookimpl
    def awf_mq_publish(self, messages: Sequence[Outgoing]) -> Sequence[BrokerError | None]:
        """Store, all in one transaction."""
        return self._publishing.publish(messages)

    @hookimpl
    def awf_mq_ack(self, acks: Sequence[Ack]) -> Sequence[BrokerError | None]:
        """Remove, with replies and remembered state in the same transaction."""
        return self._settling.ack(acks)

    @hookimpl
    def awf_mq_nack(self, nacks: Sequence[Nack]) -> Sequence[BrokerError | None]:
        """Give back."""
        return self._settling.nack(nacks)

    @hookimpl
    def awf_mq_dead_letter(self, dead_letters: Sequence[DeadLetter]) -> Sequence[BrokerError | None]:
        """Move to the dead-letter queue, with replies in the same transaction."""
        return self._settling.dead_letter(dead_letters)

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
        """A fresh name; whatever is published to it expires when `ttl_s` from now is over."""
        error = outgoing.bad_span("ttl_s", ttl_s, self.path)
        if error is not None:
            raise error
        return outgoing.reply_queue_name(self._clock.now_ms(), ttl_s)

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
        return self._state.list(prefix)


def _capabilities(lease_s: float) -> Capabilities:
    return Capabilities(
        lease_s=lease_s,
        max_delay_s=MAX_SPAN_S,
        max_body_bytes=outgoing.MAX_BODY_BYTES,
        batch=500,
        atomic_settle=True,
        stable_ids=True,
        headers=True,
        state=True,
        temporary_reply=True,
        browse_exact=True,
        interrupt_s=0.25,
        ordered=True,
    )
