"""D6, D7 and W: real workers, killed and stopped at each step. Cases of `MqConformance`."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from awf_core.crash_points import CRASH_POINTS, VARIABLE
from awf_core.testing.actions import QUIET_S, assert_quiet, drain, send, take_one
from awf_core.testing.eventually import eventually
from awf_core.testing.needs import case

if TYPE_CHECKING:
    from awf_core.mq import Mq
    from awf_core.testing.kit import Kit
    from awf_core.testing.process import LoggedProcess

RECOVERY_S = 60.0
SAME_SIGNAL_S = 0.3
"""Two signals within a tenth of a second count as one."""

REDIRECTS = frozenset({"settle.before_redirect", "settle.redirected"})
"""Reached only where the broker refuses a reply queue that the worker accepts."""


class WorkerCases:
    """The worker on this backend: a result for every message, over kills and stops."""

    @case("D6", "processes")
    def test_a_message_is_run_again_after_a_kill_between_run_and_ack(self, kit: Kit) -> None:
        """D6: at least once: the run repeats, the requester gets one result."""
        mq = kit.mq()
        send(mq, kit.names.work, kit.message("kit-done", "m1"))
        first = kit.worker(is_short=True, env={VARIABLE: "pipeline.ran"})
        first.assert_killed(30.0)

        second = kit.worker(is_short=True)

        (result,) = kit.results(mq, 1)
        second.await_line("message.settled", settlement="ack")
        assert (result["message_id"], result["status"]) == ("m1", "completed")
        assert kit.project.runs("kit-done") == ["m1", "m1"]
        assert_quiet(mq, kit.names.replies)

    @case("D7", "processes")
    def test_a_worker_killed_at_any_step_of_settling_loses_nothing(self, kit: Kit) -> None:
        """D7: at every crash point each message has one result, or two where settling isn't atomic."""
        mq = kit.mq()
        points = (*CRASH_POINTS, *kit.target.crash_points)
        queues = {point: kit.queue(str(number)) for number, point in enumerate(points)}
        for point, queue in queues.items():
            mq.ensure(queue, "work", dead_letter=kit.names.dead)
            send(mq, queue, *_one_of_each(kit, point))

        killed = {p: kit.worker("--burst", queue=q, is_short=True, env={VARIABLE: p}) for p, q in queues.items()}
        ends = {point: worker.end(RECOVERY_S) for point, worker in killed.items()}
        more = [word for queue in list(queues.values())[1:] for word in ("--queue", queue)]
        successor = kit.worker(*more, "--concurrency", "8", queue=queues[points[0]], is_short=True)
        _await_all_settled(successor, mq, list(queues.values()))
        successor.stop()

        survived = {point for point, code in ends.items() if code != -signal.SIGKILL}
        assert survived <= REDIRECTS | set(kit.target.crash_points), (
            f"expected every crash point to be reached, not reached: {sorted(survived)}"
        )
        answers = Counter(r["message_id"] for r in _results(kit, mq))
        dead = kit.dead_messages(mq, len(points))
        most = 1 if mq.capabilities.atomic_settle else 2
        for point in points:
            for kind in ("done", "fail"):
                count = answers.pop(f"{point}/{kind}", 0)
                assert 1 <= count <= most, f"{point}, {kind}: expected 1 to {most} results, got {count}"
            count = dead.count(_malformed(point))
            assert 1 <= count <= most, f"{point}, malformed: expected 1 to {most} dead-lettered messages, got {count}"
        assert not answers, f"expected no other results, got {answers}"

    @case("W1", "processes")
    def test_two_workers_answer_every_message_once(self, kit: Kit) -> None:
        """W1: each of many messages has one result, and the queues are empty."""
        mq = kit.mq()
        total = kit.count(60, least=20)
        workers = [kit.worker(), kit.worker()]
        for worker in workers:
            worker.await_line("worker.ready", within_s=RECOVERY_S)

        send(mq, kit.names.work, *(kit.message("kit-done", f"m{number}") for number in range(total)))
        results = kit.results(mq, total, within_s=60.0)
        codes = [worker.stop() for worker in workers]

        assert sorted(r["message_id"] for r in results) == sorted(f"m{number}" for number in range(total))
        assert {r["status"] for r in results} == {"completed"}
        assert codes == [0, 0], f"expected both workers to exit with 0, got {codes}"
        assert_quiet(mq, kit.names.replies)
        assert_quiet(mq, kit.names.work)

    @case("W2", "processes")
    def test_a_failing_message_is_retried_then_dead_lettered_and_answered_once(self, kit: Kit) -> None:
        """W2: as many runs as attempts, one dead-lettered message, one result."""
        mq = kit.mq()
        send(mq, kit.names.work, kit.message("kit-fail", "bad"))

        worker = kit.worker()
        (result,) = kit.results(mq, 1)
        worker.await_line("message.settled", settlement="dead_letter")

        assert (result["status"], result["dead_lettered"], result["attempt"]) == ("failed", True, 2)
        assert kit.project.runs("kit-fail") == ["bad", "bad"]
        assert len(kit.dead_messages(mq, 1)) == 1
        assert_quiet(mq, kit.names.replies)

    @case("W3", "processes")
    def test_a_stopped_worker_finishes_its_run(self, kit: Kit) -> None:
        """W3: on SIGTERM the run ends, its result is published, other messages stay ready, and the exit code is 0."""
        mq = kit.mq()
        worker = kit.worker("--concurrency", "1")
        send(mq, kit.names.work, kit.message("kit-slow", "running"))
        eventually(lambda: kit.project.runs("kit-slow"), 30.0, what="the run began")
        send(mq, kit.names.work, kit.message("kit-done", "waiting"))

        worker.signal(signal.SIGTERM)
        worker.await_line("worker.draining")
        kit.project.open_gate()

        assert worker.end() == 0
        assert [r["message_id"] for r in kit.results(mq, 1)] == ["running"]
        waiting = take_one(mq, kit.names.work)
        assert b"waiting" in waiting.body
        assert waiting.attempt == 1, f"expected attempt 1, got {waiting.attempt}"
        assert kit.project.runs("kit-done") == []

    @case("W4", "processes")
    def test_a_worker_stopped_twice_releases_its_message_without_counting_an_attempt(self, kit: Kit) -> None:
        """W4: a second SIGTERM ends the run at once; the message is redelivered as the same attempt, exit code 5."""
        mq = kit.mq()
        worker = kit.worker("--concurrency", "1")
        send(mq, kit.names.work, kit.message("kit-slow", "m1"))
        eventually(lambda: kit.project.runs("kit-slow"), 30.0, what="the run began")

        worker.signal(signal.SIGTERM)
        worker.await_line("worker.draining")
        end_s = time.monotonic() + SAME_SIGNAL_S
        eventually(lambda: time.monotonic() > end_s)
        worker.signal(signal.SIGTERM)
        code = worker.end()
        again = take_one(mq, kit.names.work)

        assert code == 5, f"expected exit code 5, got {code}"
        assert again.attempt == 1, f"expected attempt 1, got {again.attempt}"
        assert_quiet(mq, kit.names.replies)

    @case("W5", "processes")
    def test_an_undeliverable_result_is_kept_and_the_run_is_not_repeated(self, kit: Kit) -> None:
        """W5: with a reply queue that the worker refuses there is one run, its result in the undeliverable queue."""
        mq = kit.mq()
        send(mq, kit.names.work, kit.message("kit-done", "m1", reply_to=kit.names.dead))

        worker = kit.worker()
        (result,) = kit.results(mq, 1, queue=kit.names.undeliverable)
        worker.await_line("message.settled", settlement="ack")

        assert result["message_id"] == "m1"
        assert kit.project.runs("kit-done") == ["m1"]
        assert kit.dead_messages(mq) == []


def _one_of_each(kit: Kit, point: str) -> tuple[bytes, ...]:
    """Messages that together pass every crash point: one that succeeds, one that fails, one that is malformed."""
    bodies = (kit.message("kit-done", f"{point}/done"), kit.message("kit-fail", f"{point}/fail"), _malformed(point))
    if point not in REDIRECTS:
        return bodies
    # The worker accepts this reply queue; brokers whose reply queues have to exist refuse it.
    return (*bodies, kit.message("kit-done", f"{point}/lost", reply_to=f"{kit.names.replies}-absent"))


def _malformed(point: str) -> bytes:
    return f"{point}: not JSON".encode()


def _await_all_settled(worker: LoggedProcess, mq: Mq, queues: list[str]) -> None:
    """Wait until no message is ready, delayed or in flight in any queue.

    Not every broker knows what is in flight, so the worker's log also has to show that it settled all it claimed.
    """
    worker.await_line("worker.ready", within_s=RECOVERY_S)
    since = [0, time.monotonic()]

    def left() -> dict[str, int]:
        stats = {queue: mq.stats(queue) for queue in queues}
        return {q: n for q, s in stats.items() if (n := (s.ready or 0) + (s.delayed or 0) + (s.in_flight or 0))}

    def is_quiet() -> bool:
        lines = len(worker.log)
        if lines != since[0]:
            since[:] = lines, time.monotonic()
        has_settled = len(worker.lines("message.claimed")) == len(worker.lines("message.settled"))
        return has_settled and time.monotonic() - since[1] > QUIET_S

    eventually(lambda: not left() and is_quiet(), RECOVERY_S, what="all queues empty")


def _results(kit: Kit, mq: Mq) -> list[dict[str, Any]]:
    return [json.loads(body) for body in drain(mq, kit.names.replies, for_s=3.0)]
