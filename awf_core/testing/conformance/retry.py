"""C: giving back, waiting, counting. Cases of the kit; part of `MqConformance`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from awf_core.contract import Outgoing
from awf_core.testing.actions import ack, assert_quiet, finish, nack, numbered, publish, send, take, take_one
from awf_core.testing.needs import case

if TYPE_CHECKING:
    from awf_core.contract import Delivery
    from awf_core.testing.kit import Kit

DELAY_S = 0.6
EARLY_S = 0.05
"""Brokers and hosts round; a delay may be that much short."""

FAR_S = 300.0


class Retry:
    """A message that was given back comes again: when it should, as often as it should, counted right."""

    @case("C1")
    def test_a_message_that_was_given_back_comes_again(self, kit: Kit) -> None:
        """C1: same body, one attempt more."""
        mq = kit.mq()
        send(mq, kit.names.work, b"again")
        first = take_one(mq, kit.names.work)
        nack(mq, first)

        second = take_one(mq, kit.names.work)

        assert second.body == b"again"
        assert first.attempt == 1
        assert second.attempt == 2 or mq.capabilities.attempts != "exact"

    @case("C2", "delay")
    def test_a_delayed_message_does_not_come_before_its_time(self, kit: Kit) -> None:
        """C2: not before the delay is over, and soon after."""
        mq = kit.mq()
        send(mq, kit.names.work, b"x")
        delivery = take_one(mq, kit.names.work)

        began_s = time.monotonic()
        nack(mq, delivery, delay_s=DELAY_S)
        take_one(mq, kit.names.work)
        took_s = time.monotonic() - began_s

        assert DELAY_S - EARLY_S <= took_s < DELAY_S + kit.target.late_s

    @case("C2b", "delay")
    def test_a_message_published_with_a_delay_does_not_come_before_its_time(self, kit: Kit) -> None:
        """C2b: `Outgoing.delay_s` holds as that of a nack does."""
        mq = kit.mq()

        began_s = time.monotonic()
        publish(mq, Outgoing(queue=kit.names.work, body=b"x", delay_s=DELAY_S))
        take_one(mq, kit.names.work)
        took_s = time.monotonic() - began_s

        assert DELAY_S - EARLY_S <= took_s < DELAY_S + kit.target.late_s

    @case("C3", "delay")
    def test_a_long_delay_holds_up_no_shorter_one(self, kit: Kit) -> None:
        """C3: long first, short second; the short one comes first."""
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
    def test_giving_back_uncounted_costs_no_attempt(self, kit: Kit) -> None:
        """C4: a drain is no failure, however often it happens."""
        mq = kit.mq()
        send(mq, kit.names.work, b"x")

        for _ in range(3):
            nack(mq, take_one(mq, kit.names.work), is_counted=False)

        delivery = take_one(mq, kit.names.work)
        assert delivery.attempt == 1
        assert delivery.deliveries == 4 or mq.capabilities.attempts != "exact"

    @case("C5", "delay")
    def test_a_delayed_message_outlives_the_connection_that_delayed_it(self, kit: Kit) -> None:
        """C5: the delay is the broker's, not a worker's."""
        mq = kit.mq()
        send(mq, kit.names.work, b"x")
        nack(mq, take_one(mq, kit.names.work), delay_s=DELAY_S)
        mq.close()

        delivery = take_one(kit.mq(worker="kit-2"), kit.names.work)

        assert delivery.body == b"x"
        assert delivery.attempt == 2 or kit.capabilities.attempts != "exact"

    @case("C5b", "delay", "server", "restart")
    def test_a_delayed_message_outlives_a_restart_of_the_broker(self, kit: Kit) -> None:
        """C5b: delayed is stored as durably as ready."""
        mq = kit.mq()
        publish(mq, Outgoing(queue=kit.names.work, body=b"x", delay_s=DELAY_S))

        assert kit.target.control is not None
        kit.target.control.restart()

        assert finish(kit.mq(worker="kit-2"), kit.names.work) == [b"x"]

    @case("C6", "delay")
    def test_many_delayed_messages_hold_up_none_that_is_due(self, kit: Kit) -> None:
        """C6: the future is not taken into memory: what is due comes at once from behind it."""
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
        assert took_s < 1.0
        assert mq.stats(kit.names.work).delayed in (len(later), None)

    @case("C7", "attempts", "losable")
    def test_attempts_releases_and_crashes_are_counted_apart(self, kit: Kit) -> None:
        """C7: attempt = 1 + failures; deliveries = everything; released = what was given back unfailed."""
        mq, last = kit.losable(), kit.mq(worker="kit-2")
        send(mq.mq, kit.names.work, b"x")
        seen = [take_one(mq.mq, kit.names.work)]

        nack(mq.mq, seen[-1])
        seen.append(take_one(mq.mq, kit.names.work))
        nack(mq.mq, seen[-1], is_counted=False)
        seen.append(take_one(mq.mq, kit.names.work))
        mq.lose()
        seen.append(take_one(last, kit.names.work, within_s=kit.late_s))

        counts_release = not last.capabilities.release_counts
        assert [_counts(d) for d in seen] == [
            (1, 1, 0),
            (2, 2, 0),
            (2, 3, 1 if counts_release else 0),
            (2, 4, 1 if counts_release else 0),
        ]
        ack(last, seen[-1])


def _counts(delivery: Delivery) -> tuple[int, int, int]:
    return delivery.attempt, delivery.deliveries, delivery.released
