"""The fence: what a delivery is recognised by when it is settled. Pure.

Made by `claim.py`, checked by `settle.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from awf_core.errors import LeaseLost

if TYPE_CHECKING:
    from pathlib import Path

    from awf_core.contract import Delivery

HELD = "id = ? AND deliveries = ? AND owner IS NOT NULL"
"""The condition under which a row still is the delivery of (row_id, deliveries): every other ending clears
`owner`, gives the message a new id, or hands it out once more.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One handing-over of one row of one queue file. A lease that ended is still ours until somebody else
    takes it.
    """

    store: str
    row_id: int
    deliveries: int


def held_row(delivery: Delivery, store: str) -> tuple[int, int] | None:
    """The values for HELD; None for a receipt of another file or backend."""
    receipt = delivery.receipt
    if isinstance(receipt, Receipt) and receipt.store == store:
        return receipt.row_id, receipt.deliveries
    return None


def lost(delivery: Delivery, path: Path) -> LeaseLost:
    """The answer to settling what is no longer ours."""
    return LeaseLost(
        f"{path}: delivery {delivery.deliveries} of message {delivery.id} in {delivery.queue!r} is not ours "
        "any more: its lease ended and it was handed out again, or it was settled before",
        hint="nothing was changed or published; if runs outlast the lease, raise mq.sqlite.lease",
    )
