"""B: delivering and acknowledging. Cases of `MqConformance`."""

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
    """Every message once, in order where promised, and an ack ends only its own delivery."""

    @case("B1", "processes")
    def test_many_processes_get_every_message_exactly_once(self, kit: Kit) -> None:
        """B1: without faults no message is lost or delivered twice, with many consumers at once."""
        total = kit.count(400, least=50)
        producer = kit.mq()
        send(producer, kit.names.work, *numbered(total))
        children = [kit.child("drain", kit.names.work) for _ in range(PROCESSES)]
        for child in children:
            child.await_line("ready", within_s=60.0)

        for child in children:
            child.write_line()
        for child in children:
            child.end(60.0)

        lines = [line for child in children for line in child.lines("drained")]
        bodies = [body for line in lines for body in line["bodies"]]
        assert [line["errors"] for line in lines if line["errors"]] == [], "expected every ack to be accepted"
        assert sorted(map(int, bodies)) == list(range(total)), f"expected each of {total} messages once"
        assert_quiet(producer, kit.names.work)

    @case("B1b")
    def test_one_consumer_gets_every_message_exactly_once(self, kit: Kit) -> None:
        """B1b: every message of a batch is delivered, none twice."""
        total = kit.count(100, least=20)
        mq = kit.mq()
        send(mq, kit.names.work, *numbered(total))

        bodies = drain(mq, kit.names.work)

        assert sorted(bodies) == sorted(numbered(total)), f"expected each of {total} messages once"

    @case("B2", "ordered")
    def test_a_single_consumer_sees_messages_in_the_order_of_publishing(self, kit: Kit) -> None:
        """B2: the order holds within a call and between calls."""
        mq = kit.mq()
        bodies = numbered(30)
        send(mq, kit.names.work, *bodies[:20])
        for body in bodies[20:]:
            send(mq, kit.names.work, body)

        taken = take(mq, kit.names.work, 30, limit=7)

        assert [d.body for d in taken] == bodies, "expected the order of publishing"

    @case("B3")
    def test_an_ack_out_of_order_acks_no_other_delivery(self, kit: Kit) -> None:
        """B3: after an ack of the last of three, the first two can be released and are redelivered."""
        mq = kit.mq()
        send(mq, kit.names.work, *numbered(3))
        first, second, third = take(mq, kit.names.work, 3)

        ack(mq, third)
        nack(mq, first, second)

        again = take(mq, kit.names.work, 2)
        assert sorted(d.body for d in again) == sorted((first.body, second.body))
        assert_quiet(mq, kit.names.work)

    @case("B4")
    def test_a_consumer_with_many_unacked_deliveries_gets_more_after_its_acks(self, kit: Kit) -> None:
        """B4: many unacked deliveries don't block the consumer forever."""
        mq = kit.mq()
        total = kit.count(60, least=20)
        send(mq, kit.names.work, *numbered(total))

        held = take(mq, kit.names.work, total // 2)
        ack(mq, *held)
        rest = take(mq, kit.names.work, total - total // 2)
        ack(mq, *rest)

        assert sorted(d.body for d in held + rest) == sorted(numbered(total))

    @case("B5")
    def test_a_consume_delivers_at_most_its_limit(self, kit: Kit) -> None:
        """B5: messages over the limit stay ready for other consumers, and are counted as ready."""
        mq, other = kit.mq(), kit.mq(worker="kit-2")
        send(mq, kit.names.work, *numbered(10))

        held = take(mq, kit.names.work, 3)

        stats = other.stats(kit.names.work)
        assert stats.ready in (7, None), f"expected 7 ready messages, got {stats.ready}"
        assert stats.in_flight in (3, None), f"expected 3 messages in flight, got {stats.in_flight}"
        assert len(take(other, kit.names.work, 7)) == 7
        ack(mq, *held)

    @case("B6")
    def test_a_slow_consumer_keeps_no_message_from_an_idle_one(self, kit: Kit) -> None:
        """B6: while one consumer holds a message, the next ones are delivered to the other."""
        slow, free = kit.mq(), kit.mq(worker="kit-2")
        send(slow, kit.names.work, b"long")
        held = take_one(slow, kit.names.work)

        for body in numbered(5):
            send(slow, kit.names.work, body)
            ack(free, take_one(free, kit.names.work, within_s=5.0))

        assert held.body == b"long"
        ack(slow, held)

    @case("B7")
    def test_an_acked_message_is_not_delivered_to_a_later_connection(self, kit: Kit) -> None:
        """B7: an ack is final for every later consumer."""
        mq = kit.mq()
        send(mq, kit.names.work, *numbered(5))
        ack(mq, *take(mq, kit.names.work, 5))
        mq.close()

        assert_quiet(kit.mq(worker="kit-2"), kit.names.work)

    @case("B7b", "server", "restart")
    def test_an_ack_is_durable_over_a_restart_of_the_broker(self, kit: Kit) -> None:
        """B7b: after a kill of the broker, acked messages are gone and unacked messages are redelivered."""
        mq = kit.mq()
        send(mq, kit.names.work, *numbered(6))
        ack(mq, *take(mq, kit.names.work, 3))

        kit.restart_broker()

        left = drain(kit.mq(worker="kit-2"), kit.names.work, for_s=2.0)
        assert len(left) == 3, f"expected 3 redeliveries after 3 of 6 acks, got {left}"

    @case("B8")
    def test_acking_twice_is_harmless(self, kit: Kit) -> None:
        """B8: the second ack answers None or LeaseLost, and acks no other delivery."""
        mq = kit.mq()
        send(mq, kit.names.work, *numbered(2))
        first, second = take(mq, kit.names.work, 2)
        ack(mq, first)

        (answer,) = mq.ack([Ack(delivery=first)])

        assert answer is None or isinstance(answer, LeaseLost), f"expected None or LeaseLost, got {answer!r}"
        nack(mq, second)
        assert take_one(mq, kit.names.work).body == second.body

    @case("B9")
    def test_a_receipt_that_the_backend_never_issued_is_refused(self, kit: Kit) -> None:
        """B9: an unknown receipt is LeaseLost for that item; the other items of the call are settled."""
        mq = kit.mq()
        send(mq, kit.names.work, b"{}")
        delivery = take_one(mq, kit.names.work)
        forged = replace(delivery, receipt=object())

        refused, taken = mq.ack([Ack(delivery=forged), Ack(delivery=delivery)])

        assert isinstance(refused, LeaseLost), f"the forged receipt: expected LeaseLost, got {refused!r}"
        assert str(refused), "expected LeaseLost to have a text"
        assert taken is None, f"the valid receipt: expected None, got {taken!r}"

    @case("B9b")
    def test_a_nacked_delivery_can_no_longer_be_acked(self, kit: Kit) -> None:
        """B9b: a receipt is valid once; the message is redelivered."""
        mq = kit.mq()
        send(mq, kit.names.work, b"{}")
        delivery = take_one(mq, kit.names.work)
        nack(mq, delivery)

        (answer,) = mq.ack([Ack(delivery=delivery)])

        assert isinstance(answer, LeaseLost), f"expected LeaseLost, got {answer!r}"
        assert take_one(mq, kit.names.work).body == b"{}"

    @case("B10")
    def test_a_delivery_is_settled_by_its_receipt_also_with_another_body(self, kit: Kit) -> None:
        """B10: a plugin may replace body and headers; the broker keeps its own copy."""
        mq = kit.mq()
        original = json.dumps({"secret": "sealed"}).encode()
        send(mq, kit.names.work, original)
        opened = replace(take_one(mq, kit.names.work), body=b"opened by a plugin", headers={})
        nack(mq, opened)

        again = replace(take_one(mq, kit.names.work), body=b"opened again")
        ack(mq, again)

        assert_quiet(mq, kit.names.work)
