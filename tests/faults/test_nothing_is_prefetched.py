"""A worker holds only messages that it has started, so that its death is no crash of any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedded_faults import LEASE_S
from fault_project import pass_time

from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from embedded_faults import EmbeddedFaults

SLOTS = 3
IDS = {f"m-{number:02}" for number in range(12)}


def held(project: EmbeddedFaults) -> set[str]:
    """The messages that a worker has claimed."""
    rows = project.sql("SELECT json_extract(body, '$.id') FROM message WHERE queue = 'work' AND owner IS NOT NULL")
    return {message_id for (message_id,) in rows}


def crashed(project: EmbeddedFaults) -> set[str]:
    """The messages of which the queue counted a crash."""
    rows = project.sql("SELECT json_extract(body, '$.id') FROM message WHERE crashes IS NOT NULL AND queue = 'work'")
    return {message_id for (message_id,) in rows}


def started(project: EmbeddedFaults) -> set[str]:
    return {line.message_id for line in project.lines("start")}


def test_only_messages_that_were_started_crash_with_a_killed_worker(project: EmbeddedFaults) -> None:
    config = project.embedded()
    victim = project.worker(config, "--concurrency", str(SLOTS))
    project.put(*IDS)
    project.await_starts(SLOTS)
    pass_time(LEASE_S)  # renewals, and polls of a worker that would take more

    assert held(project) == started(project)
    before = started(project)
    victim.kill()
    heir = project.worker(config, "--concurrency", str(len(IDS)))
    eventually(lambda: held(project) == IDS and crashed(project), 15, what="the heir has all messages")

    assert len(before) == SLOTS
    eventually(lambda: crashed(project) == before, 15, what="what the killed worker had started counts a crash")
    project.await_starts(len(IDS) + SLOTS)
    project.open_gate()
    assert project.await_results(len(IDS)) == sorted(IDS)
    assert heir.stop() == 0
    assert project.dead() == []


def test_a_worker_killed_amid_many_short_runs_held_no_more_messages_than_it_can_run(project: EmbeddedFaults) -> None:
    config = project.embedded()
    victim = project.worker(config, "--concurrency", str(SLOTS))
    ids = [f"short-{number:03}" for number in range(200)]
    project.put(*ids, workflow="short")
    project.await_starts(20)

    victim.kill()

    # A message that was claimed and not started yet, or run and not settled yet, is among them.
    assert len(held(project)) <= 2 * SLOTS
    assert project.worker(config, "--burst", "--concurrency", "8").end(40) == 0
    # As many results as messages: what was claimed by the killed worker is run again, and nothing is lost or dead.
    assert project.await_results(len(ids)) == ids
    assert project.dead() == []
