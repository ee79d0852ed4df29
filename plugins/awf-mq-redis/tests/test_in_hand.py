"""What a worker has in hand on Redis: a frozen shard, a stepped clock or a pause starts no second run of it."""

from __future__ import annotations

import signal

import pytest
import redis
from fault_project import CLAIMED, SETTLED, pass_time
from redis.crc import key_slot
from redis_faults import LEASE_S, RedisFaults, RedisWithClock
from set_clock import SetClock

from awf_core.testing.eventually import eventually

STEPS = 8
CANCELLED_WITHIN_S = 5.0


@pytest.fixture
def make_project(tmp_path):
    """Make a project on the server at this port."""
    made = []

    def make(port):
        made.append(RedisFaults(tmp_path / "project", redis.Redis(port=port)))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def clock(tmp_path):
    return SetClock(tmp_path)


@pytest.fixture
def clocked(tmp_path, clock):
    """A server with a clock that can be set."""
    with RedisWithClock(tmp_path / "clocked", clock) as server:
        yield server


def queue_on(nodes, number, name="q"):
    """A queue whose keys lie on the server of this number."""
    names = (f"{name}{each}" for each in range(1000))
    return next(each for each in names if key_slot(each.encode()) * len(nodes) // 16384 == number)


@pytest.fixture(params=["2s"])
def two_shards(request, patient_cluster, make_project):
    """A worker of two queues, each with a run: (project, worker, the server to freeze, the queue on another).

    The parameter is how long the worker waits for an answer. The run of the server to freeze ends by a gate of its own.
    """
    healthy, frozen, _ = patient_cluster
    project = make_project(healthy.port)
    queues = [queue_on(patient_cluster, number) for number in (0, 1)]
    # A reply address can't have a hash tag, so the results are in another slot of the same server.
    project.reply_to = queue_on(patient_cluster, 0, "results")
    config = project.redis(
        f"redis://127.0.0.1:{healthy.port}",
        section={"cluster": True, "socket_timeout": request.param},
        dead_letter={"queue": f"{{{queues[0]}}}dead"},
        undeliverable={"queue": f"{{{queues[0]}}}undeliverable"},
    )
    project.step("gated", project.waiting_for_gate("gate-of-frozen"))
    worker = project.worker(config, *(word for queue in queues for word in ("--queue", queue)))
    with redis.Redis(port=frozen.port) as client:
        project.put("on-healthy", queue=queues[0])
        project.put("on-frozen", workflow="gated", queue=queues[1], client=client)
        project.await_starts(2)
        yield project, worker, frozen, queues[0]
        frozen.resume()


def test_a_frozen_shard_ends_no_lease_of_another_and_starts_nothing_twice(two_shards):
    project, worker, frozen, healthy_queue = two_shards

    frozen.pause()
    for number in range(1, 5):
        pass_time(LEASE_S)
        project.probe(number, beside="on-healthy", queue=healthy_queue)
    frozen.resume()
    project.put("after", workflow="short", queue=healthy_queue)
    project.await_results(5)
    project.open_gate()
    project.open_gate("gate-of-frozen")

    assert {"on-frozen", "on-healthy"} <= set(project.await_results(7))
    project.assert_ran_once("on-healthy", "on-frozen")
    assert len(worker.lines(CLAIMED, message_id="on-healthy")) == 1
    assert not project.client.exists(f"{{{healthy_queue}}}dead")
    assert worker.stop() == 0


@pytest.mark.parametrize("two_shards", ["8s"], indirect=True)
def test_a_settlement_that_a_frozen_shard_does_not_answer_holds_up_no_other(two_shards):
    project, worker, frozen, healthy_queue = two_shards

    frozen.pause()
    project.open_gate("gate-of-frozen")
    worker.await_line("run.finished", message_id="on-frozen")
    project.put(*(f"probe-{number}" for number in range(5)), workflow="short", queue=healthy_queue)

    # Before the frozen server's time to answer is over, let alone a second time.
    assert len(project.await_results(5, within_s=6)) == 5
    assert not worker.lines(SETTLED, message_id="on-frozen")
    frozen.resume()
    worker.await_line(SETTLED, message_id="on-frozen", settlement="ack")
    project.open_gate()
    project.await_results(7)
    project.assert_ran_once("on-healthy", "on-frozen")


def test_a_step_of_the_servers_clock_starts_no_run_beside_the_live_one(clocked, clock, make_project):
    project = make_project(clocked.port)
    worker = project.worker(project.redis(clocked.url))
    project.put("long")
    project.await_starts(1, "long")

    for number in range(1, STEPS + 1):
        clock.set(40 * number)
        project.probe(number, beside="long")
    project.open_gate()
    project.await_results(STEPS + 1)

    project.assert_ran_once("long")
    assert project.dead() == []
    assert worker.stop() == 0


def test_a_worker_that_was_stopped_past_its_lease_goes_on_with_the_run_it_has(server, make_project):
    project = make_project(server.port)
    worker = project.worker(project.redis(server.url))
    project.put("long")
    project.await_starts(1, "long")

    for number in range(1, 4):
        worker.signal(signal.SIGSTOP)
        pass_time(1.3 * LEASE_S)
        worker.signal(signal.SIGCONT)
        project.probe(number, beside="long")
    project.open_gate()

    assert project.await_results(4).count("long") == 1
    project.assert_ran_once("long")
    assert project.dead() == []
    assert worker.stop() == 0


def test_a_run_whose_message_another_worker_has_is_cancelled(server, make_project):
    project = make_project(server.port)
    config = project.redis(server.url, max_run=None)
    stopped = project.worker(config, "--name", "stopped")
    project.put("m")
    project.await_starts(1, "m")
    stopped.signal(signal.SIGSTOP)
    heir = project.worker(config, "--name", "heir")
    project.await_starts(2, "m")
    stopped.signal(signal.SIGCONT)
    old, new = project.lines("start", "m")

    eventually(lambda: not project.is_running(old), CANCELLED_WITHIN_S, what="the old run is cancelled")
    project.open_gate()
    heir.await_line(SETTLED, message_id="m", settlement="ack")

    assert [line.pid for line in project.lines("end", "m")] == [new.pid]
    assert [result["worker"] for result in project.results()] == ["heir"]
    assert [stopped.stop(), heir.stop()] == [0, 0]


def test_a_worker_holds_no_message_that_it_has_not_started(server, make_project):
    project = make_project(server.port)
    worker = project.worker(project.redis(server.url), "--concurrency", "2")
    project.put(*(f"m-{number}" for number in range(6)))
    project.await_starts(2)
    pass_time(LEASE_S)  # renewals, and polls of a worker that would take more

    assert project.client.zcard("{work}:lease") == project.starts() == 2
    worker.kill()
    heir = project.worker(project.redis(server.url), "--concurrency", "6")
    project.await_starts(2 + 6)
    project.open_gate()

    assert len(set(project.await_results(6))) == 6
    assert len(heir.lines(CLAIMED)) == 6
    assert project.dead() == []


def owner_of(workers, *, deliveries):
    """The worker that says it claimed that delivery of `m`; None as long as none does."""
    return next((worker for worker in workers if worker.lines(CLAIMED, message_id="m", deliveries=deliveries)), None)


def test_pauses_of_a_live_worker_are_no_crashes_of_its_message(server, make_project):
    project = make_project(server.port)
    config = project.redis(server.url, concurrency=20)
    workers = [project.worker(config, "--name", name) for name in ("one", "other")]
    project.put("m")
    project.await_starts(1, "m")

    # Each pause gives the message to the other worker; both live, so not one of them is a crash: five would be too many.
    for number in range(2, 7):
        owner = eventually(lambda number=number: owner_of(workers, deliveries=number - 1), what="the claim is logged")
        owner.signal(signal.SIGSTOP)
        eventually(lambda number=number: project.starts("m") == number or project.dead(), 15)
        owner.signal(signal.SIGCONT)
        assert project.dead() == []
        owner.await_line("lease.lost", count=len(owner.lines(CLAIMED, message_id="m")))
    project.open_gate()

    assert project.await_results(1) == ["m"]
    assert project.dead() == []
