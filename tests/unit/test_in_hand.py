"""A delivery of a message in hand is bound to it, and to nothing else."""

from __future__ import annotations

from dataclasses import replace

from awf_core.contract import Delivery
from awf_core.worker.in_hand import InHand

RENEW_S = 20.0


def delivery(receipt: object, *, name: str | None = "m1", body: bytes = b"{}", queue: str = "q", deliveries: int = 1):
    return Delivery(
        queue=queue, body=body, receipt=receipt, id=name, deliveries=deliveries, lease_until=float(receipt) + 60
    )


def in_hand(*, has_stable_ids: bool = True) -> InHand:
    return InHand(has_stable_ids=has_stable_ids, renew_every_s=RENEW_S)


def test_a_redelivery_of_a_message_in_hand_is_bound_and_replaces_the_receipt():
    hand = in_hand()
    (first,) = hand.take([delivery(1)], now=0.0).fresh
    first.lost_at = 50.0

    taken = hand.take([delivery(2, deliveries=2)], now=60.0)

    assert taken.fresh == []
    assert taken.bound == [first]
    assert (first.delivery.receipt, first.lease_until, first.renew_at, first.is_lost) == (2, 62.0, 80.0, False)
    assert len(hand) == 1


def test_a_first_delivery_is_another_message_whatever_its_id():
    hand = in_hand()
    hand.take([delivery(1)], now=0.0)

    taken = hand.take([delivery(2)], now=0.0)

    assert [message.delivery.receipt for message in taken.fresh] == [2]
    assert len(hand) == 2


def test_a_delivery_of_the_same_id_with_another_body_is_another_message():
    hand = in_hand()
    hand.take([delivery(1)], now=0.0)

    taken = hand.take([delivery(2, body=b"other", deliveries=2)], now=0.0)

    assert [message.delivery.receipt for message in taken.fresh] == [2]


def test_a_lease_that_is_lost_is_not_renewed_by_the_answer_for_an_older_delivery():
    hand = in_hand()
    (message,) = hand.take([delivery(1)], now=0.0).fresh
    old = message.delivery
    hand.take([delivery(2, deliveries=2)], now=60.0)

    is_lost = hand.lost(message, old, now=61.0)
    hand.renewed(message, old, renew_at=1000.0, lease_until=1000.0)

    assert (is_lost, message.is_lost, message.lease_until) == (False, False, 62.0)


def test_a_message_of_another_queue_or_id_is_not_bound():
    hand = in_hand()
    hand.take([delivery(1)], now=0.0)

    taken = hand.take([delivery(2, queue="other", deliveries=2), delivery(3, name="m2", deliveries=2)], now=0.0)

    assert [message.delivery.receipt for message in taken.fresh] == [2, 3]
    assert len(hand) == 3


def test_a_dropped_message_is_fresh_when_it_is_redelivered():
    hand = in_hand()
    (first,) = hand.take([delivery(1)], now=0.0).fresh

    hand.drop(first)
    hand.drop(first)

    assert len(hand) == 0
    assert len(hand.take([delivery(2, deliveries=2)], now=0.0).fresh) == 1


def test_without_stable_ids_two_messages_with_equal_bodies_are_both_run():
    hand = in_hand(has_stable_ids=False)

    taken = hand.take([delivery(1, name=None), delivery(2, name=None)], now=0.0)

    assert len(taken.fresh) == 2


def test_without_stable_ids_a_redelivery_is_bound_only_to_a_message_that_was_lost():
    hand = in_hand(has_stable_ids=False)
    lost, held = hand.take([delivery(1, name=None), delivery(2, name=None)], now=0.0).fresh
    lost.lost_at = 1.0

    once = hand.take([delivery(3, name=None, deliveries=2)], now=2.0)
    twice = hand.take([delivery(4, name=None, deliveries=2)], now=3.0)

    assert once.bound == [lost]
    assert held.delivery.receipt == 2
    assert [message.delivery.receipt for message in twice.fresh] == [4]


def test_without_stable_ids_a_first_delivery_is_never_bound():
    hand = in_hand(has_stable_ids=False)
    (lost,) = hand.take([delivery(1, name="same")], now=0.0).fresh
    lost.lost_at = 1.0

    assert len(hand.take([delivery(2, name="same")], now=2.0).fresh) == 1


def test_without_stable_ids_another_body_is_another_message_even_with_the_same_id():
    hand = in_hand(has_stable_ids=False)
    (lost,) = hand.take([delivery(1, body=b"a")], now=0.0).fresh
    lost.lost_at = 1.0

    assert len(hand.take([delivery(2, body=b"b", deliveries=2)], now=2.0).fresh) == 1


def test_what_is_in_hand_is_listed_by_queue():
    hand = in_hand()
    hand.take([delivery(1), delivery(2, name="m2", queue="other")], now=0.0)

    assert [message.delivery.receipt for message in hand.of_queue("other")] == [2]
    assert len(hand.all()) == 2


def test_a_retry_that_comes_back_before_its_nack_is_answered_is_a_message_to_run():
    hand = in_hand()
    (failed,) = hand.take([delivery(1)], now=0.0).fresh
    failed.is_settling = True

    released = hand.take([delivery(2, deliveries=2)], now=0.0)
    failed.is_settling = False
    retried = hand.take([replace(delivery(3, deliveries=3), attempt=2)], now=0.0)

    assert released.bound == retried.bound == []


def test_a_message_whose_settlement_found_the_lease_lost_is_bound_when_it_comes_back():
    hand = in_hand()
    (message,) = hand.take([delivery(1)], now=0.0).fresh
    message.is_settling = True

    hand.lost(message, message.delivery, now=1.0)

    assert hand.take([delivery(2, deliveries=2)], now=2.0).bound == [message]
