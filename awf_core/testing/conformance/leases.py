"""D: leases and crashes. Cases of `MqConformance`."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

from awf_core.clock import SystemClock
from awf_core.contract import Ack, Nack, Outgoing
from awf_core.errors import LeaseLost
from awf_core.observe.throttle import Throttle
from awf_core.testing.actions import ack, answered, assert_counters, assert_quiet, assert_took, send, take_one
from awf_core.testing.clocks import SkewedClock
from awf_core.testing.eventually import eventually
from awf_core.testing.needs import case
from awf_core.worker.lease_renewal import LeaseKeeper

if TYPE_CHECKING:
    from awf_core.testing.kit import Kit

LEASES_HELD = 2.5
SKEW_S = 600.0


class Leases:
    """A held message stays with a live consumer, and is redelivered after a crash. It never has two holders."""

    @case("D1", "lease_s")
    def test_an_extended_lease_keeps_the_message_from_other_consumers(self, kit: Kit) -> None:
        """D1: extended every third of a lease, a message is not redelivered for many leases."""
        holder, other = kit.mq(is_short=True), kit.mq(worker="kit-2", is_short=True)
        send(holder, kit.names.work, b"x")
        delivery = take_one(holder, kit.names.work)

        end_s = time.monotonic() + LEASES_HELD * kit.short_lease_s
        while time.monotonic() < end_s:
            assert_quiet(other, kit.names.work, for_s=kit.short_lease_s / 3)
            assert list(holder.extend([delivery])) == [None], "expected the extended delivery not to be lost"

        ack(holder, delivery)
        assert_quiet(other, kit.names.work)

    @case("D2", "lease_s")
    def test_after_its_lease_a_message_is_redelivered_to_an_idle_consumer(self, kit: Kit) -> None:
        """D2: not before the end of the lease, soon after it, and without other traffic."""
        holder, other = kit.mq(is_short=True), kit.mq(worker="kit-2", is_short=True)
        send(holder, kit.names.work, b"x")

        began_s = time.monotonic()
        take_one(holder, kit.names.work)
        again = take_one(other, kit.names.work, within_s=kit.late_s)
        took_s = time.monotonic() - began_s

        assert_took(took_s, at_least_s=kit.short_lease_s * 0.7)
        assert_counters(other, again, attempt=1, deliveries=2)

    @case("D3", "losable")
    def test_a_redelivered_message_can_no_longer_be_settled_by_its_old_holder(self, kit: Kit) -> None:
        """D3: ack, nack and extend of the old delivery are refused and don't change the new one."""
        holder, other = kit.losable(), kit.mq(worker="kit-2")
        send(other, kit.names.work, b"x")
        stale = take_one(holder.mq, kit.names.work)
        holder.lose()
        current = take_one(other, kit.names.work)

        acked = answered(lambda: holder.mq.ack([Ack(delivery=stale)]))
        answers = [*acked, *answered(lambda: holder.mq.nack([Nack(delivery=stale)]))]
        extended = answered(lambda: holder.mq.extend([stale]))

        assert all(isinstance(answer, LeaseLost) for answer in answers), f"expected LeaseLost twice, got {answers}"
        assert isinstance(extended[0], LeaseLost), f"expected extend to answer LeaseLost, got {extended}"
        ack(other, current)
        assert_quiet(other, kit.names.work)

    @case("D4", "losable", "atomic_settle")
    def test_the_result_of_a_lost_delivery_is_not_published(self, kit: Kit) -> None:
        """D4: an ack of a lost delivery publishes no reply."""
        holder, other = kit.losable(), kit.mq(worker="kit-2")
        send(other, kit.names.work, b"x")
        stale = take_one(holder.mq, kit.names.work)
        holder.lose()
        current = take_one(other, kit.names.work)

        reply = Outgoing(queue=kit.names.replies, body=b"from the dead")
        (answer,) = answered(lambda: holder.mq.ack([Ack(delivery=stale, replies=[reply])]))

        assert isinstance(answer, LeaseLost), f"expected LeaseLost, got {answer!r}"
        assert_quiet(other, kit.names.replies)
        ack(other, current)

    @case("D4b", "processes", "lease_s", "atomic_settle")
    def test_a_worker_frozen_longer_than_its_lease_publishes_no_second_result(self, kit: Kit) -> None:
        """D4b: SIGSTOP, another worker runs and answers the message, SIGCONT: one result, and the log says `lost`."""
        mq = kit.mq()
        frozen = kit.worker("--concurrency", "1", is_short=True)
        frozen.await_line("worker.ready")
        send(mq, kit.names.work, kit.message("kit-slow", "slow"))
        eventually(lambda: kit.project.runs("kit-slow"), what="the run began")

        frozen.signal(signal.SIGSTOP)
        other = kit.worker("--concurrency", "1", is_short=True)
        other.await_line("message.claimed", within_s=30.0 + kit.short_lease_s)
        kit.project.open_gate()
        other.await_line("message.settled", settlement="ack")
        frozen.signal(signal.SIGCONT)
        frozen.await_line("message.settled", settlement="lost")

        results = kit.results(mq, 1)
        assert [r["message_id"] for r in results] == ["slow"]
        assert_quiet(mq, kit.names.replies)

    @case("D5", "processes")
    def test_the_message_of_a_killed_process_is_redelivered(self, kit: Kit) -> None:
        """D5: SIGKILL right after the claim; the message is redelivered, counted as a crash and not as a failure."""
        mq = kit.mq(is_short=True)
        send(mq, kit.names.work, b"x")
        holder = kit.child("hold", kit.names.work, is_short=True)
        holder.await_line("held")

        holder.kill()
        again = take_one(mq, kit.names.work, within_s=kit.late_s)

        assert again.body == b"x"
        assert_counters(mq, again, attempt=1, deliveries=2)

    @case("D8", "processes")
    def test_the_message_of_a_second_killed_process_is_redelivered_too(self, kit: Kit) -> None:
        """D8: the process that gets the message of a killed process is killed as well; the next one gets it."""
        mq = kit.mq(is_short=True)
        send(mq, kit.names.work, b"x")
        holder = kit.child("hold", kit.names.work, is_short=True)
        holder.await_line("held")
        waiting = kit.child("wait", kit.names.work, is_short=True)
        waiting.await_line("ready")

        holder.kill()
        waiting.await_line("held", within_s=kit.late_s)
        waiting.kill()
        again = take_one(mq, kit.names.work, within_s=kit.late_s)

        assert again.body == b"x"
        assert_counters(mq, again, deliveries=3)

    @case("D9", "lease_s")
    def test_a_busy_interpreter_does_not_lose_the_lease(self, kit: Kit) -> None:
        """D9: while all other threads are busy in Python, the worker's lease keeper still renews in time."""
        holder, other = kit.mq(is_short=True), kit.mq(worker="kit-2", is_short=True)
        send(holder, kit.names.work, b"x")
        clock = SystemClock()
        keeper = LeaseKeeper(holder, clock, Throttle(clock))
        delivery = take_one(holder, kit.names.work)
        (message,) = keeper.take([delivery]).fresh
        is_over = threading.Event()
        spinners = [threading.Thread(target=_spin, args=(is_over,), daemon=True) for _ in range(3)]

        keeper.start()
        for spinner in spinners:
            spinner.start()
        came = other.consume(kit.names.work, limit=1, wait_s=LEASES_HELD * kit.short_lease_s)
        is_over.set()
        keeper.stop()

        assert [d.body for d in came] == [], "expected no redelivery while the lease is renewed"
        assert not message.is_lost, "expected the lease keeper to hold the lease"
        ack(holder, delivery)

    @case("D10", "lease_s", "server")
    def test_hosts_with_different_clocks_share_a_queue(self, kit: Kit) -> None:
        """D10: a clock that is ten minutes fast or slow doesn't change a lease."""
        fast = kit.mq(is_short=True, clock=SkewedClock(SKEW_S))
        slow = kit.mq(worker="kit-2", is_short=True, clock=SkewedClock(-SKEW_S))
        send(fast, kit.names.work, b"x")

        began_s = time.monotonic()
        take_one(slow, kit.names.work)
        assert_quiet(fast, kit.names.work, for_s=kit.short_lease_s / 3)
        again = take_one(fast, kit.names.work, within_s=kit.late_s)
        took_s = time.monotonic() - began_s

        assert_took(took_s, at_least_s=kit.short_lease_s * 0.7)
        ack(fast, again)
        assert_quiet(slow, kit.names.work)


def _spin(is_over: threading.Event) -> None:
    number = 0
    while not is_over.is_set():
        number = (number * 31 + 7) % 1000003
