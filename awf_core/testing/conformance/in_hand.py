"""D11 to D18, B11: receipts, lease renewals, evidence of crashes, ages. Cases of `MqConformance`."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from awf_core.errors import LeaseLost
from awf_core.testing.actions import ack, assert_quiet, nack, numbered, send, take, take_one
from awf_core.testing.clocks import SkewedClock
from awf_core.testing.eventually import eventually
from awf_core.testing.needs import case

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import Delivery
    from awf_core.errors import BrokerError
    from awf_core.testing.kit import Kit

LEASES_HELD = 2.0
HOURS_S = 5 * 3600.0
DELAY_S = 0.6
YOUNG_S = 30.0
"""What a busy machine may add to the age of a message; far below the hours that the clocks are wrong by."""


class InHandCases:
    """What a consumer has in hand is known by its receipt, and counted as a crash only where the evidence says so."""

    @case("B11")
    def test_each_delivery_has_a_receipt_of_its_own(self, kit: Kit) -> None:
        """B11: a receipt can be hashed, equals itself, and differs from that of every other delivery."""
        mq = kit.mq()
        send(mq, kit.names.work, *numbered(2))
        deliveries = take(mq, kit.names.work, 2)
        nack(mq, deliveries[0], is_counted=False)

        deliveries.append(take_one(mq, kit.names.work))

        try:
            different = {delivery.receipt for delivery in deliveries}
        except TypeError as error:
            raise AssertionError(f"expected a receipt that can be hashed: {error}") from None
        assert len(different) == 3, f"three deliveries: expected three different receipts, got {different}"
        assert all(delivery.receipt in different for delivery in deliveries), "expected a receipt to equal itself"

    @case("B11b")
    def test_a_delivery_is_extended_by_its_receipt_also_with_other_fields(self, kit: Kit) -> None:
        """B11b: a plugin may have replaced the object, its body, id and headers."""
        mq = kit.mq()
        send(mq, kit.names.work, b"x")
        delivery = take_one(mq, kit.names.work)

        copies = [replace(delivery), replace(delivery, body=b"opened", id="other", headers={}, deliveries=99)]
        answers = [list(mq.extend([copy])) for copy in copies]

        assert answers == [[None], [None]], f"extend of copies with the receipt: expected None each, got {answers}"
        ack(mq, copies[1])

    @case("D1b")
    def test_an_extend_answers_for_each_delivery(self, kit: Kit) -> None:
        """D1b: LeaseLost for what is settled or unknown, None for what is renewed, in the order of the call."""
        mq = kit.mq()
        send(mq, kit.names.work, *numbered(3))
        settled, first, second = take(mq, kit.names.work, 3)
        ack(mq, settled)
        unknown = replace(first, receipt=object())

        answers = list(mq.extend([settled, first, unknown, second]))

        _assert_kinds(answers, [LeaseLost, None, LeaseLost, None], "settled, held, unknown receipt, held")
        ack(mq, first, second)

    @case("D1c", "lease_s", "late_renewal")
    def test_a_lease_that_ended_is_renewed_while_no_other_consumer_has_the_message(self, kit: Kit) -> None:
        """D1c: a late extend answers None, and the message is not redelivered during the new lease."""
        mq, other = kit.mq(is_short=True), kit.mq(worker="kit-2")
        send(mq, kit.names.work, b"x")
        delivery = take_one(mq, kit.names.work)
        end_s = time.monotonic() + kit.short_lease_s * 1.2
        eventually(lambda: time.monotonic() > end_s, kit.short_lease_s * 2 + 1.0, what="the end of the lease")

        answers = list(mq.extend([delivery]))

        _assert_kinds(answers, [None], "a lease that ended and no consumer claimed")
        assert_quiet(other, kit.names.work, for_s=kit.short_lease_s / 3)
        ack(mq, delivery)

    @case("D1d", "lease_s")
    def test_the_leases_of_two_queues_are_renewed_side_by_side(self, kit: Kit) -> None:
        """D1d: two threads, one for each queue, extend at the same time; no message is redelivered."""
        mq, other = kit.mq(is_short=True), kit.mq(worker="kit-2")
        queues = (kit.names.work, kit.names.other)
        for queue in queues:
            send(mq, queue, b"x")
        held = {queue: take_one(mq, queue) for queue in queues}
        answers: dict[str, list[BrokerError | None]] = {queue: [] for queue in queues}
        is_over = threading.Event()

        def renew(queue: str) -> None:
            while not is_over.wait(kit.short_lease_s / 4):
                answers[queue] += mq.extend([held[queue]])

        threads = [threading.Thread(target=renew, args=(queue,)) for queue in queues]
        for thread in threads:
            thread.start()
        came = other.consume(queues[0], limit=1, wait_s=LEASES_HELD * kit.short_lease_s)
        also = other.consume(queues[1], limit=1, wait_s=0.0)
        is_over.set()
        for thread in threads:
            thread.join()

        assert (list(came), list(also)) == ([], []), "expected no redelivery while both leases are renewed"
        for queue in queues:
            assert answers[queue], f"expected answers for {queue}"
            _assert_kinds(answers[queue], [None] * len(answers[queue]), f"renewals of {queue}")
            ack(mq, held[queue])

    @case("D11", "lease_s")
    def test_a_consumer_that_takes_its_own_message_again_did_not_crash(self, kit: Kit) -> None:
        """D11: the lease ended, the owner itself claims: deliveries 2, crashes 0, and the old receipt is lost."""
        mq = kit.mq(is_short=True)
        send(mq, kit.names.work, b"x")
        first = take_one(mq, kit.names.work)

        again = take_one(mq, kit.names.work, within_s=kit.late_s)

        _assert_crashes(again, 0, "redelivered to the process that had it")
        assert again.deliveries == 2, f"expected the second delivery, got {again.deliveries}"
        _assert_kinds(list(mq.extend([first, again])), [LeaseLost, None], "the old receipt, the new one")
        ack(mq, again)

    @case("D12", "lease_s", "crashes")
    def test_a_live_owner_takes_the_crash_back_that_its_silence_was_counted_as(self, kit: Kit) -> None:
        """D12: an extend that answers LeaseLost proves that the owner lives; it takes back one crash, its own."""
        silent, lost, last = (kit.mq(worker=f"kit-{number}", is_short=True) for number in range(3))
        send(silent, kit.names.work, b"x")
        stale = take_one(silent, kit.names.work)
        second = take_one(lost, kit.names.work, within_s=kit.late_s)
        third = take_one(last, kit.names.work, within_s=kit.late_s)

        for _ in range(3):
            _assert_kinds(list(silent.extend([stale])), [LeaseLost], "a lease that another consumer has")
        nack(last, third, is_counted=False)
        after = take_one(last, kit.names.work)

        _assert_crashes(second, 1, "one lease ended")
        _assert_crashes(third, 2, "two leases ended")
        _assert_crashes(after, 1, "the first owner asked for its lease three times, the second one never")
        ack(last, after)

    @case("D13", "nack_delay")
    def test_the_age_of_a_message_is_by_the_clock_of_the_broker(self, kit: Kit) -> None:
        """D13: seconds from the first delivery to this one, whatever the clocks of the consumers' hosts say."""
        fast = kit.mq(clock=SkewedClock(HOURS_S))
        slow = kit.mq(worker="kit-2", clock=SkewedClock(-HOURS_S))
        send(fast, kit.names.work, b"x")
        first = take_one(fast, kit.names.work)
        nack(fast, first, delay_s=DELAY_S)

        second = take_one(slow, kit.names.work)
        nack(slow, second)
        third = take_one(fast, kit.names.work)

        ages = [first.age_s, second.age_s, third.age_s]
        assert (ages[0] or 0.0) < 1.0, f"at the first delivery: expected age_s 0 or None, got {ages[0]}"
        for age_s in ages[1:]:
            assert age_s is not None, "at a redelivery: expected age_s to be known"
            assert DELAY_S * 0.8 < age_s < YOUNG_S, (
                f"expected an age of {DELAY_S} s and a little more, by the broker's clock; ages of the three: {ages}"
            )
        ack(fast, third)

    @case("D14")
    def test_a_lease_holds_until_the_time_that_the_delivery_says(self, kit: Kit) -> None:
        """D14: `lease_until` is reckoned from before the claim; None where the lease is a connection."""
        mq = kit.mq()
        send(mq, kit.names.work, b"x")

        began_s = time.monotonic()
        delivery = take_one(mq, kit.names.work)
        ended_s = time.monotonic()

        lease_s, until = mq.capabilities.lease_s, delivery.lease_until
        if lease_s is None:
            assert until is None, f"a lease that is a connection: expected lease_until None, got {until}"
            return
        assert until is not None, "expected lease_until, got None"
        assert began_s - 0.01 <= until - lease_s <= ended_s, (
            f"expected lease_until between {began_s + lease_s:.3f} and {ended_s + lease_s:.3f}, got {until:.3f}"
        )


def _assert_kinds(answers: Sequence[object], expected: Sequence[type | None], what: str) -> None:
    kinds = [None if answer is None else type(answer) for answer in answers]
    names = [None if kind is None else kind.__name__ for kind in expected]
    assert kinds == list(expected), f"extend of {what}: expected {names}, got {list(answers)}"


def _assert_crashes(delivery: Delivery, expected: int, why: str) -> None:
    assert delivery.crashes == expected, f"{why}: expected crashes {expected}, got {delivery.crashes}"
