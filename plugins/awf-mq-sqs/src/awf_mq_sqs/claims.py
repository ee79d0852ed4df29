"""The deliveries that this process has: what is needed to settle each, and until when it may. Thread-safe.

SQS takes an old receipt handle for a message that another consumer has by now, and may delete that consumer's message.
So the fence is here: what isn't in this register, or whose lease has ended by the monotonic clock, is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from awf_mq_sqs.state import NO_STATE, State

if TYPE_CHECKING:
    from awf_core.contract import Delivery
    from awf_mq_sqs.attributes import Attributes
    from awf_mq_sqs.evidence import Received

KEPT_S = 60.0
"""How long a delivery whose lease ended stays in the register; only to keep the register small."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The identity of a delivery: the number is this process's own, so no two are the same."""

    number: int
    handle: str = field(repr=False)


@dataclass(slots=True, eq=False, kw_only=True)
class Claim:
    """A delivery in hand. The body is as it is in the queue: the pointer, where the content is in S3.

    source_arn     of a message that SQS itself moved to a dead-letter queue: the queue it came from
    can_copy       whether a nack may publish a copy: not in a FIFO queue, nor where the copy would be too large
    large_key      the key in S3 of a body that is there
    received_at    `Clock.monotonic()` before the request that received it was sent
    lease_until    until when its lease holds by the same clock
    has_replied    whether its replies are published
    has_moved      whether its copy, or its dead-lettered message, is published
    """

    receipt: Receipt
    queue: str
    url: str
    message_id: str
    body: str
    attributes: Attributes
    received: Received
    received_at: float
    lease_until: float
    state: State = NO_STATE
    group: str | None = None
    trace: str | None = None
    source_arn: str | None = None
    can_copy: bool = True
    large_key: str | None = None
    has_replied: bool = False
    has_moved: bool = False


class Claims:
    """The register."""

    def __init__(self) -> None:
        self._claims: dict[Receipt, Claim] = {}
        self._numbers = count(1)
        self._lock = threading.Lock()

    def receipt(self, handle: str) -> Receipt:
        """A receipt for one receive."""
        return Receipt(next(self._numbers), handle)

    def add(self, claims: Sequence[Claim], now: float) -> None:
        """Register what was received, and forget what was lost long ago."""
        with self._lock:
            for receipt in [key for key, claim in self._claims.items() if claim.lease_until + KEPT_S < now]:
                del self._claims[receipt]
            for claim in claims:
                self._claims[claim.receipt] = claim

    def held(self, delivery: Delivery, now: float) -> Claim | None:
        """The claim of `delivery` while its lease holds; None = it is settled, lost, or not of this process."""
        if not isinstance(delivery.receipt, Receipt):
            return None
        claim = self._claims.get(delivery.receipt)
        return claim if claim is not None and now < claim.lease_until else None

    def drop(self, claim: Claim) -> None:
        """It is settled or lost."""
        with self._lock:
            self._claims.pop(claim.receipt, None)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._claims.clear()
