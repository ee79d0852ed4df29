"""`mq.type: memory`: a queue in this process, with faults on demand. It shows that the conformance kit finds each fault.

The fixture `memory_backend` registers it. Backends with the same `name` and `faults` share one queue.
"""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING, TypeVar

from memory_faults import FAULTS, Switches, broken
from memory_store import MAX_BODY_BYTES, MAX_DELAY_S, Claimant, Entry, Store
from pydantic import BaseModel, ConfigDict, Field, field_validator

from awf_core.contract import Ack, Capabilities, DeadLetter, Nack, Page, Stats
from awf_core.errors import BrokerError, LeaseLost, Unroutable
from awf_core.hookspecs import hookimpl
from awf_core.units import DurationS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.contract import BackendContext, Delivery, Outgoing, Role, StateEntry

POLL_S = 0.02
"""The longest sleep of a waiting consume: leases and delays end without a call that could wake it."""

Item = TypeVar("Item", Ack, Nack, DeadLetter)

_STORES: dict[tuple[str, tuple[str, ...]], Store] = {}
_MAKING = threading.Lock()


class MemorySettings(BaseModel):
    """What `mq.memory` takes. `faults`: names of `memory_faults.FAULTS`, a list or with commas."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: str = "memory"
    queue: str = "awf-workflows"
    lease_s: DurationS = Field(default=60.0, alias="lease")
    faults: tuple[str, ...] = ()

    @field_validator("faults", mode="before")
    @classmethod
    def _listed(cls, faults: object) -> object:
        return faults.split(",") if isinstance(faults, str) else faults

    @field_validator("faults")
    @classmethod
    def _known(cls, faults: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(faults) - set(FAULTS))
        if unknown:
            raise ValueError(f"no such fault: {', '.join(unknown)} (allowed: {', '.join(sorted(FAULTS))})")
        return faults


def store_of(settings: MemorySettings) -> Store:
    """The store that all backends with these settings share."""
    with _MAKING:
        key = (settings.name, settings.faults)
        if key not in _STORES:
            _STORES[key] = broken(settings.faults)(lease_s=settings.lease_s)
        return _STORES[key]


class Backend:
    """The contract on a `Store`. Thread-safe: every call holds the store's lock."""

    api_version = 1
    Settings = MemorySettings

    def __init__(self, settings: MemorySettings, context: BackendContext) -> None:
        self.settings = settings
        self._claimant = Claimant(
            owner=context.instance, max_body_bytes=context.max_body_bytes, wall_clock=context.clock.now
        )
        self._reply_ttl_s = context.reply_ttl_s
        self.capabilities = Capabilities(
            lease_s=settings.lease_s,
            max_publish_delay_s=MAX_DELAY_S,
            max_nack_delay_s=MAX_DELAY_S,
            max_body_bytes=MAX_BODY_BYTES,
            atomic_settle=True,
            stable_ids=True,
            oversized_stubs=True,
            headers=True,
            state=True,
            temporary_reply=True,
            browse_exact=True,
            interrupt_s=0.5,
            ordered=True,
        )
        self._switches = Switches(settings.faults)
        self._is_stopped = False

    @property
    def store(self) -> Store:
        return store_of(self.settings)

    @hookimpl
    def awf_mq_open(self) -> None:
        self._switches.opened()
        self._is_stopped = False

    @hookimpl
    def awf_mq_close(self) -> None:
        if self._switches.hears_close:
            self._stop()

    @hookimpl
    def awf_mq_ensure(self, queue: str, role: Role, dead_letter: str | None) -> None:
        self.store.roles[queue] = role

    @hookimpl
    def awf_mq_consume(self, queue: str, limit: int, wait_s: float) -> Sequence[Delivery]:
        store, end = self.store, time.monotonic() + wait_s
        with store.changed:
            while not self._is_stopped:
                store.lease_s = self.settings.lease_s
                taken = store.take(queue, limit, self._claimant)
                left_s = end - time.monotonic()
                if taken or left_s <= 0:
                    return taken
                if self._switches.sleeps:
                    store.changed.wait(min(left_s, POLL_S))
        return []

    @hookimpl
    def awf_mq_interrupt(self) -> None:
        if self._switches.hears_interrupt:
            self._stop()

    @hookimpl
    def awf_mq_publish(self, messages: Sequence[Outgoing]) -> Sequence[BrokerError | None]:
        self._switches.publishing()
        store = self.store
        with store.changed:
            for message in messages:
                store.put(message)
            store.changed.notify_all()
        return [None] * len(messages)

    @hookimpl
    def awf_mq_ack(self, acks: Sequence[Ack]) -> Sequence[BrokerError | None]:
        def done(store: Store, entry: Entry, ack: Ack) -> None:
            store.answer(ack.replies, self._reply_ttl_s)
            if ack.remember is not None:
                store.remember(ack.remember)
            store.remove(entry)

        return self._settle(acks, done)

    @hookimpl
    def awf_mq_nack(self, nacks: Sequence[Nack]) -> Sequence[BrokerError | None]:
        return self._settle(nacks, lambda store, entry, nack: store.release(entry, nack))

    @hookimpl
    def awf_mq_dead_letter(self, dead_letters: Sequence[DeadLetter]) -> Sequence[BrokerError | None]:
        def dead(store: Store, entry: Entry, dead_letter: DeadLetter) -> None:
            store.answer(dead_letter.replies, self._reply_ttl_s)
            store.dead_letter(entry, dead_letter)

        return self._settle(dead_letters, dead)

    @hookimpl
    def awf_mq_extend(self, deliveries: Sequence[Delivery]) -> Sequence[BrokerError | None]:
        store = self.store
        with store.changed:
            store.lease_s = self.settings.lease_s
            return self._switches.extended([self._extend(store, delivery) for delivery in deliveries])

    @hookimpl
    def awf_mq_stats(self, queue: str) -> Stats:
        store = self.store
        with store.changed:
            return store.stats(queue)

    @hookimpl
    def awf_mq_browse(self, queue: str, limit: int, after: str | None) -> Page:
        store = self.store
        with store.changed:
            items = [item for item in store.browse(queue) if after is None or int(item.id) > int(after)]
        return Page(items=items[:limit], next=items[limit - 1].id if len(items) > limit else None)

    @hookimpl
    def awf_mq_move(self, source: str, target: str, ids: Sequence[str] | None, limit: int | None) -> int:
        store = self.store
        with store.changed:
            chosen = [entry for entry in store.free(source) if ids is None or str(entry.id) in ids][:limit]
            for entry in chosen:
                store.move(entry, target)
            store.changed.notify_all()
        return len(chosen)

    @hookimpl
    def awf_mq_purge(self, queue: str) -> int:
        store = self.store
        with store.changed:
            chosen = store.free(queue)
            for entry in chosen:
                store.remove(entry)
        return len(chosen)

    @hookimpl
    def awf_mq_reply_queue(self, ttl_s: float) -> str:
        return f"memory-reply-{uuid.uuid4().hex}"

    @hookimpl
    def awf_mq_state_get(self, keys: Sequence[str]) -> Sequence[str | None]:
        store = self.store
        with store.changed:
            return [store.read(key) for key in keys]

    @hookimpl
    def awf_mq_state_put(self, entries: Sequence[StateEntry]) -> Sequence[bool]:
        store = self.store
        with store.changed:
            return [store.write(entry) for entry in entries]

    @hookimpl
    def awf_mq_state_list(self, prefix: str) -> Sequence[tuple[str, str]]:
        store = self.store
        with store.changed:
            live = ((key, store.read(key)) for key in sorted(store.state) if key.startswith(prefix))
            return [(key, value) for key, value in live if value is not None]

    def _extend(self, store: Store, delivery: Delivery) -> BrokerError | None:
        entry = store.held_by_extend(delivery)
        if entry is None:
            store.take_back(delivery.receipt)
            return _lost(delivery)
        store.extend(entry)
        return None

    def _stop(self) -> None:
        store = self.store
        with store.changed:
            self._is_stopped = True
            store.changed.notify_all()

    def _settle(self, items: Sequence[Item], end: Callable[[Store, Entry, Item], None]) -> list[BrokerError | None]:
        store = self.store
        results: list[BrokerError | None] = []
        with store.changed:
            for item in items:
                misfit = None if isinstance(item, Nack) else _misfit(store, item)
                if misfit is not None:
                    results.append(misfit)
                    continue
                entry = store.held(item.delivery)
                if entry is not None:
                    end(store, entry, item)
                results.append(None if entry is not None else _lost(item.delivery))
            store.changed.notify_all()
        return results


def _misfit(store: Store, item: Ack | DeadLetter) -> BrokerError | None:
    queue = next((reply.queue for reply in item.replies if not store.is_for_replies(reply.queue)), None)
    if queue is None:
        return None
    return Unroutable(f"memory: no reply can be published to {queue!r}: it is a {store.roles[queue]} queue")


def _lost(delivery: Delivery) -> LeaseLost:
    return LeaseLost(f"memory: the lease of delivery {delivery.id} in {delivery.queue!r} is lost")
