"""The values that pass between the core and a backend. Read with `hookspecs.py`; together they are the whole contract.

Everything here is frozen and safe to share between threads. Numbers carry their unit in the name.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from awf_core.clock import Clock

API_VERSION = 1
"""The version of this contract. A backend states the one it was written for as a literal `api_version = 1`."""

RESULT_TYPE = "awf.result"
"""The `type` of a result's JSON object. No message has it; a body that has it is never run."""

Role = Literal["work", "dead", "reply"]
Declare = Literal["auto", "passive", "never"]
ItemState = Literal["ready", "delayed", "in_flight", "dead"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Delivery:
    """One delivery of a message by a broker.

    receipt         the identity of this delivery: opaque, hashable, compared by `==`, never the same twice. A backend
                    settles and extends by it, never by `body` or by the object, since wrappers replace those
    id              the message's id, the same at each redelivery; None where the broker has none. Where
                    `Capabilities.stable_ids`, it names one message of the queue and no other
    message_id      the id that the producer gave it; two messages may have the same. None = none
    attempt         1 + the number of counted nacks before this delivery
    deliveries      how often the message was delivered, this time included: the fence. Nothing is decided by it
    crashes         how many runs of this message started and never ended, by the evidence the broker has: their
                    workers died. Deliveries that were released, that expired before they were read, or that a live
                    worker lost do not count
    body_bytes      size of the stored body. A stub has a size and an empty body: the stored one is over
                    `BackendContext.max_body_bytes` and was not transferred
    headers         hints only: a broker without headers carries none
    history         what failed before: one entry for each counted nack, oldest first, as `Nack.history` gave it
    age_s           seconds from the first delivery to this one, by the broker's clock alone; None = unknown
    lease_until     `Clock.monotonic()` seconds until which the lease holds for certain, reckoned from before the
                    claim was sent; None = as long as the connection lives
    expires_in_s    seconds from this delivery until the producer wants the message run no more; None = no such time,
                    or only the broker knows it
    priority        as the producer gave it; None = none
    group           the ordering group (FIFO queues); None = none
    """

    queue: str
    body: bytes
    receipt: Hashable
    id: str | None = None
    message_id: str | None = None
    attempt: int = 1
    deliveries: int = 1
    crashes: int = 0
    body_bytes: int | None = None
    reply_to: str | None = None
    correlation_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[Mapping[str, object]] = ()
    age_s: float | None = None
    lease_until: float | None = None
    expires_in_s: float | None = None
    priority: int | None = None
    group: str | None = None

    @property
    def is_stub(self) -> bool:
        """Whether the body was too large to be transferred: it is empty here, and whole at the broker."""
        # Not by comparing sizes: a wrapper that opens a sealed body makes it smaller.
        return bool(self.body_bytes) and not self.body


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outgoing:
    """A message to publish.

    A `delay_s`, `priority` or `expires_s` the backend can't honour is an error for that item, never silence.
    `group` and `dedup_id` are for brokers that order or deduplicate (FIFO queues); others ignore them.
    """

    queue: str
    body: bytes
    id: str | None = None
    reply_to: str | None = None
    correlation_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    delay_s: float = 0.0
    expires_s: float | None = None
    priority: int | None = None
    group: str | None = None
    dedup_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Remember:
    """A piece of shared state written together with an ack (see `awf_mq_state_put`)."""

    key: str
    value: str
    ttl_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ack:
    """The delivery is done. `replies` are published before, or atomically with, the ack; `remember` likewise.

    A producer chose the queues of `replies`. A backend creates them as `reply` queues where they are missing, and
    refuses a queue that any process has ensured as a `work` or `dead` queue.
    """

    delivery: Delivery
    replies: Sequence[Outgoing] = ()
    remember: Remember | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nack:
    """The message is redelivered after `delay_s`. `counted=False`: released, not failed; `attempt` stays.

    `history` is all that is to be stored as `Delivery.history`: what the delivery had, and an entry for a counted nack.
    A nack with a delay in a FIFO group holds up the later messages of the group, as the broker's documentation says.
    """

    delivery: Delivery
    delay_s: float = 0.0
    counted: bool = True
    reason: str = ""
    history: Sequence[Mapping[str, object]] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeadLetter:
    """The delivery goes to the dead-letter queue `queue`, body byte-identical, source queue recorded with it.

    `reason` is one word (`malformed`, `max_attempts`), `error` the text for a person. `history` is the whole history,
    oldest first: backends store exactly that. No text holds a NUL or a lone surrogate. `replies` as in Ack. The body of
    a stub moves on the broker's side.
    """

    delivery: Delivery
    queue: str
    reason: str
    error: str
    history: Sequence[Mapping[str, object]] = ()
    replies: Sequence[Outgoing] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What a queue holds; None = this broker can't say. `dead` counts the dead-lettered messages of this queue.

    `oldest_age_s` is the age of the oldest message that is ready.
    """

    ready: int | None = None
    delayed: int | None = None
    in_flight: int | None = None
    dead: int | None = None
    oldest_age_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueItem:
    """A message browsed, not consumed. `source`, `reason`, `error`, `history`, `dead_at` are set on dead-lettered ones.

    `id` is the backend's handle, good for `awf_mq_move`; `message_id` is the producer's. Times are epoch seconds.
    """

    id: str
    body: bytes
    state: ItemState
    message_id: str | None = None
    attempt: int = 1
    deliveries: int = 0
    reply_to: str | None = None
    correlation_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    enqueued_at: float | None = None
    due_at: float | None = None
    source: str | None = None
    reason: str | None = None
    error: str | None = None
    history: Sequence[Mapping[str, object]] = ()
    dead_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Part of a queue. `exact=False`: browsing may have changed order or counts. `next` continues, None = the end."""

    items: Sequence[QueueItem]
    exact: bool = True
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateEntry:
    """One write of shared state. `value=None` deletes; `if_absent` writes only where no live value stands."""

    key: str
    value: str | None
    ttl_s: float | None = None
    if_absent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend instance can do. The worker adapts to it, and the conformance kit skips by it.

    lease_s          how long a delivery stays leased without an extend; None = as long as the connection lives
    max_hold_s       the longest a delivery can stay unsettled, extended or not; None = no limit
    max_publish_delay_s   the longest `Outgoing.delay_s`; None = no limit, 0 = a publish can't be delayed
    max_nack_delay_s      the longest `Nack.delay_s`; None = no limit, 0 = a nack can't be delayed
    max_body_bytes   largest body; None = no limit of the broker's own
    min_body_bytes   smallest body (some brokers refuse 0)
    max_queue_name_bytes   the longest name of a queue, in bytes of UTF-8
    reserved_names   regular expressions of queue names the backend keeps for itself (retry queues, keys of its own):
                     no message is ever published there
    expires          what `Outgoing.expires_s` works on: any message, replies only, or none
    batch            how many items of a call go to the broker in one step
    atomic_settle    replies and ack happen together or not at all
    fenced           a settlement with an old receipt is refused whole, replies included, whatever happened meanwhile.
                     Where it is not, the core extends right before it settles, and two results are possible
    stable_ids       `Delivery.id` names one message of the queue, the same at each redelivery, for every producer
    attempts         whether `attempt` is exact
    crashes          what `Delivery.crashes` rests on. `owner`: each lease that ended under another owner counts at
                     once, and is taken back when that owner turns out to live. `noted`: the broker knows no owner,
                     starts are noted in a message after some returns, and the first deaths stay uncounted
    late_renewal     whether an extend renews a lease that has ended, while no other consumer has the message. Without
                     it the answer is LeaseLost from the end of the lease on
    oversized_stubs  a body over `BackendContext.max_body_bytes` arrives as a stub; else it arrives whole
    headers, priority, state, temporary_reply   whether the feature is there
    binary_bodies    whether any byte may be in a body
    browse_exact     whether `awf_mq_browse` leaves order and counts alone
    interrupt_s      how soon a waiting consume returns after `awf_mq_interrupt`
    ordered          whether a single consumer sees messages in publish order
    """

    lease_s: float | None
    max_hold_s: float | None = None
    max_publish_delay_s: float | None = None
    max_nack_delay_s: float | None = None
    max_body_bytes: int | None = None
    min_body_bytes: int = 0
    max_queue_name_bytes: int = 255
    reserved_names: tuple[str, ...] = ()
    expires: Literal["any", "replies", "none"] = "any"
    batch: int = 100
    atomic_settle: bool = False
    fenced: bool = True
    stable_ids: bool = False
    attempts: Literal["exact", "approximate"] = "exact"
    crashes: Literal["owner", "noted"] = "owner"
    late_renewal: bool = True
    oversized_stubs: bool = False
    headers: bool = False
    binary_bodies: bool = True
    priority: bool = False
    state: bool = False
    temporary_reply: bool = False
    browse_exact: bool = False
    interrupt_s: float = 1.0
    ordered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendContext:
    """What the core gives a backend when it constructs it.

    `directory` is where the configuration lies (relative paths in settings start there); `declare` says whether
    queues may be created; `reply_ttl_s` is how long an unread reply is kept where the broker can expire it;
    `max_run_s` is how long the longest run may take, None = no limit, or unknown; `max_body_bytes` is the largest body
    the core reads, None = no limit; `instance` names this process among all workers that ever ran: the owner of what it
    claims.
    """

    worker: str
    clock: Clock
    directory: str
    concurrency: int = 1
    declare: Declare = "auto"
    reply_ttl_s: float = 86400.0
    max_run_s: float | None = None
    max_body_bytes: int | None = None
    instance: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass(frozen=True, slots=True, kw_only=True)
class Formatted:
    """A result ready to publish."""

    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class BackendClass(Protocol):
    """What the loader requires of the class behind an `awf.mq` entry point, next to the required hooks."""

    api_version: int
    Settings: type
    capabilities: Capabilities

    def __init__(self, settings: object, context: BackendContext) -> None:
        """Keep both; do no I/O."""
