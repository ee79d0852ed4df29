"""A run whose message another worker has is ended: two runs of one message are beside each other for a moment only."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from embedded_faults import EmbeddedFaults

    from awf_core.testing.process import LoggedProcess

CANCELLED_WITHIN_S = 5.0


def lose_lease(project: EmbeddedFaults, config: str) -> tuple[LoggedProcess, LoggedProcess]:
    """A worker that was stopped until another had started its message `m`, and goes on now; and that other."""
    stopped = project.worker(config, "--name", "stopped")
    project.put("m")
    project.await_starts(1, "m")
    stopped.signal(signal.SIGSTOP)
    heir = project.worker(config, "--name", "heir")
    project.await_starts(2, "m")
    stopped.signal(signal.SIGCONT)
    return stopped, heir


def test_a_run_that_lost_its_lease_is_cancelled(project: EmbeddedFaults) -> None:
    stopped, heir = lose_lease(project, project.embedded(max_run=None))
    old, new = project.lines("start", "m")

    eventually(lambda: not project.is_running(old), CANCELLED_WITHIN_S, what="the old run is cancelled")
    lost = stopped.await_line("lease.lost")
    project.open_gate()
    heir.await_line("message.settled", message_id="m", settlement="ack")

    assert (lost["level"], lost["message_id"]) == ("warning", "m")
    assert [line.pid for line in project.lines("end", "m")] == [new.pid]
    assert [result["worker"] for result in project.results()] == ["heir"]
    assert [stopped.stop(), heir.stop()] == [0, 0]
    assert project.dead() == []


def test_a_run_that_lost_its_lease_goes_on_where_the_configuration_says_so(project: EmbeddedFaults) -> None:
    stopped, heir = lose_lease(project, project.embedded(on_lease_lost="continue"))
    runs = project.lines("start", "m")

    stopped.await_line("lease.lost")
    project.open_gate()
    heir.await_line("message.settled", message_id="m", settlement="ack")
    stopped.await_line("run.finished", message_id="m", status="completed")

    assert {line.pid for line in project.lines("end", "m")} == {run.pid for run in runs}
    assert [result["worker"] for result in project.results()] == ["heir"]
    assert [stopped.stop(), heir.stop()] == [0, 0]
