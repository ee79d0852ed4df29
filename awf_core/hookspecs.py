"""Every hook of AWF, documented so that a plugin author needs this page and `contract.py` and nothing else.

A *backend* is one class behind an entry point of group `awf.mq`; the entry point's name is what users write as
`mq.type`:

    class Backend:
        api_version = 1                       # a literal in your own class body
        Settings = MySettings                 # a pydantic model; filled from `mq.<type>:`, flags and AWF_MQ_*
        def __init__(self, settings: MySettings, context: BackendContext) -> None: ...   # no I/O
        capabilities: Capabilities            # set in __init__
        @hookimpl
        def awf_mq_open(self) -> None: ...

Any other plugin is a module (or object) behind an entry point of group `awf.plugins`; it implements events or
registrations, or wraps a backend hook with `@hookimpl(wrapper=True)` (`return (yield)` passes the result on; a wrapper
may answer something else, and can't replace the arguments). `docs/plugins/write-an-extension.md` has one of each.

Rules that hold for every hook:
  * synchronous and thread-safe: the worker calls from several threads at once. Coroutine functions are refused.
  * plain parameters, named as here; name only those you use.
  * `awf_mq_*` take and give batches. Result lists keep length and order. A call raises only when nothing of it was
    attempted; what happened to a single item goes into that item's place.
  * only the errors under `BrokerError` in `errors.py` leave a backend, each with the endpoint (password removed) and
    the remedy in its text.
  * the engine decides, the broker executes: retry or not, after what delay, dead or not, what goes to a reply queue is
    decided by the core. How to wait, keep a lease, delay and fence is the backend's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.contract import (
        Ack,
        DeadLetter,
        Delivery,
        Formatted,
        Nack,
        Outgoing,
        Page,
        Role,
        StateEntry,
        Stats,
    )
    from awf_core.errors import BrokerError
    from awf_core.message import Message
    from awf_core.result import Outcome

PROJECT = "awf"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""The one marker plugins use; a marker made elsewhere registers nothing and says nothing."""


class BackendSpecs:
    """The data plane. Exactly one implementation of each that is not a wrapper; a second is refused at start."""

    @hookspec(firstresult=True)
    def awf_mq_open(self) -> None:
        """Connect, and fail fast.

        BrokerMisconfigured for credentials, rights, types; BrokerUnavailable where waiting helps.
        Idempotent. Connections may be made lazily per thread afterwards, never before a fork.
        """

    @hookspec(firstresult=True)
    def awf_mq_close(self) -> None:
        """Close every connection. Idempotent, from any thread, also without open; a waiting consume returns."""

    @hookspec(firstresult=True)
    def awf_mq_ensure(self, queue: str, role: Role, dead_letter: str | None) -> None:
        """Make sure `queue` can be used as `role`: `work`, `dead` or `reply`.

        Check first; create only what is missing and allowed (`BackendContext.declare`); never change what exists.
        `dead_letter` names the dead-letter queue that goes with a work queue, None = messages are discarded.
        The role is noted where other processes see it, so that no reply goes to a `work` or `dead` queue; the latest
        note counts. Without the right to declare, nothing is noted.
        Idempotent. Raises QueueMissing where it is absent and may not be created, BrokerMisconfigured where it exists
        with other properties, naming the difference.
        """

    @hookspec(firstresult=True)
    def awf_mq_consume(self, queue: str, limit: int, wait_s: float) -> Sequence[Delivery]:
        """At most `limit` deliveries, each leased to us; [] after `wait_s` seconds without any, or on interrupt.

        Returns as soon as there is at least one. Taking is one atomic step of the broker: a process that dies at any
        moment leaves the message either in the queue or under a lease that ends. Never polls busily. One thread per
        queue calls this. A lost connection raises BrokerUnavailable; the next call connects again.

        The claim notes its owner (`BackendContext.instance`) and that a run starts, where the broker can note it. When
        a lease ended, the next claim counts a crash, unless the owner is the one that claims: then it only was slow.
        A body over `BackendContext.max_body_bytes` comes as a stub where the broker can do that
        (`capabilities.oversized_stubs`). A step of the host's or the server's clock ends no lease early, and delays no
        redelivery by more than a lease plus the message's own delay.
        """

    @hookspec(firstresult=True)
    def awf_mq_interrupt(self) -> None:
        """Make waiting consumes return within `capabilities.interrupt_s`, and later ones at once. From any thread.

        The backend itself releases what the broker delivers after that, uncounted.
        """

    @hookspec(firstresult=True)
    def awf_mq_publish(self, messages: Sequence[Outgoing]) -> Sequence[BrokerError | None]:
        """Publish; returns when the broker has accepted them, durably where it can. One result each, in order."""

    @hookspec(firstresult=True)
    def awf_mq_ack(self, acks: Sequence[Ack]) -> Sequence[BrokerError | None]:
        """End deliveries as done. Replies are published before, or atomically with, each ack.

        Per item: LeaseLost when the lease of the delivery ended (nothing of it was published where
        `capabilities.atomic_settle`); Unroutable, QueueMissing or BodyTooLarge when a reply can't be delivered, and
        then the delivery is *not* acked. A reply to a queue that was ensured as `work` or `dead` is Unroutable. An
        ack repeated for a delivery already acked may answer None or LeaseLost.
        """

    @hookspec(firstresult=True)
    def awf_mq_nack(self, nacks: Sequence[Nack]) -> Sequence[BrokerError | None]:
        """Return messages to the queue; each is redelivered no earlier than after `delay_s`, and blocks no other."""

    @hookspec(firstresult=True)
    def awf_mq_dead_letter(self, dead_letters: Sequence[DeadLetter]) -> Sequence[BrokerError | None]:
        """Move deliveries to their dead-letter queue with reason, error and history; replies as in `awf_mq_ack`."""

    @hookspec(firstresult=True)
    def awf_mq_extend(self, deliveries: Sequence[Delivery]) -> Sequence[BrokerError | None]:
        """Renew leases for another `capabilities.lease_s` from now. One answer each, in order.

        None: renewed, also where the lease had ended and no other consumer had claimed the message (unless
        `capabilities.late_renewal` is False). LeaseLost: the message is settled or another consumer has it. Any other
        BrokerError: unknown; the core asks again. All deliveries of a call are of one queue, and the core has a thread
        for each queue, so that a slow shard holds up no other. A delivery is known by its receipt.

        A live owner that is answered LeaseLost is no crash: what `Delivery.crashes` counted for its silence is taken
        back, once for each receipt (where `capabilities.crashes` is `owner`). Where a delivery is bound to a connection
        there is nothing to renew: None while that connection lives, LeaseLost after it.
        """

    @hookspec(firstresult=True)
    def awf_mq_stats(self, queue: str) -> Stats:
        """Count what `queue` holds, cheaply enough for a probe every few seconds. An absent queue counts zero."""

    @hookspec(firstresult=True)
    def awf_mq_browse(self, queue: str, limit: int, after: str | None) -> Page:
        """Optional. Return up to `limit` messages of `queue`, oldest first, taking none; `after` = `Page.next`."""

    @hookspec(firstresult=True)
    def awf_mq_move(self, source: str, target: str, ids: Sequence[str] | None, limit: int | None) -> int | None:
        """Optional. Move messages that no worker has in hand from `source` to `target`; returns how many moved.

        `ids` (from `QueueItem.id`) restricts, None = any; `limit` bounds, None = all. A moved message starts afresh:
        attempt 1, no delay; history stays. Each message moves atomically where the broker can, else is published
        before it is removed: a crash may double, never lose.
        """

    @hookspec(firstresult=True)
    def awf_mq_purge(self, queue: str) -> int | None:
        """Optional. Remove every message of `queue` that no worker has in hand; returns how many, None = unknown."""

    @hookspec(firstresult=True)
    def awf_mq_reply_queue(self, ttl_s: float) -> str:
        """Optional (`capabilities.temporary_reply`). The name of a private queue for one answer, gone after `ttl_s`."""

    @hookspec(firstresult=True)
    def awf_mq_state_get(self, keys: Sequence[str]) -> Sequence[str | None]:
        """Optional (`capabilities.state`). The live values of small shared state, None where there is none."""

    @hookspec(firstresult=True)
    def awf_mq_state_put(self, entries: Sequence[StateEntry]) -> Sequence[bool]:
        """Optional (`capabilities.state`). Write, each atomically; False where `if_absent` found a live value."""

    @hookspec(firstresult=True)
    def awf_mq_state_list(self, prefix: str) -> Sequence[tuple[str, str]]:
        """Optional (`capabilities.state`). The live (key, value) pairs whose key starts with `prefix`, by key."""


class FormattingSpecs:
    """The form of a result on the wire."""

    @hookspec(firstresult=True)
    def awf_format_result(self, delivery: Delivery, message: Message | None, outcome: Outcome) -> Formatted | None:
        """Turn an outcome into the body published to `reply_to`; None leaves it to the next plugin, last to the core.

        `message` is None when the body could not be read. Pure: no I/O, called on a runner thread.
        """


class EventSpecs:
    """What happened. Observers are isolated: one that raises is logged by name and counted, and the worker goes on.

    Called on the worker's own threads: return quickly, and put slow work into a queue of your own.
    """

    @hookspec
    def awf_worker_started(self, worker: str, queues: Sequence[str], concurrency: int) -> None:
        """The worker is connected and about to consume."""

    @hookspec
    def awf_message_received(self, delivery: Delivery) -> None:
        """A delivery was received; nothing of it has been read yet."""

    @hookspec
    def awf_step_started(self, run_id: str, workflow: str, state: str, step_type: str) -> None:
        """A state is about to run."""

    @hookspec
    def awf_step_finished(self, run_id: str, workflow: str, state: str, status: str, duration_s: float) -> None:
        """A state has run; `status` is `completed` or `failed`."""

    @hookspec
    def awf_run_finished(self, run_id: str, workflow: str, status: str, exit_code: int, duration_s: float) -> None:
        """A run ended: `completed`, `failed` or `cancelled`."""

    @hookspec
    def awf_message_settled(self, delivery: Delivery, settlement: str, reason: str, duration_s: float) -> None:
        """A delivery ended: `ack`, `nack`, `dead_letter`, `discard`, and the broker accepted it; or `lost`."""

    @hookspec
    def awf_worker_stopping(self, worker: str, reason: str) -> None:
        """The worker stops consuming; what runs may still finish."""


class RegistrationSpecs:
    """What a plugin adds. Called once at start; one that raises stops the start with the plugin's name."""

    @hookspec
    def awf_register_step_types(self, register: Callable[[object], None]) -> None:
        """Call `register(step_type)` for each new `type:` of state (see `awf_core.extensions.steps.StepType`)."""

    @hookspec
    def awf_register_operations(self, register: Callable[[str, object], None]) -> None:
        """Call `register(name, operation)` for each operation of `type: operation` states.

        See `awf_core.extensions.operations.Operation`.
        """

    @hookspec
    def awf_register_agent_providers(self, register: Callable[[str, object], None]) -> None:
        """Call `register(name, provider)` for each `provider:` of agent states.

        See `awf_core.extensions.agents.AgentProvider`.
        """

    @hookspec
    def awf_register_executors(self, register: Callable[[str, object], None]) -> None:
        """Call `register(name, executor)` for each `executor:` that can run whole workflows.

        See `awf_core.extensions.executors.Executor`.
        """

    @hookspec
    def awf_register_commands(self, register: Callable[[object], None]) -> None:
        """Call `register(command)` with a click command for each new `awf` sub-command."""


SPEC_CLASSES = (BackendSpecs, FormattingSpecs, EventSpecs, RegistrationSpecs)

REQUIRED_HOOKS = (
    "awf_mq_open",
    "awf_mq_close",
    "awf_mq_ensure",
    "awf_mq_consume",
    "awf_mq_interrupt",
    "awf_mq_publish",
    "awf_mq_ack",
    "awf_mq_nack",
    "awf_mq_dead_letter",
    "awf_mq_extend",
    "awf_mq_stats",
)
"""The hooks every backend implements; the others are optional."""
