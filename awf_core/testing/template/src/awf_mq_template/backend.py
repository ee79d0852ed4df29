"""`mq.type: template`: a queue in files that implements `awf_core.hookspecs`. The plugin manager calls the hooks.

The core decides about retries, dead-lettering and replies. Only a stop flag is in memory.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from awf_core import hookimpl
from awf_core.contract import (
    Ack,
    BackendContext,
    Capabilities,
    DeadLetter,
    Delivery,
    ItemState,
    Nack,
    Outgoing,
    Page,
    QueueItem,
    Role,
    Stats,
)  # fmt: skip
from awf_core.errors import BrokerError, LeaseLost, Unroutable
from awf_core.units import DurationS
from awf_mq_template.files import MAX_QUEUE_NAME_BYTES, NS, Entry, Files, system_errors

POLL_S = 0.05
STORED = ("id", "reply_to", "correlation_id")
Item = TypeVar("Item", Ack, Nack, DeadLetter)


class Settings(BaseModel):
    """The keys of `mq.template`. `path`: the directory of the queues, relative to the configuration's directory."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    path: str = "queues"
    queue: str = "awf-workflows"
    lease_s: DurationS = Field(default=60.0, alias="lease", gt=0)


class Backend:
    """Thread-safe. Any number of processes of one host share the directory."""

    api_version = 1
    Settings = Settings

    def __init__(self, settings: Settings, context: BackendContext) -> None:
        self._root = Path(context.directory) / Path(settings.path).expanduser()
        self._files = Files(self._root, may_create=context.declare == "auto")
        # The host's clock is this broker's clock; `context.clock` may differ from process to process.
        self._now = time.time
        self._monotonic = context.clock.monotonic
        self._owner = context.instance
        self._lease_s = settings.lease_s
        self._is_stopped = Event()
        self.capabilities = Capabilities(
            lease_s=settings.lease_s,
            max_queue_name_bytes=MAX_QUEUE_NAME_BYTES,
            expires="none",
            # Files are no transaction: a process that dies between publishing a reply and removing the message leaves
            # both, so `atomic_settle` is not set, and neither is `fenced`.
            fenced=False,
            stable_ids=True,
            headers=True,
            browse_exact=True,
            interrupt_s=0.2,
            ordered=True,
        )

    @hookimpl
    def awf_mq_open(self) -> None:
        """Create the directory."""
        with system_errors(self._root, "create the directory"):
            self._root.mkdir(parents=True, exist_ok=True)
        self._is_stopped.clear()

    @hookimpl
    def awf_mq_close(self) -> None:
        """End waiting consumes. There is no connection to close."""
        self._is_stopped.set()

    @hookimpl
    def awf_mq_interrupt(self) -> None:
        """End waiting consumes until the next open."""
        self._is_stopped.set()

    @hookimpl
    def awf_mq_ensure(self, queue: str, role: Role, dead_letter: str | None) -> None:
        """Create the queue's directory, and note what the queue is for."""
        self._files.queue(queue)
        if self._files.role(queue) != role:
            self._files.note_role(queue, role)

    @hookimpl
    def awf_mq_consume(self, queue: str, limit: int, wait_s: float) -> Sequence[Delivery]:
        """Take due messages, in order of their due times."""
        end = time.monotonic() + wait_s
        while not self._is_stopped.is_set():
            taken = self._take(queue, limit)
            left_s = end - time.monotonic()
            if taken or left_s <= 0:
                return taken
            self._is_stopped.wait(min(POLL_S, left_s))
        return []

    @hookimpl
    def awf_mq_publish(self, messages: Sequence[Outgoing]) -> Sequence[BrokerError | None]:
        """Store each message."""
        return [_attempt(lambda message=message: self._publish(message)) for message in messages]

    @hookimpl
    def awf_mq_ack(self, acks: Sequence[Ack]) -> Sequence[BrokerError | None]:
        """Publish the replies first: a crash in between duplicates a result and loses none."""
        return [_attempt(lambda ack=ack: self._finish(ack.delivery, ack.replies)) for ack in acks]

    @hookimpl
    def awf_mq_nack(self, nacks: Sequence[Nack]) -> Sequence[BrokerError | None]:
        """Release each message, due after its delay."""

        def release(nack: Nack) -> None:
            due_at = self._now() + nack.delay_s
            history = [dict(each) for each in nack.history]
            self._files.release(_receipt(nack.delivery), history, due_at=due_at, is_counted=nack.counted)

        return [_attempt(lambda nack=nack: release(nack)) for nack in nacks]

    @hookimpl
    def awf_mq_dead_letter(self, dead_letters: Sequence[DeadLetter]) -> Sequence[BrokerError | None]:
        """Write to the dead-letter queue and publish the replies first, then remove the message."""
        return [_attempt(lambda item=item: self._dead_letter(item)) for item in dead_letters]

    @hookimpl
    def awf_mq_extend(self, deliveries: Sequence[Delivery]) -> Sequence[BrokerError | None]:
        """Renew the leases; LeaseLost for each delivery that is lost."""
        until = self._now() + self._lease_s
        return [_attempt(lambda d=d: self._files.extend(_receipt(d), until=until)) for d in deliveries]

    @hookimpl
    def awf_mq_stats(self, queue: str) -> Stats:
        """Count file names. How many messages of a queue were dead-lettered is not known."""
        now = self._now()
        found = self._files.entries(queue)
        ready = [entry for due_at, entry in found if due_at <= now]
        held = sum(entry.is_held for due_at, entry in found if due_at > now)
        ages = [now - entry.created_at for entry in ready]
        return Stats(
            ready=len(ready),
            delayed=len(found) - len(ready) - held,
            in_flight=held,
            oldest_age_s=max(ages, default=None),
        )

    @hookimpl
    def awf_mq_browse(self, queue: str, limit: int, after: str | None) -> Page:
        """Read without taking, oldest first."""
        found = sorted(self._files.entries(queue), key=lambda pair: pair[1].id)
        later = [(due_at, entry) for due_at, entry in found if after is None or entry.id > after]
        items = [item for due_at, entry in later[:limit] if (item := self._item(queue, due_at, entry)) is not None]
        return Page(items=items, next=later[limit - 1][1].id if len(later) > limit else None)

    @hookimpl
    def awf_mq_move(self, source: str, target: str, ids: Sequence[str] | None, limit: int | None) -> int:
        """Move messages that no consumer holds, each by one rename."""
        directory = self._files.queue(target)
        chosen = [entry for entry in self._free(source) if ids is None or entry.id in ids][:limit]
        return sum(self._files.move(entry, directory) for entry in chosen)

    @hookimpl
    def awf_mq_purge(self, queue: str) -> int:
        """Remove messages that no consumer holds."""
        return sum(_attempt(lambda entry=entry: self._files.remove(entry)) is None for entry in self._free(queue))

    def _take(self, queue: str, limit: int) -> list[Delivery]:
        # From before the claim: the lease holds at least until then.
        now, lease_until = self._now(), self._monotonic() + self._lease_s
        taken: list[Delivery] = []
        for due_at, entry in self._files.entries(queue):
            if due_at > now or len(taken) == limit:
                break
            held = self._files.take(entry, owner=self._owner, until=now + self._lease_s)
            if held is not None:
                taken.append(self._delivery(queue, held, lease_until))
        return taken

    def _delivery(self, queue: str, held: Entry, lease_until: float) -> Delivery:
        content = held.read()
        body = base64.b64decode(content["body"])
        return Delivery(
            queue=queue,
            body=body,
            body_bytes=len(body),
            receipt=held,
            id=held.id,
            message_id=content["id"],
            attempt=held.attempt,
            deliveries=held.deliveries,
            crashes=self._files.crashes(held),
            reply_to=content["reply_to"],
            correlation_id=content["correlation_id"],
            headers=content["headers"],
            history=content["history"],
            age_s=max(0.0, self._now() - held.first_ns / NS),
            lease_until=lease_until,
        )

    def _publish(self, message: Outgoing) -> None:
        content = {name: getattr(message, name) for name in STORED}
        content |= {"body": base64.b64encode(message.body).decode(), "headers": dict(message.headers), "history": []}
        self._files.put(self._files.queue(message.queue), content, due_at=self._now() + message.delay_s)

    def _finish(self, delivery: Delivery, replies: Sequence[Outgoing]) -> None:
        entry = _receipt(delivery)
        self._check_replies(replies)
        self._files.extend(entry, until=self._now() + self._lease_s)
        for reply in replies:
            self._publish(reply)
        self._files.remove(entry)

    def _check_replies(self, replies: Sequence[Outgoing]) -> None:
        """A producer chooses where replies go, so they must not feed a queue that is for anything else."""
        for reply in replies:
            role = self._files.role(reply.queue)
            if role not in (None, "reply"):
                raise Unroutable(f"no reply can be published to {reply.queue!r}: it is a {role} queue")

    def _dead_letter(self, item: DeadLetter) -> None:
        entry = _receipt(item.delivery)
        self._check_replies(item.replies)
        self._files.extend(entry, until=self._now() + self._lease_s)
        content = entry.read()
        content["history"] = [dict(each) for each in item.history]
        content["dead_letter"] = {
            "source": item.delivery.queue,
            "reason": item.reason,
            "error": item.error,
            "dead_at": self._now(),
        }
        self._files.put(self._files.queue(item.queue), content, due_at=self._now())
        self._finish(item.delivery, item.replies)

    def _free(self, queue: str) -> list[Entry]:
        now = self._now()
        return [entry for due_at, entry in self._files.entries(queue) if not entry.is_held or due_at <= now]

    def _item(self, queue: str, due_at: float, entry: Entry) -> QueueItem | None:
        try:
            content = entry.read()
        except FileNotFoundError:
            return None
        dead: dict[str, Any] = content.get("dead_letter") or {}
        is_dead = bool(dead) and dead["source"] != queue
        now = self._now()
        state: ItemState = (
            "dead" if is_dead else "ready" if due_at <= now else "in_flight" if entry.is_held else "delayed"
        )
        return QueueItem(
            id=entry.id,
            body=base64.b64decode(content["body"]),
            state=state,
            message_id=content["id"],
            attempt=entry.attempt,
            deliveries=entry.deliveries,
            reply_to=content["reply_to"],
            correlation_id=content["correlation_id"],
            headers=content["headers"],
            enqueued_at=entry.created_at,
            due_at=due_at,
            history=content["history"],
            **(dead if is_dead else {}),
        )


def _receipt(delivery: Delivery) -> Entry:
    if not isinstance(delivery.receipt, Entry):
        raise LeaseLost(f"delivery {delivery.id} in {delivery.queue!r} is not a delivery of this backend")
    return delivery.receipt


def _attempt(act: Callable[[], object]) -> BrokerError | None:
    """The answer for one item of a batch; an error keeps no other item from being done."""
    try:
        act()
    except BrokerError as error:
        return error
    return None
