"""B: handing out and acknowledging. Cases of the kit; part of `MqConformance`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from awf_core.contract import Ack
from awf_core.errors import LeaseLost
from awf_core.testing.actions import ack, assert_quiet, drain, nack, numbered, send, take, take_one
from awf_core.testing.needs import case

if TYPE_CHECKING:
    from awf_core.testing.kit import Kit

PROCESSES = 8


class DeliveryCases:
    """Everything once, in order where promised, and nobody's ack is another's."""

    @case("B1", "processes")
    def test_many_processes_get_every_message_exactly_once(self, kit: Kit) -> None:
        """B1: without faults nothing is lost and nothing comes twice, however many take at once."""
        total = kit.count(400, least=50)
        producer = kit.mq()
        send(producer, kit.names.work, *numbered(total))
        children = [kit.child("drain", kit.names.work) for _ in range(PROCESSES)]
        for child in children:
            child.await_line("ready", within_s=60.0)

        for child in children:
            child.say()
        for child in children:
            child.end(60.0)

        lines = [line for child in children for line in child.lines("drained")]
        bodies = [body for line in lines for body in line["bodies"]]
        assert [line["errors"] for line in lines if line["errors"]] == []
        assert sorted(map(int, bodies)) == list(range(total))
        assert_quiet(producer, kit.names.work)

    @case("B1b")
    def test_one_consumer_gets_every_message_exactly_once(self, kit: Kit) -> None:
        """B1b: a batch in, the same batch out, no message twice."""
        total = kit.count(100, least=20)
        mq = kit.mq()
        send(mq, kit.names.work, *numbered(total))

        bodies = drain(mq, kit.names.work)

        assert sorted(bodies) == sorted(numbered(total))

    @case("B2", "ordered")
    def test_a_single_consumer_sees_messages_in_the_order_of_publishing(self, kit: Kit) -> None:
        """B2: order holds within a call and over calls."""
        mq = kit.mq()
        bodies = numbered(30)
        send(mq, kit.names.work, *bodies[:20])
        for body in bodies[20:]:
            send(mq, kit.names.work, body)

        taken = take(mq, kit.names.work, 30, limit=7)

        assert [d.body for d in taken] == bodies

    @case("B3")
    def test_an_ack_out_of_order_ends_no_other_delivery(self, kit: Kit) -> None:
        """B3: the last of three acked leaves the first two alive."""
        mq = kit.mq()
        send(mq, kit.names.work, *numbered(3))
        first, second, third = take(mq, kit.names.work, 3)

        ack(mq, third)
        nack(mq, first, second)

        again = take(mq, kit.names.work, 2)
        assert sorted(d.body for d in again) == sorted((first.body, second.body))
        assert_quiet(mq, kit.names.work)

    @case("B4")
    def test_a_consumer_full_of_unacked_deliveries_goes_on_once_it_acks(self, kit: Kit) -> None:
        """B4: holding many blocks nobody for good."""
        mq = kit.mq()
        total = kit.count(60, least=20)
        send(mq, kit.names.work, *numbered(total))

        held = take(mq, kit.names.work, total // 2)
        ack(mq, *held)
        rest = take(mq, kit.names.work, total - total // 2)
        ack(mq, *rest)

        assert sorted(d.body for d in held + rest) == sorted(numbered(total))

    @case("B5")
    def test_no_more_is_taken_than_was_asked_for(self, kit: Kit) -> None:
        """B5: what a consumer did not ask for stays free for others, counted as ready."""
        mq, other = kit.mq(), kit.mq(worker="kit-2")
        send(mq, kit.names.work, *numbered(10))

        held = take(mq, kit.names.work, 3)

        stats = other.stats(kit.names.work)
        assert stats.ready in (7, None)
        assert stats.in_flight in (3, None)
        assert len(take(other, kit.names.work, 7)) == 7
        ack(mq, *held)

    @case("B6")
    def test_a_slow_consumer_keeps_no_message_from_a_free_one(self, kit: Kit) -> None:
        """B6: with one message in the hands of one consumer, the next goes to the other."""
        slow, free = kit.mq(), kit.mq(worker="kit-2")
        send(slow, kit.names.work, b"long")
        held = take_one(slow, kit.names.work)

        for body in numbered(5):
            send(slow, kit.names.work, body)
            ack(free, take_one(free, kit.names.work, within_s=5.0))

        assert held.body == b"long"
        ack(slow, held)

    @case("B7")
    def test_an_ack_is_final_for_whoever_connects_later(self, kit: Kit) -> None:
        """B7: nothing acked comes back to a new connection."""
        mq = kit.mq()
        send(mq, kit.names.work, *numbered(5))
        ack(mq, *take(mq, kit.names.work, 5))
        mq.close()

        assert_quiet(kit.mq(worker="kit-2"), kit.names.work)

    @case("B7b", "server", "restart")
    def test_an_ack_is_final_after_a_restart_of_the_broker(self, kit: Kit) -> None:
        """B7b: acked stays acked, unacked stays there, over a kill of the broker."""
        mq = kit.mq()
        send(mq, kit.names.work, *numbered(6))
        ack(mq, *take(mq, kit.names.work, 3))

        assert kit.target.control is not None
        kit.target.control.restart()

        left = drain(kit.mq(worker="kit-2"), kit.names.work, for_s=2.0)
        assert len(left) == 3, f"{left} came back after three of six were acked"

    @case("B8")
    def test_acking_twice_is_harmless(self, kit: Kit) -> None:
        """B8: the second ack answers None or LeaseLost, and ends nothing else."""
        mq = kit.mq()
        send(mq, kit.names.work, *numbered(2))
        first, second = take(mq, kit.names.work, 2)
        ack(mq, first)

        (answer,) = mq.ack([Ack(delivery=first)])

        assert answer is None or isinstance(answer, LeaseLost)
        nack(mq, second)
        assert take_one(mq, kit.names.work).body == second.body

    @case("B9")
    def test_a_receipt_the_backend_never_gave_is_refused(self, kit: Kit) -> None:
        """B9: an unknown receipt is LeaseLost for that item and spoils no other of the call."""
        mq = kit.mq()
        send(mq, kit.names.work, b"{}")
        delivery = take_one(mq, kit.names.work)
        forged = replace(delivery, receipt=object())

        refused, taken = mq.ack([Ack(delivery=forged), Ack(delivery=delivery)])

        assert isinstance(refused, LeaseLost)
        assert str(refused)
        assert taken is None

    @case("B9b")
    def test_a_delivery_that_was_given_back_can_no_longer_be_acked(self, kit: Kit) -> None:
        """B9b: a receipt is good once; the message goes its new way."""
        mq = kit.mq()
        send(mq, kit.names.work, b"{}")
        delivery = take_one(mq, kit.names.work)
        nack(mq, delivery)

        (answer,) = mq.ack([Ack(delivery=delivery)])

        assert isinstance(answer, LeaseLost)
        assert take_one(mq, kit.names.work).body == b"{}"

    @case("B10")
    def test_a_delivery_is_settled_by_its_receipt_whatever_became_of_its_body(self, kit: Kit) -> None:
        """B10: wrappers may replace body and headers; the broker's own copy is what counts."""
        mq = kit.mq()
        original = json.dumps({"secret": "sealed"}).encode()
        send(mq, kit.names.work, original)
        opened = replace(take_one(mq, kit.names.work), body=b"opened by a plugin", headers={})
        nack(mq, opened)

        again = replace(take_one(mq, kit.names.work), body=b"opened again")
        ack(mq, again)

        assert_quiet(mq, kit.names.work)
