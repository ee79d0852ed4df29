"""`mq.type: sqlite`: the embedded queue as a backend, and its settings. The plugin manager calls the hooks.

Never decides about retries or dead-lettering; the worker does. Times are by the queue's own clock, which all processes
that share a queue file share, see `queue_clock.py`.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from awf_core.backends.sqlite import messages, schema
from awf_core.backends.sqlite.connection import Connections, Waker
from awf_core.backends.sqlite.consuming import Claimant, Consuming
from awf_core.backends.sqlite.failures import os_error
from awf_core.backends.sqlite.messages import Publishing, Sweeper
from awf_core.backends.sqlite.opening import refuse_network
from awf_core.backends.sqlite.operating import Operating
from awf_core.backends.sqlite.roles import Roles
from awf_core.backends.sqlite.settling import Settling
from awf_core.backends.sqlite.state import State
from awf_core.contract import Capabilities
from awf_core.hookspecs import hookimpl
from awf_core.units import MAX_SPAN_S, DurationS

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


DEFAULT_FILE = "queue.db"
_URL_ALLOWED = "a URL such as sqlite:///var/lib/awf/queue.db (an absolute path after three slashes)"


class SqliteSettings(BaseModel):
    """What `mq.sqlite` takes.

    path            the queue file; relative to the configuration's directory, `~` is the home directory
    url             the same as `sqlite:///absolute/path`; give one of the two
    queue           the queue a worker consumes and a client submits to
    lease_s         `lease`: how long a message stays with a worker that doesn't extend it; at least 0.2 s
    synchronous     `full` survives a power cut, `normal` may lose the last writes in one; both survive a kill
    busy_timeout_s  `busy_timeout`: how long to wait for another process's write
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    path: str | None = Field(default=None, min_length=1)
    url: str | None = Field(default=None, min_length=1)
    queue: str = Field(default="awf-workflows", min_length=1)
    lease_s: DurationS = Field(default=60.0, alias="lease", ge=0.2)
    synchronous: Literal["full", "normal"] = "full"
    busy_timeout_s: DurationS = Field(default=5.0, alias="busy_timeout", ge=0.01)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.path is not None and self.url is not None:
            raise ValueError(f"give path or url, not both (path {self.path!r}, url {self.url!r})")
        if self.path is not None and self.path.startswith(":memory:"):
            raise ValueError("path ':memory:' can't be shared between connections; name a file")
        if self.url is not None:
            _url_path(self.url)
        return self


class Backend:
    """A queue in one file. Thread-safe. After a fork both processes connect again."""

    api_version = 1
    Settings = SqliteSettings

    def __init__(self, settings: SqliteSettings, context: BackendContext) -> None:
        self.settings = settings
        self.path = queue_file(settings, context.directory)
        self.capabilities = _capabilities(settings.lease_s)
        self._waker = Waker()
        self._connections = Connections(
            self.path,
            synchronous=settings.synchronous,
            busy_timeout_s=settings.busy_timeout_s,
            may_create=context.declare == "auto",
            monotonic=context.clock.monotonic,
        )
        lease_s, sweeper = settings.lease_s, Sweeper()
        claimant = Claimant(owner=context.instance, lease_s=lease_s, max_body_bytes=context.max_body_bytes)
        self._publishing = Publishing(self._connections, self._waker, sweeper)
        self._consuming = Consuming(self._connections, self._waker, claimant, context.clock)
        self._roles = Roles(self._connections, may_write=context.declare == "auto")
        self._settling = Settling(
            self._connections, self._waker, sweeper, self._roles, lease_s=lease_s, reply_ttl_s=context.reply_ttl_s
        )
        self._operating = Operating(self._connections, self._waker, context.clock)
        self._state = State(self._connections, sweeper)

    @property
    def address(self) -> str:
        """The file's absolute path, for the log."""
        return str(self.path)

    @hookimpl
    def awf_mq_open(self) -> None:
        """Open the file. With `declare` auto, create it and its directory, for their owner only."""
        schema.refuse_old_sqlite(sqlite3.sqlite_version_info)
        try:
            refuse_network(self.path)
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
    def awf_mq_ensure(self, queue: str, role: Role, dead_letter: str | None) -> None:
        """Note what `queue`, and its dead-letter queue, are for; every name is a queue. Raises QueueMissing."""
        self._roles.note(queue, role)
        if dead_letter is not None:
            self._roles.note(dead_letter, "dead")

    @hookimpl
    def awf_mq_consume(self, queue: str, limit: int, wait_s: float) -> Sequence[Delivery]:
        """Deliver up to `limit` messages in order of their due times."""
        return self._consuming.consume(queue, limit, wait_s)

    @hookimpl
    def awf_mq_interrupt(self) -> None:
        """End waiting consumes until the next open. A claim in progress is rolled back."""
        self._waker.stop()

    @hookimpl
    def awf_mq_publish(self, messages: Sequence[Outgoing]) -> Sequence[BrokerError | None]:
        """Store all messages in one transaction."""
        return self._publishing.publish(messages)

    @hookimpl
    def awf_mq_ack(self, acks: Sequence[Ack]) -> Sequence[BrokerError | None]:
        """Remove the messages; publish replies and write remembered state in the same transaction."""
        return self._settling.ack(acks)

    @hookimpl
    def awf_mq_nack(self, nacks: Sequence[Nack]) -> Sequence[BrokerError | None]:
        """Release the messages, due after their delay."""
        return self._settling.nack(nacks)

    @hookimpl
    def awf_mq_dead_letter(self, dead_letters: Sequence[DeadLetter]) -> Sequence[BrokerError | None]:
        """Move the messages to the dead-letter queue; publish replies in the same transaction."""
        return self._settling.dead_letter(dead_letters)

    @hookimpl
    def awf_mq_extend(self, deliveries: Sequence[Delivery]) -> Sequence[BrokerError | None]:
        """Renew the leases in one transaction."""
        return self._settling.extend(deliveries)

    @hookimpl
    def awf_mq_stats(self, queue: str) -> Stats:
        """The counts of one moment."""
        return self._operating.stats(queue)

    @hookimpl
    def awf_mq_browse(self, queue: str, limit: int, after: str | None) -> Page:
        """A page of messages, oldest first."""
        return self._operating.browse(queue, limit, after)

    @hookimpl
    def awf_mq_move(self, source: str, target: str, ids: Sequence[str] | None, limit: int | None) -> int:
        """Move messages that no consumer holds; returns how many."""
        return self._operating.move(source, target, ids, limit)

    @hookimpl
    def awf_mq_purge(self, queue: str) -> int:
        """Remove messages that no consumer holds; returns how many."""
        return self._operating.purge(queue)

    @hookimpl
    def awf_mq_reply_queue(self, ttl_s: float) -> str:
        """A new name. The queue and its messages expire `ttl_s` seconds from now."""
        messages.check_ttl(ttl_s, self.path)
        return messages.reply_queue_name(self._connections.now_ms(), ttl_s)

    @hookimpl
    def awf_mq_state_get(self, keys: Sequence[str]) -> Sequence[str | None]:
        """The live value of each key."""
        return self._state.get(keys)

    @hookimpl
    def awf_mq_state_put(self, entries: Sequence[StateEntry]) -> Sequence[bool]:
        """Write all entries; False where `if_absent` found a live value."""
        return self._state.put(entries)

    @hookimpl
    def awf_mq_state_list(self, prefix: str) -> Sequence[tuple[str, str]]:
        """The live pairs whose key starts with `prefix`, by key."""
        return self._state.list(prefix)


def _capabilities(lease_s: float) -> Capabilities:
    return Capabilities(
        lease_s=lease_s,
        max_publish_delay_s=MAX_SPAN_S,
        max_nack_delay_s=MAX_SPAN_S,
        max_body_bytes=messages.MAX_BODY_BYTES,
        batch=500,
        atomic_settle=True,
        stable_ids=True,
        oversized_stubs=True,
        headers=True,
        state=True,
        temporary_reply=True,
        browse_exact=True,
        interrupt_s=0.25,
        ordered=True,
    )


def queue_file(settings: SqliteSettings, directory: str) -> Path:
    """The absolute path of the queue file; `directory` is where relative paths start."""
    if settings.url is not None:
        return Path(_url_path(settings.url))
    path = Path(settings.path if settings.path is not None else DEFAULT_FILE).expanduser()
    return (Path(directory) / path).absolute()


def _url_path(url: str) -> str:
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.scheme != "sqlite" or parts.netloc or parts.query or parts.fragment or not path.strip("/"):
        raise ValueError(f"{url!r} is not {_URL_ALLOWED}")
    # SQLAlchemy writes four slashes for the same thing.
    return "/" + path.lstrip("/")
