"""The host's clock is set back or forward by an hour: retries, recovery and leases of the embedded queue go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedded_faults import LEASE_S
from fault_project import SETTLED, pass_time

if TYPE_CHECKING:
    from embedded_faults import EmbeddedFaults
    from set_clock import SetClock

HOUR_S = 3600
EARLIER_S = 2 * HOUR_S
"""How far the workers' host is ahead of the producer: its messages have waited that long when they are claimed."""
DELAY_S = 1.0
HOURS = (-1, -2, -3, -2, 0, 3)
"""Where the clock is set to, from where it begins: three steps back, then three forward."""
SLACK_S = 6.0
"""What a busy machine may add to a lease and a delay; far below the size of the step."""
RETRY = {"initial_delay": f"{DELAY_S}s", "jitter": 0, "backoff": "constant"}


def test_a_retry_is_not_delayed_by_a_step_of_the_hosts_clock(project: EmbeddedFaults, clock: SetClock) -> None:
    clock.set(EARLIER_S)
    flag = f"{project.directory}/flag-$AWF_MESSAGE_ID"
    project.step("flaky", f"[ -e {flag} ] || {{ touch {flag}; exit 1; }}")
    worker = project.worker(project.embedded(retry=RETRY), env=clock.environment)

    for message_id, step_s in (("back", -HOUR_S), ("forward", HOUR_S)):
        clock.set(EARLIER_S)
        project.put(message_id, workflow="flaky")
        worker.await_line(SETTLED, message_id=message_id, settlement="nack")

        clock.set(EARLIER_S + step_s)

        project.await_starts(2, message_id, within_s=LEASE_S + DELAY_S + SLACK_S)
        worker.await_line(SETTLED, message_id=message_id, settlement="ack")
        assert project.starts(message_id) == 2


def test_the_message_of_a_killed_worker_is_recovered_though_the_hosts_clock_was_set(
    project: EmbeddedFaults, clock: SetClock
) -> None:
    clock.set(EARLIER_S)
    config = project.embedded()
    victim = project.worker(config, env=clock.environment)
    project.put("m")
    project.await_starts(1, "m")

    for starts, step_s in ((2, -HOUR_S), (3, HOUR_S)):
        heir = project.worker(config, env=clock.environment)
        victim.kill()
        clock.set(EARLIER_S + step_s)
        project.await_starts(starts, "m", within_s=LEASE_S + SLACK_S)
        victim = heir

    project.open_gate()
    victim.await_line(SETTLED, message_id="m", settlement="ack")


def test_a_step_of_the_hosts_clock_gives_no_live_workers_message_to_another(
    project: EmbeddedFaults, clock: SetClock
) -> None:
    clock.set(EARLIER_S)
    config = project.embedded()
    workers = [project.worker(config, "--name", name, env=clock.environment) for name in ("one", "other")]
    project.put("m")
    project.await_starts(1, "m")

    for number, hours in enumerate(HOURS, start=1):
        clock.set(EARLIER_S + hours * HOUR_S)
        project.probe(number, beside="m")
    pass_time(2 * LEASE_S)
    project.open_gate()

    project.await_results(len(HOURS) + 1)
    project.assert_ran_once("m")
    assert [worker.stop() for worker in workers] == [0, 0]
    assert project.dead() == []
