"""H: correct counts, and no leaks. Cases of `MqConformance`."""

from __future__ import annotations

import multiprocessing
import os
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from awf_core.contract import Outgoing
from awf_core.testing.actions import ack, dead_letter, drain, finish, nack, numbered, publish, send, take, take_one
from awf_core.testing.eventually import eventually
from awf_core.testing.needs import case

if TYPE_CHECKING:
    from collections.abc import Callable

    from awf_core.mq import Mq
    from awf_core.testing.kit import Kit

FAR_S = 300.0
OPENED = 100
SPARE = 3
CHILD_S = 30.0
MOST_FAILURES = 300
FDS = Path("/proc/self/fd")


class Hygiene:
    """The counts are correct, and a backend that runs for long leaks nothing."""

    @case("H1")
    def test_counts_are_correct_after_each_step_of_a_message(self, kit: Kit) -> None:
        """H1: ready, delayed, in flight and dead are correct after each step, where the broker knows them."""
        mq = kit.mq()
        _assert_counts(mq, kit, ready=0, delayed=0, in_flight=0, dead=0)

        send(mq, kit.names.work, *numbered(4))
        _assert_counts(mq, kit, ready=4, delayed=0, in_flight=0, dead=0)
        first, second, third = take(mq, kit.names.work, 3)
        _assert_counts(mq, kit, ready=1, delayed=0, in_flight=3, dead=0)
        if mq.capabilities.max_nack_delay_s != 0:
            nack(mq, first, delay_s=FAR_S)
            _assert_counts(mq, kit, ready=1, delayed=1, in_flight=2, dead=0)
        else:
            ack(mq, first)
        dead_letter(mq, second, kit.names.dead)
        ack(mq, third)

        _assert_counts(mq, kit, ready=1, delayed=1 if mq.capabilities.max_nack_delay_s != 0 else 0, in_flight=0, dead=1)

    @case("H1b")
    def test_the_counts_of_an_absent_queue_are_zero(self, kit: Kit) -> None:
        """H1b: an absent queue is no error."""
        stats = kit.mq().stats(f"{kit.names.work}-absent")

        assert {stats.ready, stats.delayed, stats.in_flight, stats.dead} <= {0, None}
        assert stats.oldest_age_s is None

    @case("H2")
    def test_the_age_of_the_oldest_ready_message_is_correct(self, kit: Kit) -> None:
        """H2: seconds since the oldest ready message was published, where the broker knows it; None without one."""
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
    def test_settled_messages_leave_nothing_in_storage(self, kit: Kit) -> None:
        """H3: after all messages are settled, no key, row or file of them is left."""
        size = kit.target.storage_size
        assert size is not None
        mq = kit.mq()
        _use_every_operation(mq, kit)
        before = size()

        _use_every_operation(mq, kit)

        eventually(lambda: size() <= before, kit.target.late_s, what=f"storage back to {before}")

    @case("H4")
    def test_opening_and_closing_a_hundred_times_leaks_no_file_and_no_thread(self, kit: Kit) -> None:
        """H4: the numbers of file descriptors and threads don't grow."""
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
    def test_a_backend_constructed_before_a_fork_works_in_both_processes(self, kit: Kit) -> None:
        """H5: parent and child open the backend after the fork and use it."""
        mq = kit.mq(worker="kit-forked", is_open=False)
        other = kit.mq()

        said = _in_a_fork(lambda: _open_and_send(mq, kit.names.work, b"child"))
        mq.open()
        send(mq, kit.names.work, b"parent")

        assert said == "done", f"in the forked child: {said}"
        assert finish(other, kit.names.work, 2) == [b"child", b"parent"]

    @case("H5b", "processes")
    def test_a_spawned_process_needs_nothing_but_the_configuration(self, kit: Kit) -> None:
        """H5b: a new interpreter works without any state of its parent."""
        mq = kit.mq()
        send(mq, kit.names.work, *numbered(3))
        child = kit.child("drain", kit.names.work)
        child.await_line("ready")

        child.write_line()

        assert child.end() == 0
        assert sorted(body for line in child.lines("drained") for body in line["bodies"]) == ["0", "1", "2"]

    @case("H7")
    def test_messages_that_always_fail_block_no_other_message(self, kit: Kit) -> None:
        """H7: the messages between those that fail again and again are delivered."""
        mq = kit.mq()
        good = numbered(kit.count(30, least=10))
        poison = [b"poison-a", b"poison-b"]
        send(mq, kit.names.work, poison[0], *good, poison[1])
        done: list[bytes] = []
        failures = 0

        while len(done) < len(good):
            assert failures < MOST_FAILURES, (
                f"expected {len(good)} good messages, got {len(done)} after {failures} failures"
            )
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
        """H8: threads that publish, consume and settle on one connection at once get each message once."""
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

        assert broken == [], f"expected no error in a thread, got {broken}"
        assert len(done) == len(set(done)) == total // threads * threads, f"expected each message once, got {done}"


def _assert_counts(mq: Mq, kit: Kit, **expected: int) -> None:
    """The counts that the broker knows are correct, within `late_s` seconds."""

    def is_correct() -> bool:
        stats = mq.stats(kit.names.work)
        return all(getattr(stats, name) in (None, count) for name, count in expected.items())

    try:
        eventually(is_correct, kit.target.late_s, what="correct counts")
    except AssertionError:
        raise AssertionError(f"expected the counts {expected}, got {mq.stats(kit.names.work)}") from None


def _use_every_operation(mq: Mq, kit: Kit) -> None:
    """Publish messages, settle them in every way, and remove them."""
    send(mq, kit.names.work, *numbered(12))
    deliveries = take(mq, kit.names.work, 12)
    nack(mq, *deliveries[:4])
    for delivery in deliveries[4:6]:
        dead_letter(mq, delivery, kit.names.dead)
    for delivery in deliveries[6:]:
        ack(mq, delivery, replies=[Outgoing(queue=kit.names.replies, body=b"answer")])
    if mq.capabilities.max_publish_delay_s != 0:
        publish(mq, Outgoing(queue=kit.names.work, body=b"later", delay_s=0.2))
    finish(mq, kit.names.work, 5 if mq.capabilities.max_publish_delay_s != 0 else 4)
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
    """Run `act` in a forked child; returns `done` or its traceback."""
    context = multiprocessing.get_context("fork")
    mine, its = context.Pipe()

    def run() -> None:
        try:
            act()
            its.send("done")
        except BaseException:  # noqa: BLE001 - it has to reach the parent, whatever it is
            its.send(traceback.format_exc())
        finally:
            # The child must not run the clean-up of the test process.
            os._exit(0)

    child = context.Process(target=run)
    child.start()
    said = str(mine.recv()) if mine.poll(CHILD_S) else "the child did not answer"
    child.kill()
    child.join(CHILD_S)
    return said
