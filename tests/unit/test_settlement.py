"""What is tried when the broker refuses a settlement for good: it ends, and no completed run is repeated for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from awf_core.contract import Delivery
from awf_core.errors import BrokerMisconfigured
from awf_core.worker.decide import Decision, release
from awf_core.worker.in_hand import InHand
from awf_core.worker.settlement import Settlement, after_refusal, as_dead_letter, as_nack

ERROR = BrokerMisconfigured("broker: not allowed")
OLD = ({"attempt": 1, "error": "first"},)
DEAD = Decision(ending="dead_letter", reason="max_attempts", error="e" * 9000)


def settlement(decision: Decision, *, dead_letter_queue: str | None = "dead") -> Settlement:
    delivery = Delivery(queue="q", body=b"{}", receipt=1, id="m", history=OLD)
    (message,) = InHand(has_stable_ids=True, renew_every_s=1.0).take([delivery], now=0.0).fresh
    return Settlement(
        in_hand=message,
        decision=decision,
        received_at=0.0,
        dead_letter_queue=dead_letter_queue,
        history=(*OLD, {"attempt": 2, "error": "second"}),
    )


def test_a_dead_lettering_is_tried_once_more_in_short_then_the_message_is_released():
    first = settlement(DEAD)

    second = after_refusal(first, ERROR)
    assert second is not None
    item = as_dead_letter(second, second.delivery)
    assert (item.history, item.reason, len(item.error) < 300) == ((), "max_attempts", True)

    third = after_refusal(second, ERROR)
    assert third is not None
    assert (third.decision.ending, third.decision.counted, third.decision.delay_s) == ("nack", False, 30.0)
    assert third.history == OLD
    assert after_refusal(third, ERROR) is None


def test_a_nack_is_tried_once_more_without_what_it_adds_to_the_history():
    first = settlement(Decision(ending="nack", delay_s=5.0, error="e" * 9000))

    second = after_refusal(first, ERROR)
    assert second is not None

    nack = as_nack(second, second.delivery)
    assert (nack.counted, nack.delay_s, nack.history, len(nack.reason) < 300) == (True, 5.0, OLD, True)
    assert after_refusal(second, ERROR) is None


def test_a_refused_ack_becomes_a_dead_lettering_so_that_the_run_is_not_repeated():
    second = after_refusal(settlement(Decision(ending="ack")), ERROR)

    assert second is not None
    assert (second.decision.ending, second.decision.reason) == ("dead_letter", "settle_refused")
    assert "broker: not allowed" in second.decision.error


def test_a_refused_ack_without_a_dead_letter_queue_has_nothing_left_to_try():
    assert after_refusal(settlement(Decision(ending="ack"), dead_letter_queue=None), ERROR) is None


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_texts_for_the_broker_hold_no_nul_and_no_lone_surrogate(text: str):
    dead = as_dead_letter(settlement(replace(DEAD, error=text)), Delivery(queue="q", body=b"", receipt=1))
    nack = as_nack(settlement(replace(release("x"), reason=text)), Delivery(queue="q", body=b"", receipt=1))

    for written in (dead.error, nack.reason):
        assert "\0" not in written
        assert written.encode()
