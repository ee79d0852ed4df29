"""What the receives of a message say about its runs. Pure.

SQS counts receives, and says nothing of how they ended: a worker died, or it released the message; an operator polled
the queue in the AWS console. So a few unexplained receives are nothing. From then on a start is noted in the message
before it is delivered: a copy with the note is published, then the original is removed. A noted start that ends
neither in a release, a nack nor a settlement is a crash.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from awf_mq_sqs.state import State

FREE_RECEIVES = 4
"""The last receive that is delivered without a note: up to four deaths of workers stay uncounted."""

SLACK_S = 0.5
"""A message that is due so soon is delivered."""

Verdict = Literal["deliver", "note", "wait"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A receive, by SQS's own numbers. Milliseconds are epoch time of SQS's clock; `now_ms` is that of the receive."""

    receives: int
    sent_ms: int
    first_ms: int
    now_ms: int

    @property
    def age_since_sent_s(self) -> float:
        """Seconds since the message (or copy) was sent."""
        return (self.now_ms - self.sent_ms) / 1000


def due_in_s(state: State, received: Received) -> float:
    """How many seconds the message still has to wait; 0 or less = it is due."""
    return state.delay_s - received.age_since_sent_s if state.delay_s else 0.0


def verdict_of(state: State, received: Received) -> Verdict:
    """Whether the message is delivered, gets a note first, or isn't due."""
    if due_in_s(state, received) > SLACK_S:
        return "wait"
    receives = received.receives - _waits(state)
    if state.is_noted:
        return "deliver" if receives <= 1 else "note"
    return "note" if state.crashes or receives > FREE_RECEIVES else "deliver"


def noted(state: State, received: Received, own_id: str) -> State:
    """The state of the copy that notes the start."""
    has_crashed = state.is_noted and received.receives - _waits(state) > 1
    return replace(
        carried(state, received, own_id), crashes=state.crashes + has_crashed, is_noted=True, history=state.history
    )


def carried(state: State, received: Received, own_id: str) -> State:
    """The state of any copy: what came before is added up, and the next start isn't noted."""
    return replace(
        state,
        id=state.id or own_id,
        deliveries=state.deliveries + received.receives,
        first_ms=state.first_ms or received.first_ms,
        is_noted=False,
        delay_s=0,
    )


def age_s(state: State, received: Received) -> float:
    """Seconds from the first delivery of the chain to this one, by SQS's clock."""
    return max(0.0, (received.now_ms - (state.first_ms or received.first_ms)) / 1000)


def _waits(state: State) -> int:
    """The receives that only found the message not due: one, where the delay was too long for DelaySeconds."""
    return 1 if state.delay_s else 0
