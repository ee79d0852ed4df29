"""C: releasing, delaying, counting. Cases of `MqConformance`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from awf_core.contract import Nack, Outgoing
from awf_core.errors import BrokerError
from awf_core.testing.actions import (
    ack,
    assert_counters,
    assert_quiet,
    assert_took,
    finish,
    nack,
    numbered,
    publish,
    send,
    take,
    take_one,
)
from awf_core.testing.needs import case

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import Delivery
    from awf_core.testing.kit import Kit

DELAY_S = 0.6
BRIEF_S = 0.2
EARLY_S = 0.05
"""Brokers and hosts round: a delay may be shorter by so much."""

FAR_S = 300.0
MONTH_S = 30 * 86_400.0
RELEASES = 12


class Retry:
    """A nacked message is redelivered after its delay, with correct counters."""

    @case("C1")
    def test_a_nacked_message_is_redelivered(self, kit: Kit) -> None:
        """C1: with the same body, as the next attempt."""
        mq = kit.mq()
        send(mq, kit.names.work, b"again")
        first = take_one(mq, kit.names.work)
        nack(mq, first)

        second = take_one(mq, kit.names.work)

        assert second.body == b"again"
        assert first.attempt == 1, f"the first delivery: expected attempt 1, got {first.attempt}"
        assert_counters(mq, second, attempt=2)

    @case("C2", "nack_delay")
    def test_a_delayed_message_is_not_redelivered_before_its_delay(self, kit: Kit) -> None:
        """C2: not before the delay is over, and soon after it."""
        mq = kit.mq()
        send(mq, kit.names.work, b"x")
        delivery = take_one(mq, kit.names.work)

        began_s = time.monotonic()
        nack(mq, delivery, delay_s=DELAY_S)
        take_one(mq, kit.names.work)
        took_s = time.monotonic() - began_s

        assert_took(took_s, at_least_s=DELAY_S - EARLY_S, less_than_s=DELAY_S + kit.target.late_s)

    @case("C2b", "publish_delay")
    def test_a_message_published_with_a_delay_is_not_delivered_before_it(self, kit: Kit) -> None:
        """C2b: `Outgoing.delay_s` works as `Nack.delay_s` does."""
        mq = kit.mq()

        began_s = time.monotonic()
        publish(mq, Outgoing(queue=kit.names.work, body=b"x", delay_s=DELAY_S))
        take_one(mq, kit.names.work)
        took_s = time.monotonic() - began_s

        assert_took(took_s, at_least_s=DELAY_S - EARLY_S, less_than_s=DELAY_S + kit.target.late_s)

    @case("C3", "nack_delay")
    def test_a_long_delay_does_not_block_a_shorter_one(self, kit: Kit) -> None:
        """C3: after a nack with a long delay and one with a short delay, the short one is redelivered first."""
        mq = kit.mq()
        send(mq, kit.names.work, b"long", b"short")
        by_body = {d.body: d for d in take(mq, kit.names.work, 2)}

        nack(mq, by_body[b"long"], delay_s=FAR_S)
        nack(mq, by_body[b"short"], delay_s=DELAY_S)
        send(mq, kit.names.work, b"now")

        assert take_one(mq, kit.names.work, within_s=5.0).body == b"now"
        assert take_one(mq, kit.names.work, within_s=DELAY_S + kit.target.late_s).body == b"short"
        assert_quiet(mq, kit.names.work)

    @case("C4")
    def test_an_uncounted_nack_does_not_count_as_an_attempt(self, kit: Kit) -> None:
        """C4: a release is no failure, also when it is repeated."""
        mq = kit.mq()
        send(mq, kit.names.work, b"x")

        for _ in range(3):
            nack(mq, take_one(mq, kit.names.work), is_counted=False)

        delivery = take_one(mq, kit.names.work)
        assert delivery.attempt == 1, f"after three releases: expected attempt 1, got {delivery.attempt}"
        assert_counters(mq, delivery, deliveries=4)

    @case("C5", "nack_delay")
    def test_a_delayed_message_survives_the_close_of_its_connection(self, kit: Kit) -> None:
        """C5: the broker keeps the delay, not the worker."""
        mq = kit.mq()
        send(mq, kit.names.work, b"x")
        nack(mq, take_one(mq, kit.names.work), delay_s=DELAY_S)
        mq.close()

        delivery = take_one(kit.mq(worker="kit-2"), kit.names.work)

        assert delivery.body == b"x"
        assert_counters(mq, delivery, attempt=2)

    @case("C5b", "publish_delay", "server", "restart")
    def test_a_delayed_message_survives_a_restart_of_the_broker(self, kit: Kit) -> None:
        """C5b: delayed messages are as durable as ready ones."""
        mq = kit.mq()
        publish(mq, Outgoing(queue=kit.names.work, body=b"x", delay_s=DELAY_S))

        kit.restart_broker()

        assert finish(kit.mq(worker="kit-2"), kit.names.work) == [b"x"]

    @case("C6", "publish_delay")
    def test_many_delayed_messages_do_not_block_one_that_is_due(self, kit: Kit) -> None:
        """C6: a due message behind many delayed ones is delivered at once."""
        mq = kit.mq()
        later = [
            Outgoing(queue=kit.names.work, body=body, delay_s=FAR_S) for body in numbered(kit.count(300, least=50))
        ]
        publish(mq, *later)
        send(mq, kit.names.work, b"now")

        began_s = time.monotonic()
        delivery = take_one(mq, kit.names.work)
        took_s = time.monotonic() - began_s

        assert delivery.body == b"now"
        assert_took(took_s, less_than_s=1.0)
        delayed = mq.stats(kit.names.work).delayed
        assert delayed in (len(later), None), f"expected {len(later)} delayed messages, got {delayed}"

    @case("C7", "attempts", "losable")
    def test_attempts_releases_and_crashes_are_counted_separately(self, kit: Kit) -> None:
        """C7: attempt = 1 + counted nacks; deliveries = all; crashes = deliveries whose owner lost them."""
        mq, last = kit.losable(), kit.mq(worker="kit-2")
        send(mq.mq, kit.names.work, b"x")
        seen = [take_one(mq.mq, kit.names.work)]

        nack(mq.mq, seen[-1])
        seen.append(take_one(mq.mq, kit.names.work))
        nack(mq.mq, seen[-1], is_counted=False)
        seen.append(take_one(mq.mq, kit.names.work))
        mq.lose()
        seen.append(take_one(last, kit.names.work, within_s=kit.late_s))

        # A broker that knows no owner needs more evidence than one lost delivery.
        crashes = 1 if last.capabilities.crashes == "owner" else seen[-1].crashes
        expected = [(1, 1, 0), (2, 2, 0), (2, 3, 0), (2, 4, crashes)]
        counts = [_counts(d) for d in seen]
        assert counts == expected, (
            "(attempt, deliveries, crashes) at first, after a counted nack, an uncounted nack and a crash: "
            f"expected {expected}, got {counts}"
        )
        ack(last, seen[-1])

    @case("C4b")
    def test_releases_are_never_counted_as_crashes(self, kit: Kit) -> None:
        """C4b: after many releases by different consumers `crashes` is 0 and `attempt` is 1."""
        consumers = [kit.mq(), kit.mq(worker="kit-2")]
        send(consumers[0], kit.names.work, b"x")

        for number in range(RELEASES):
            consumer = consumers[number % 2]
            delivery = take_one(consumer, kit.names.work)
            assert delivery.crashes == 0, f"after {number} releases: expected no crash, got {delivery.crashes}"
            nack(consumer, delivery, is_counted=False)

        assert take_one(consumers[0], kit.names.work).attempt == 1, "expected the first attempt after the releases"

    @case("C8")
    def test_a_message_is_delivered_with_the_history_that_its_nacks_stored(self, kit: Kit) -> None:
        """C8: `Delivery.history` is exactly what the last nack gave, an entry for every counted one."""
        mq = kit.mq()
        send(mq, kit.names.work, b"x")
        delivery = take_one(mq, kit.names.work)
        first = list(delivery.history)

        for is_counted in (True, False, True):
            nack(mq, delivery, is_counted=is_counted)
            delivery = take_one(mq, kit.names.work)

        history = [dict(entry) for entry in delivery.history]
        expected = [{"attempt": 1, "reason": "kit"}, {"attempt": 2, "reason": "kit"}]
        assert first == [], f"expected no history at the first delivery, got {first}"
        assert history == expected, f"after two counted nacks and a release: expected {expected}, got {history}"

    @case("C8b", "nack_delay")
    def test_the_history_that_a_release_with_a_delay_gives_is_stored_unless_the_age_is_known(self, kit: Kit) -> None:
        """C8b: a deferral without an end has neither: an age by the broker, or the core's own count in the history."""
        mq = kit.mq()
        send(mq, kit.names.work, b"x")
        entry = {"attempt": 1, "reason": "unknown_workflow", "deferred_s": BRIEF_S}

        first = take_one(mq, kit.names.work)
        release = Nack(delivery=first, delay_s=BRIEF_S, counted=False, reason="unknown_workflow", history=[entry])
        assert list(mq.nack([release])) == [None], "expected the release to be accepted"
        delivery = take_one(mq, kit.names.work)

        history = [dict(each) for each in delivery.history]
        assert delivery.age_s is not None or history == [entry], (
            f"expected age_s, or the history {[entry]} that the release gave; got age_s None and {history}"
        )
        assert delivery.attempt == 1, f"expected attempt 1 after a release, got {delivery.attempt}"
        ack(mq, delivery)

    @case("C9")
    def test_the_longest_delay_is_kept_and_a_longer_one_is_refused(self, kit: Kit) -> None:
        """C9: as `max_publish_delay_s` and `max_nack_delay_s` say; a delivery whose nack is refused can be settled."""
        mq = kit.mq()
        can = mq.capabilities
        send(mq, kit.names.work, b"nacked")
        delivery = take_one(mq, kit.names.work)

        for longest_s in filter(None, [can.max_publish_delay_s]):
            _assert_refused(mq.publish([Outgoing(queue=kit.names.work, body=b"x", delay_s=longest_s + 1)]))
        for longest_s in filter(None, [can.max_nack_delay_s]):
            _assert_refused(mq.nack([Nack(delivery=delivery, delay_s=longest_s + 1)]))
        if can.max_publish_delay_s == 0:
            _assert_refused(mq.publish([Outgoing(queue=kit.names.work, body=b"x", delay_s=1.0)]))
        else:
            longest_s = MONTH_S if can.max_publish_delay_s is None else can.max_publish_delay_s
            publish(mq, Outgoing(queue=kit.names.work, body=b"published", delay_s=longest_s))
        if can.max_nack_delay_s == 0:
            _assert_refused(mq.nack([Nack(delivery=delivery, delay_s=1.0)]))
            ack(mq, delivery)
        else:
            nack(mq, delivery, delay_s=MONTH_S if can.max_nack_delay_s is None else can.max_nack_delay_s)

        assert_quiet(mq, kit.names.work, why="during the longest delays")


def _assert_refused(answers: Sequence[BrokerError | None]) -> None:
    (answer,) = answers
    assert isinstance(answer, BrokerError), f"a delay over the limit: expected an error for it, got {answer!r}"
    assert "delay" in str(answer), f"expected the error to name the delay, got {answer}"


def _counts(delivery: Delivery) -> tuple[int, int, int]:
    return delivery.attempt, delivery.deliveries, delivery.crashes
