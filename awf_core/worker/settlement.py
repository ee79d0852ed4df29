"""How one message in hand is to end, the call of the backend for that, and what to try when it is refused for good.

Values and pure functions. Used by the pipeline, which decides, and by the settlers, which call the backend.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from awf_core.contract import Ack, DeadLetter, Nack
from awf_core.errors import BodyTooLarge, BrokerError, BrokerMisconfigured
from awf_core.message import clean_text
from awf_core.result import cut
from awf_core.worker.decide import Decision, release

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from awf_core.contract import Delivery, Outgoing
    from awf_core.mq import Mq
    from awf_core.worker.decide import Ending
    from awf_core.worker.in_hand import LeasedDelivery

MAX_REASON_BYTES = 1000
MAX_ERROR_BYTES = 4000
SHORT_BYTES = 200
"""What is left of a text in the second try of a settlement that was refused."""
REFUSED_DELAY_S = 30.0
"""When a message whose dead-lettering was refused is redelivered."""
SETTLE_REFUSED = "settle_refused"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settlement:
    """How one message is to end, and what the log and the observers get when it has.

    in_hand             the message: its newest delivery is what is settled
    received_at         monotonic seconds
    replies             published with the ack, or as the message is dead-lettered
    unsafe              why nothing may be published to the reply address; None = it may
    dead_letter_queue   None = messages are discarded
    history             what is stored with a nack or a dead-lettered message
    is_short            the second try of one that was refused
    """

    in_hand: LeasedDelivery
    decision: Decision
    received_at: float
    message_id: str | None = None
    replies: tuple[Outgoing, ...] = ()
    unsafe: str | None = None
    dead_letter_queue: str | None = None
    history: Sequence[Mapping[str, object]] = ()
    is_short: bool = False

    @property
    def delivery(self) -> Delivery:
        """The newest delivery of the message."""
        return self.in_hand.delivery


@dataclass(frozen=True, slots=True)
class SettlingCall:
    """One of the backend's settling calls: the endings it is for, and the crash points around it."""

    endings: tuple[Ending, ...]
    argument: Callable[[Settlement, Delivery], Any]
    call: Callable[[Any], Sequence[BrokerError | None]]
    before: str
    after: str


def settling_calls(mq: Mq) -> tuple[SettlingCall, ...]:
    """All of them, in the order in which a batch is settled."""
    return (
        SettlingCall(("ack", "discard"), as_ack, mq.ack, "settle.before_ack", "settle.acked"),
        SettlingCall(("nack",), as_nack, mq.nack, "settle.before_nack", "settle.nacked"),
        SettlingCall(
            ("dead_letter",), as_dead_letter, mq.dead_letter, "settle.before_dead_letter", "settle.dead_lettered"
        ),
    )


def as_ack(settlement: Settlement, delivery: Delivery) -> Ack:
    """The ack of `delivery`, the newest one of the settlement's message."""
    return Ack(delivery=delivery, replies=settlement.replies)


def as_nack(settlement: Settlement, delivery: Delivery) -> Nack:
    """The nack of `delivery`."""
    decision = settlement.decision
    return Nack(
        delivery=delivery,
        delay_s=decision.delay_s,
        counted=decision.counted,
        reason=_text(settlement, decision.reason or decision.error, MAX_REASON_BYTES),
        history=settlement.history,
    )


def as_dead_letter(settlement: Settlement, delivery: Delivery) -> DeadLetter:
    """The dead-lettering of `delivery`."""
    assert settlement.dead_letter_queue is not None
    return DeadLetter(
        delivery=delivery,
        queue=settlement.dead_letter_queue,
        reason=settlement.decision.reason,
        error=_text(settlement, settlement.decision.error, MAX_ERROR_BYTES),
        history=settlement.history,
        replies=settlement.replies,
    )


def _text(settlement: Settlement, text: str, max_bytes: int) -> str:
    return clean_text(cut(text, SHORT_BYTES if settlement.is_short else max_bytes))


def is_refused_for_good(error: BrokerError) -> bool:
    """Whether the same settlement would be refused again, whenever it is tried."""
    return isinstance(error, (BrokerMisconfigured, BodyTooLarge))


def after_refusal(settlement: Settlement, error: BrokerError) -> Settlement | None:
    """What to try after a settlement without replies was refused for good; None = nothing is left.

    A nack and a dead-lettering are tried once more with short texts and without what they add to the history. An ack
    becomes a dead-lettering, so that what was done is not run again; a refused dead-lettering, a release.
    """
    decision, short = settlement.decision, replace(settlement, is_short=True, history=settlement.delivery.history)
    if decision.ending == "dead_letter":
        return replace(short, history=()) if not settlement.is_short else _released(settlement, error)
    if settlement.is_short:
        return None
    if decision.ending == "nack":
        return short
    if settlement.dead_letter_queue is None:
        return None
    refused = Decision(ending="dead_letter", reason=SETTLE_REFUSED, error=f"the broker refused the ack: {error}")
    return replace(short, decision=refused)


def _released(settlement: Settlement, error: BrokerError) -> Settlement:
    decision = replace(release(SETTLE_REFUSED, REFUSED_DELAY_S), error=str(error))
    return replace(settlement, decision=decision, history=settlement.delivery.history)
