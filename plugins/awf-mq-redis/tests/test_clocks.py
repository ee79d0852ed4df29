"""Clocks that are set and clocks that differ: nothing on Redis waits for them, and no age comes of two of them."""

from __future__ import annotations

import pytest
import redis
from fault_project import DEFER_UNKNOWN, SETTLED
from redis_faults import LEASE_S, RedisFaults, RedisWithClock
from set_clock import SetClock

HOUR_S = 3600
DELAY_S = 1.0
SLACK_S = 6.0
RETRY = {"initial_delay": f"{DELAY_S}s", "jitter": 0, "backoff": "constant"}


@pytest.fixture
def clock(tmp_path):
    return SetClock(tmp_path)


@pytest.fixture
def project(request, tmp_path, server):
    """A project on the shared server, whose clock is right."""
    made = RedisFaults(tmp_path / "project", redis.Redis(port=server.port))
    yield made
    made.close()


@pytest.fixture
def clocked(tmp_path, clock):
    """A server whose clock can be set."""
    with RedisWithClock(tmp_path / "clocked", clock) as made:
        yield made


@pytest.fixture
def clocked_project(tmp_path, clocked):
    made = RedisFaults(tmp_path / "clocked-project", redis.Redis(port=clocked.port))
    yield made
    made.close()


@pytest.mark.parametrize("step_s", [-HOUR_S, HOUR_S])
def test_a_retry_is_not_delayed_by_a_step_of_the_servers_clock(clocked, clock, clocked_project, step_s):
    project = clocked_project
    project.step("flaky", f"[ -e '{project.directory}/flag' ] || {{ touch '{project.directory}/flag'; exit 1; }}")
    worker = project.worker(project.redis(clocked.url, retry=RETRY))
    project.put("m", workflow="flaky")
    worker.await_line(SETTLED, message_id="m", settlement="nack")

    clock.set(step_s)

    project.await_starts(2, "m", within_s=LEASE_S + DELAY_S + SLACK_S)
    worker.await_line(SETTLED, message_id="m", settlement="ack")
    assert project.starts("m") == 2


@pytest.mark.parametrize("step_s", [-HOUR_S, HOUR_S])
def test_the_message_of_a_killed_worker_is_recovered_though_the_servers_clock_was_set(
    clocked, clock, clocked_project, step_s
):
    project = clocked_project
    config = project.redis(clocked.url)
    victim = project.worker(config)
    project.put("m")
    project.await_starts(1, "m")
    heir = project.worker(config)

    victim.kill()
    clock.set(step_s)

    project.await_starts(2, "m", within_s=LEASE_S + SLACK_S)
    project.open_gate()
    heir.await_line(SETTLED, message_id="m", settlement="ack")


def test_an_unknown_workflow_is_deferred_by_a_worker_whose_clock_is_eleven_minutes_ahead(project, server, clock):
    clock.set(660)
    config = project.redis(server.url, retry={DEFER_UNKNOWN: "600s"})
    worker = project.worker(config, env=clock.environment)

    project.put("m", workflow="nowhere")

    line = worker.await_line(SETTLED, message_id="m")
    assert (line["settlement"], line["reason"]) == ("nack", "unknown_workflow")
    assert project.dead() == []


def test_a_first_failure_is_tried_again_by_a_worker_whose_clock_is_a_day_ahead(project, server, clock):
    clock.set(25 * HOUR_S)
    project.step("fails", "exit 1")
    retry = {"initial_delay": "100ms", "jitter": 0, "max_attempts": 3}
    worker = project.worker(project.redis(server.url, retry=retry), env=clock.environment)

    project.put("m", workflow="fails")

    worker.await_line(SETTLED, message_id="m", settlement="dead_letter")
    assert project.dead() == ["max_attempts"]
    assert project.starts("m") == 3


def test_what_is_too_old_is_too_old_though_the_workers_clock_is_behind(project, server, clock):
    clock.set(-25 * HOUR_S)
    project.step("fails", "exit 1")
    retry = {"initial_delay": "500ms", "jitter": 0, "backoff": "constant", "max_attempts": 20, "max_age": "1s"}
    worker = project.worker(project.redis(server.url, retry=retry), env=clock.environment)

    project.put("m", workflow="fails")

    worker.await_line(SETTLED, message_id="m", settlement="dead_letter")
    assert project.dead() == ["max_age"]
    assert project.starts("m") <= 4
