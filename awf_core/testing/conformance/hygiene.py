"""H: counts that are true, and nothing left behind. Cases of the kit; part of `MqConformance`."""

from __future__ import annotations

import multiprocessing
import os
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from awf_core.contract import Outgoing
from awf_core.testing.actions import ack, bury, drain, finish, nack, numbered, publish, send, take, take_one
from awf_core.testing.eventually import eventually
from awf_core.testing.needs import case

if TYPE_CHECKING:
    from collections.abc import Callable

    from awf_core.contract import Stats
    from awf_core.mq import Mq
    from awf_core.testing.kit import Kit

FAR_S = 300.0
OPENED = 100
SPARE = 3
CHILD_S = 30.0
MOST_FAILURES = 300
FDS = Path("/proc/self/fd")


class Hygiene:
    """An operator can trust the numbers, and a long life leaves no trace."""

    @case("H1")
    def test_counts_follow_a_message_through_its_life(self, kit: Kit) -> None:
        """H1: ready, delayed, in flight and dead are true after every step, where the broker can tell them."""
        mq = kit.mq()
        _assert_counts(mq, kit, ready=0, delayed=0, in_flight=0, dead=0)

        send(mq, kit.names.work, *numbered(4))
        _assert_counts(mq, kit, ready=4, delayed=0, in_flight=0, dead=0)
        first, second, third = take(mq, kit.names.work, 3)
        _assert_counts(mq, kit, ready=1, delayed=0, in_flight=3, dead=0)
        if mq.capabilities.delay:
            nack(mq, first, delay_s=FAR_S)
            _assert_counts(mq, kit, ready=1, delayed=1, in_flight=2, dead=0)
        else:
            ack(mq, first)
        bury(mq, second, kit.names.dead)
        ack(mq, third)

        _assert_counts(mq, kit, ready=1, delayed=1 if mq.capabilities.delay else 0, in_flight=0, dead=1)

    @case("H1b")
    def test_a_queue_nobody_used_counts_nothing(self, kit: Kit) -> None:
        """H1b: an absent queue is zero, not an error."""
        stats = kit.mq().stats(f"{kit.names.work}-absent")

        assert {stats.ready, stats.delayed, stats.in_flight, stats.dead} <= {0, None}
        assert stats.oldest_age_s is None

    @case("H2")
    def test_the_age_of_the_oldest_message_grows_and_ends(self, kit: Kit) -> None:
        """H2: seconds since the oldest ready message came, where the broker can tell; None without one."""
        mq = kit.mq()
        assert mq.stats(kit.names.work).oldest_age_s is None
        send(mq, kit.names.work, b"old")
        if mq.stats(kit.names.work).oldest_age_s is None:
            return

        eventually(lambda: (mq.stats(kit.names.work).oldest_age_s or 0.0) >= 0.5, 5.0, what="half a second old")
        send(mq, kit.names.work, b"new")

        assert (mq.stats(kit.names.work).oldest_age_s or 0.0) < 30.0
        drain(mq, kit.names.work)
        assert mq.stats(kit.names.work).oldest_age_s is None

    @case("H3", "storage")
    def test_storage_returns_to_where_it_began(self, kit: Kit) -> None:
        """H3: after everything is done, no key, row or file of a message is left."""
        size = kit.target.storage_size
        assert size is not None
        mq = kit.mq()
        _live_a_life(mq, kit)
        before = size()

        _live_a_life(mq, kit)

        eventually(lambda: size() <= before, kit.target.late_s, what=f"storage back to {before}")

    @case("H4")
    def test_opening_and_closing_a_hundred_times_leaks_nothing(self, kit: Kit) -> None:
        """H4: no file descriptor and no thread stays behind."""
        mq = kit.mq()
        _use_once(mq, kit)
        fds, threads = len(list(FDS.iterdir())), threading.active_count()

        for _ in range(kit.count(OPENED, least=20)):
            mq.close()
            mq.open()
            mq.stats(kit.names.work)
        _use_once(mq, kit)

        eventually(
            lambda: threading.active_count() <= threads + SPARE, kit.target.late_s, what=f"at most {threads} threads"
        )
        eventually(lambda: len(list(FDS.iterdir())) <= fds + SPARE, kit.target.late_s, what=f"at most {fds} open files")

    @case("H5", "processes")
    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_a_backend_that_was_made_before_a_fork_works_on_both_sides(self, kit: Kit) -> None:
        """H5: constructed and not opened, then forked: both processes open and use it."""
        mq = kit.mq(worker="kit-forked", is_open=False)
        other = kit.mq()

        said = _in_a_fork(lambda: _open_and_send(mq, kit.names.work, b"child"))
        mq.open()
        send(mq, kit.names.work, b"parent")

        assert said == "done"
        assert finish(other, kit.names.work, 2) == [b"child", b"parent"]

    @case("H5b", "processes")
    def test_a_spawned_process_needs_nothing_but_the_configuration(self, kit: Kit) -> None:
        """H5b: no state of the parent is needed: a fresh interpreter takes over."""
        mq = kit.mq()
        send(mq, kit.names.work, *numbered(3))
        child = kit.child("drain", kit.names.work)
        child.await_line("ready")

        child.say()

        assert child.end() == 0
        assert sorted(body for line in child.lines("drained") for body in line["bodies"]) == ["0", "1", "2"]

    @case("H7")
    def test_poison_among_good_messages_holds_up_none_of_them(self, kit: Kit) -> None:
        """H7: messages that fail again and again let every other through."""
        mq = kit.mq()
        good = numbered(kit.count(30, least=10))
        poison = [b"poison-a", b"poison-b"]
        send(mq, kit.names.work, poison[0], *good, poison[1])
        done: list[bytes] = []
        failures = 0

        while len(done) < len(good):
            assert failures < MOST_FAILURES, f"{len(done)} of {len(good)} good messages done after {failures} failures"
            for delivery in mq.consume(kit.names.work, limit=5, wait_s=1.0):
                if delivery.body in poison:
                    failures += 1
                    nack(mq, delivery)
                else:
                    done.append(delivery.body)
                    ack(mq, delivery)

        assert sorted(done) == sorted(good)
        assert failures > 0
        assert set(drain(mq, kit.names.work)) == set(poison)

    @case("H8")
    def test_one_connection_serves_many_threads(self, kit: Kit) -> None:
        """H8: threads that publish, take and settle on one connection at once get each message once."""
        mq = kit.mq()
        total, threads = kit.count(120, least=40), 4
        done: list[bytes] = []
        broken: list[str] = []

        def work(number: int) -> None:
            try:
                send(mq, kit.names.work, *(b"%d-%d" % (number, n) for n in range(total // threads)))
                while deliveries := mq.consume(kit.names.work, limit=5, wait_s=0.5):
                    ack(mq, *deliveries)
                    done.extend(delivery.body for delivery in deliveries)
            except BaseException:  # noqa: BLE001 - it has to reach the test's thread, whatever it is
                broken.append(traceback.format_exc())

        crew = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join(60.0)

        assert broken == []
        assert len(done) == len(set(done)) == total // threads * threads


def _assert_counts(mq: Mq, kit: Kit, **expected: int) -> None:
    """What the broker can tell is true; some need a moment to count."""

    def lies(stats: Stats) -> dict[str, tuple[int | None, int]]:
        told = {name: getattr(stats, name) for name in expected}
        return {name: (told[name], expected[name]) for name in expected if told[name] not in (None, expected[name])}

    within_s = kit.target.late_s
    eventually(lambda: not lies(mq.stats(kit.names.work)), within_s, what=f"{expected}, not {mq.stats(kit.names.work)}")


def _live_a_life(mq: Mq, kit: Kit) -> None:
    """Everything that can happen to messages, and then they are gone."""
    send(mq, kit.names.work, *numbered(12))
    deliveries = take(mq, kit.names.work, 12)
    nack(mq, *deliveries[:4])
    for delivery in deliveries[4:6]:
        bury(mq, delivery, kit.names.dead)
    for delivery in deliveries[6:]:
        ack(mq, delivery, replies=[Outgoing(queue=kit.names.replies, body=b"answer")])
    if mq.capabilities.delay:
        publish(mq, Outgoing(queue=kit.names.work, body=b"later", delay_s=0.2))
    finish(mq, kit.names.work, 5 if mq.capabilities.delay else 4)
    if kit.has_hook("awf_mq_purge"):
        mq.purge(kit.names.dead)
    else:
        finish(mq, kit.names.dead, 2)
    finish(mq, kit.names.replies, 6)


def _use_once(mq: Mq, kit: Kit) -> None:
    send(mq, kit.names.work, b"x")
    ack(mq, take_one(mq, kit.names.work))


def _open_and_send(mq: Mq, queue: str, body: bytes) -> None:
    mq.open()
    send(mq, queue, body)
    mq.close()


def _in_a_fork(act: Callable[[], None]) -> str:
    """What became of `act` in a forked child: `done`, or its traceback."""
    context = multiprocessing.get_context("fork")
    mine, its = context.Pipe()

    def run() -> None:
        try:
            act()
            its.send("done")
        except BaseException:  # noqa: BLE001 - it has to reach the parent, whatever it is
            its.send(traceback.format_exc())
        finally:
            # No clean-up of the test process in its copy.
            os._exit(0)

    child = context.Process(target=run)
    child.start()
    said = str(mine.recv()) if mine.poll(CHILD_S) else "no word from the child"
    child.kill()
    child.join(CHILD_S)
    return said
