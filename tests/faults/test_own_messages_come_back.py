"""A worker whose own message is delivered to it again goes on with the run it has: nothing starts twice."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from embedded_faults import LEASE_S
from fault_project import CLAIMED, pass_time

if TYPE_CHECKING:
    from embedded_faults import EmbeddedFaults
    from set_clock import SetClock

PAUSES = 3
STEPS = 8
"""More than the crashes after which a message is dead-lettered."""


def test_a_step_of_the_workers_clock_starts_no_run_beside_the_live_one(
    project: EmbeddedFaults, clock: SetClock
) -> None:
    worker = project.worker(project.embedded(), env=clock.environment)
    project.put("long")
    project.await_starts(1, "long")

    for number in range(1, STEPS + 1):
        clock.set(120 * number)
        project.probe(number, beside="long")
    project.open_gate()
    project.await_results(STEPS + 1)

    project.assert_ran_once("long")
    assert project.dead() == []
    assert worker.stop() == 0
    assert project.count("work") == 0


def test_a_worker_that_was_stopped_past_its_lease_goes_on_with_the_run_it_has(project: EmbeddedFaults) -> None:
    worker = project.worker(project.embedded())
    project.put("long")
    project.await_starts(1, "long")

    for number in range(1, PAUSES + 1):
        worker.signal(signal.SIGSTOP)
        pass_time(1.3 * LEASE_S)
        worker.signal(signal.SIGCONT)
        project.probe(number, beside="long")
    project.open_gate()
    project.await_results(PAUSES + 1)

    project.assert_ran_once("long")
    assert project.dead() == []
    assert worker.stop() == 0
    assert [result["message_id"] for result in project.results()].count("long") == 1


def test_pauses_and_clock_steps_of_live_workers_are_no_crashes_of_their_message(
    project: EmbeddedFaults, clock: SetClock
) -> None:
    config = project.embedded(concurrency=2 * STEPS)
    worker = project.worker(config, env=clock.environment)
    project.put("long")
    project.await_starts(1, "long")
    for number in range(1, STEPS + 1):
        clock.set(120 * number)
        project.put(f"probe-{number}", workflow="short")
        project.await_results(number)
        assert project.dead() == []

    worker.kill()
    heir = project.worker(config, env=clock.environment)

    # The killed worker is the only crash; the message is far from the cap.
    project.await_starts(2, "long")
    project.open_gate()
    heir.await_line("message.settled", message_id="long", settlement="ack")
    assert project.dead() == []
    assert heir.lines(CLAIMED, message_id="long")
