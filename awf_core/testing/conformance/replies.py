"""F: publishing and replying. Cases of `MqConformance`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from awf_core.contract import Ack, DeadLetter, Outgoing, Remember, StateEntry
from awf_core.errors import BodyTooLarge, BrokerError, QueueMissing, Unroutable
from awf_core.testing.actions import ack, assert_quiet, drain, finish, nack, numbered, publish, send, take_one
from awf_core.testing.eventually import eventually
from awf_core.testing.needs import case

if TYPE_CHECKING:
    from awf_core.testing.kit import Kit

UNDELIVERABLE = (Unroutable, QueueMissing, BodyTooLarge, BrokerError)
ROUNDS = 30


class Replies:
    """An accepted message is in its queue; a result is in its queue before its message is removed."""

    @case("F1")
    def test_an_accepted_message_is_visible_to_every_connection(self, kit: Kit) -> None:
        """F1: when publish returns None, another connection gets the message; answers have the order of the items."""
        producer, consumer = kit.mq(), kit.mq(worker="kit-2")
        bodies = numbered(50)

        results = list(producer.publish([Outgoing(queue=kit.names.work, body=body) for body in bodies]))

        assert results == [None] * 50, f"expected 50 times None, got {results}"
        assert finish(consumer, kit.names.work, 50) == sorted(bodies)

    @case("F1b")
    def test_a_call_without_items_does_nothing(self, kit: Kit) -> None:
        """F1b: the answer to an empty batch is empty."""
        mq = kit.mq()

        answers = [mq.publish([]), mq.ack([]), mq.nack([]), mq.dead_letter([]), mq.extend([])]

        assert [list(answer) for answer in answers] == [[]] * 5

    @case("F2")
    def test_a_publish_to_an_unknown_queue_is_delivered_or_refused(self, kit: Kit) -> None:
        """F2: the answer is never None for a message that is lost."""
        mq = kit.mq()
        unknown = kit.queue("absent")

        (answer,) = mq.publish([Outgoing(queue=unknown, body=b"x")])

        if answer is None:
            assert finish(mq, unknown) == [b"x"]
        else:
            assert isinstance(answer, (QueueMissing, Unroutable))
            assert unknown in str(answer)

    @case("F3")
    def test_a_reply_is_published_before_its_message_is_removed(self, kit: Kit) -> None:
        """F3: a connection that sees the work queue empty finds the reply; checked over many acks."""
        mq, watcher = kit.mq(), kit.mq(worker="kit-2")
        gone_without_reply: list[int] = []

        for number in range(kit.count(ROUNDS, least=5)):
            send(mq, kit.names.work, b"x")
            delivery = take_one(mq, kit.names.work)
            reply = Outgoing(queue=kit.names.replies, body=b"%d" % number)
            acking = threading.Thread(target=ack, args=(mq, delivery), kwargs={"replies": [reply]})
            acking.start()
            stats = watcher.stats(kit.names.work)
            seen_empty = stats.ready == 0 and stats.in_flight == 0
            if seen_empty and watcher.stats(kit.names.replies).ready == 0:
                gone_without_reply.append(number)
            acking.join()
            answer = take_one(watcher, kit.names.replies, within_s=kit.target.late_s)
            ack(watcher, answer)
            assert answer.body == b"%d" % number

        assert gone_without_reply == [], f"expected each reply before its ack, not so in rounds {gone_without_reply}"

    @case("F4")
    def test_a_message_whose_reply_cannot_be_published_is_not_acked(self, kit: Kit) -> None:
        """F4: either both reply and ack, or neither."""
        mq = kit.mq()
        send(mq, kit.names.work, b"x")
        delivery = take_one(mq, kit.names.work)
        nowhere = f"{kit.names.replies}-{'n' * 300}"

        (answer,) = mq.ack([Ack(delivery=delivery, replies=[Outgoing(queue=nowhere, body=b"answer")])])

        if answer is None:
            assert finish(mq, nowhere) == [b"answer"]
            assert_quiet(mq, kit.names.work)
        else:
            assert isinstance(answer, UNDELIVERABLE)
            nack(mq, delivery)
            assert take_one(mq, kit.names.work).body == b"x"

    @case("F13")
    def test_a_reply_never_goes_to_a_queue_for_work_or_dead_messages(self, kit: Kit) -> None:
        """F13: the answer is Unroutable, and neither the reply is published nor the message settled."""
        producer, mq = kit.mq(), kit.mq(worker="kit-2")
        send(producer, kit.names.work, b"x")
        delivery = take_one(mq, kit.names.work)

        for refused in (kit.names.other, kit.names.dead, kit.names.undeliverable):
            replies = [Outgoing(queue=refused, body=b"answer")]
            answers = [
                *mq.ack([Ack(delivery=delivery, replies=replies)]),
                *mq.dead_letter(
                    [DeadLetter(delivery=delivery, queue=kit.names.dead, reason="r", error="e", replies=replies)]
                ),
            ]
            assert [type(answer) for answer in answers] == [Unroutable, Unroutable], f"{refused}: {answers}"
            assert refused in str(answers[0])

        assert_quiet(mq, kit.names.other)
        assert_quiet(mq, kit.names.dead)
        ack(mq, delivery, replies=[Outgoing(queue=kit.names.replies, body=b"answer")])
        assert take_one(mq, kit.names.replies).body == b"answer"

    @case("F4b", "max_body_bytes")
    def test_a_message_whose_reply_is_over_the_limit_is_not_acked(self, kit: Kit) -> None:
        """F4b: the answer is BodyTooLarge; the same delivery can then be acked without the reply."""
        mq = kit.mq()
        limit = mq.capabilities.max_body_bytes
        assert limit is not None
        send(mq, kit.names.work, b"x")
        delivery = take_one(mq, kit.names.work)

        reply = Outgoing(queue=kit.names.replies, body=b"x" * (limit + 1))
        (answer,) = mq.ack([Ack(delivery=delivery, replies=[reply])])

        assert isinstance(answer, BodyTooLarge), f"expected BodyTooLarge, got {answer!r}"
        ack(mq, delivery)
        assert_quiet(mq, kit.names.replies)
        assert_quiet(mq, kit.names.work)

    @case("F5", "headers")
    def test_correlation_id_reply_queue_and_headers_are_delivered_with_a_message(self, kit: Kit) -> None:
        """F5: what a requester needs to match a reply is in the delivery and in the reply."""
        mq = kit.mq()
        sent = Outgoing(
            queue=kit.names.work,
            body=b"{}",
            reply_to=kit.names.replies,
            correlation_id="kit-7",
            headers={"traceparent": "00-a-b-01"},
        )
        publish(mq, sent)
        delivery = take_one(mq, kit.names.work)
        reply = Outgoing(
            queue=kit.names.replies, body=b"{}", correlation_id="kit-7", headers={"traceparent": "00-a-c-01"}
        )
        ack(mq, delivery, replies=[reply])

        answer = take_one(mq, kit.names.replies)

        assert (delivery.reply_to, delivery.correlation_id) == (kit.names.replies, "kit-7")
        assert delivery.headers.get("traceparent") == "00-a-b-01"
        assert (answer.correlation_id, answer.headers.get("traceparent")) == ("kit-7", "00-a-c-01")

    @case("F6")
    def test_a_deduplication_id_is_used_or_ignored_and_is_no_error(self, kit: Kit) -> None:
        """F6: the same id twice is one message or two."""
        mq = kit.mq()
        twice = [Outgoing(queue=kit.names.work, body=b"x", group="g", dedup_id="same") for _ in range(2)]

        publish(mq, *twice)

        assert drain(mq, kit.names.work) in ([b"x"], [b"x", b"x"])

    @case("F7")
    def test_an_unsupported_priority_is_an_error(self, kit: Kit) -> None:
        """F7: a priority is accepted with the capability; without it the answer is an error that names it."""
        mq = kit.mq()

        (answer,) = mq.publish([Outgoing(queue=kit.names.work, body=b"x", priority=5)])

        if mq.capabilities.priority:
            assert answer is None
            assert take_one(mq, kit.names.work).body == b"x"
        else:
            assert isinstance(answer, BrokerError)
            assert "priority" in str(answer)
            assert_quiet(mq, kit.names.work)

    @case("F8", "temporary_reply")
    def test_each_private_reply_queue_is_unique_and_takes_a_reply(self, kit: Kit) -> None:
        """F8: two names differ, and a reply published to one is delivered only there."""
        mq, worker = kit.mq(), kit.mq(worker="kit-2")
        mine, other = mq.reply_queue(ttl_s=60.0), mq.reply_queue(ttl_s=60.0)

        publish(worker, Outgoing(queue=mine, body=b"answer"))

        assert mine != other
        answer = take_one(mq, mine)
        assert answer.body == b"answer"
        ack(mq, answer)
        assert_quiet(mq, other)

    @case("F9", "state")
    def test_shared_state_has_one_writer_with_if_absent_and_many_readers(self, kit: Kit) -> None:
        """F9: `if_absent` lets one writer win; None deletes; a list is sorted and has only its prefix."""
        mq, other = kit.mq(), kit.mq(worker="kit-2")
        prefix = kit.names.work
        key, second = f"{prefix}:a", f"{prefix}:b"

        won = list(mq.state_put([StateEntry(key=key, value="1", ttl_s=60.0, if_absent=True)]))
        lost = list(other.state_put([StateEntry(key=key, value="2", ttl_s=60.0, if_absent=True)]))
        other.state_put([StateEntry(key=second, value="3", ttl_s=60.0)])

        assert (won, lost) == ([True], [False]), f"expected the first writer to win, got {won} and {lost}"
        assert list(other.state_get([key, f"{prefix}:none"])) == ["1", None]
        assert [tuple(pair) for pair in mq.state_list(prefix)] == [(key, "1"), (second, "3")]
        mq.state_put([StateEntry(key=key, value=None), StateEntry(key=second, value=None)])
        assert list(other.state_list(prefix)) == []

    @case("F9b", "state")
    def test_shared_state_expires_and_can_be_written_with_an_ack(self, kit: Kit) -> None:
        """F9b: a value expires; `remember` is written when the ack returns."""
        mq = kit.mq()
        key, brief = f"{kit.names.work}:r", f"{kit.names.work}:brief"
        send(mq, kit.names.work, b"x")
        delivery = take_one(mq, kit.names.work)

        mq.state_put([StateEntry(key=brief, value="expires soon", ttl_s=0.3)])
        answers = list(mq.ack([Ack(delivery=delivery, remember=Remember(key=key, value="done", ttl_s=60.0))]))

        assert answers == [None]
        assert list(mq.state_get([key])) == ["done"]
        eventually(lambda: list(mq.state_get([brief])) == [None], kit.target.late_s, what="the brief value expired")
        mq.state_put([StateEntry(key=key, value=None)])
