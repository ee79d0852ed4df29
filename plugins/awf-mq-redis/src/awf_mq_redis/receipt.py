"""The fence: what a delivery is recognised by when it is settled. Pure. Made by `claim.py`, checked by the scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from awf_core.errors import LeaseLost

if TYPE_CHECKING:
    from awf_core.contract import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One handing-over of one message. Ids are never used twice, not even after a FLUSHALL. A lease that ended is
    still ours until somebody else takes the message.
    """

    queue: str
    id: str
    deliveries: int


def receipt_of(delivery: Delivery) -> Receipt | None:
    """The delivery's receipt; None for one of another backend."""
    return delivery.receipt if isinstance(delivery.receipt, Receipt) else None


def lost(delivery: Delivery, where: str) -> LeaseLost:
    """The answer to settling what is no longer ours."""
    return LeaseLost(
        f"{where}: delivery {delivery.deliveries} of message {delivery.id} in {delivery.queue!r} is not ours any more: "
        "its lease ended and it was handed out again, or it was settled before",
        hint="nothing was changed or published; if runs outlast the lease, raise mq.redis.lease",
    )
