"""What a worker has in hand on RabbitMQ: a reset connection starts no second run of it, and a release is no crash."""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from fault_project import CLAIMED, SETTLED
from rabbitmq_faults import RabbitMqFaults

from awf_core.contract import Nack
from awf_core.errors import BrokerUnavailable
from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from awf_core.testing.brokers import PrivateRabbitMq
    from awf_core.testing.process import LoggedProcess
    from awf_core.testing.proxy import Proxy

RESETS = 6
RELEASES = 100
MOST_DEATHS = 20
CANCELLED_WITHIN_S = 6.0


@pytest.fixture
def project(tmp_path: Path, server: PrivateRabbitMq) -> Iterator[RabbitMqFaults]:
    made = RabbitMqFaults(tmp_path / "project", server.url)
    yield made
    made.close()


def test_reset_connections_start_no_run_beside_a_live_one(
    project: RabbitMqFaults, server: PrivateRabbitMq, proxy: Proxy
) -> None:
    worker = project.worker(project.rabbitmq(proxy.through(server.url)))
    project.put("one", "other")
    project.await_starts(2)

    for number in range(1, RESETS + 1):
        proxy.cut()
        project.probe(number, beside="one")
    project.open_gate()

    # Second results of probes may be among them: see below.
    eventually(
        lambda: {"one", "other"} <= {result["message_id"] for result in project.results()}, 30, what="both results"
    )
    project.assert_ran_once("one", "other")
    assert worker.stop() == 0
    assert project.dead() == []
    # AMQP does not answer an ack: one that is under way at a reset is lost, and its probe runs again, after its end.
    results = Counter(result["message_id"] for result in project.results())
    assert (results.pop("one"), results.pop("other")) == (1, 1)
    assert len(results) == RESETS
    assert max(results.values()) <= 2, results
    assert project.ready(project.queue) == 0


def test_a_run_that_ends_while_its_connection_is_gone_is_settled_when_its_message_is_back(
    project: RabbitMqFaults, server: PrivateRabbitMq, proxy: Proxy
) -> None:
    worker = project.worker(project.rabbitmq(proxy.through(server.url)))
    project.put("m")
    project.await_starts(1)

    proxy.refuse()
    proxy.cut()
    project.open_gate()
    worker.await_line("run.finished", message_id="m")
    proxy.restore()
    project.probe(2, beside="m")

    worker.await_line(SETTLED, message_id="m", settlement="ack")
    assert project.await_results(2).count("m") == 1
    project.assert_ran_once("m")
    assert worker.stop() == 0


def test_a_worker_that_was_stopped_past_its_heartbeat_goes_on_with_the_run_it_has(
    project: RabbitMqFaults, server: PrivateRabbitMq
) -> None:
    worker = project.worker(project.rabbitmq(server.url))
    project.put("m")
    project.await_starts(1)

    for number in range(1, 3):
        worker.signal(signal.SIGSTOP)
        eventually(project.is_abandoned, 30, what="the broker closed the connection and took the message back")
        worker.signal(signal.SIGCONT)
        project.probe(number, beside="m")
        # A probe whose acknowledgement has not left the stopped worker would be taken back, and run, as well.
        worker.await_line(SETTLED, message_id=f"probe-{number}")
    project.open_gate()

    assert project.await_results(3).count("m") == 1
    project.assert_ran_once("m")
    assert worker.stop() == 0
    assert project.dead() == []


def lose_message(
    project: RabbitMqFaults, server: PrivateRabbitMq, proxy: Proxy, **mq: Any
) -> tuple[LoggedProcess, LoggedProcess]:
    """A worker that is cut off while `m` runs, and another that has started `m` since."""
    mq = {"rebind_timeout": "1s", "max_run": None, **mq}
    cut_off = project.worker(project.rabbitmq(proxy.through(server.url), "cut-off", **mq), "--name", "cut-off")
    project.put("m")
    project.await_starts(1)
    proxy.refuse()
    proxy.cut()
    heir = project.worker(project.rabbitmq(server.url, "heir", **mq), "--name", "heir")
    project.await_starts(2)
    return cut_off, heir


def test_a_run_whose_message_does_not_come_back_is_cancelled_after_the_rebind_timeout(
    project: RabbitMqFaults, server: PrivateRabbitMq, proxy: Proxy
) -> None:
    cut_off, heir = lose_message(project, server, proxy)
    old, new = project.lines("start", "m")

    eventually(lambda: not project.is_running(old), CANCELLED_WITHIN_S, what="the old run is cancelled")
    lost = cut_off.await_line("lease.lost")
    project.open_gate()
    heir.await_line(SETTLED, message_id="m", settlement="ack")
    proxy.restore()

    assert lost["level"] == "warning"
    assert [line.pid for line in project.lines("end", "m")] == [new.pid]
    assert [cut_off.stop(), heir.stop()] == [0, 0]
    assert [result["worker"] for result in project.results()] == ["heir"]


def test_a_run_whose_message_does_not_come_back_goes_on_where_the_configuration_says_so(
    project: RabbitMqFaults, server: PrivateRabbitMq, proxy: Proxy
) -> None:
    cut_off, heir = lose_message(project, server, proxy, on_lease_lost="continue")

    cut_off.await_line("lease.lost")
    project.open_gate()
    cut_off.await_line("run.finished", message_id="m", status="completed")
    heir.await_line(SETTLED, message_id="m", settlement="ack")
    proxy.restore()

    assert [cut_off.stop(), heir.stop()] == [0, 0]
    assert [result["worker"] for result in project.results()] == ["heir"]


def test_a_message_released_again_and_again_is_not_taken_for_one_that_kills_its_workers(
    project: RabbitMqFaults, server: PrivateRabbitMq, make_backend: Callable[..., Any]
) -> None:
    config = project.rabbitmq(server.url, grace="0s")
    project.worker(config, "--burst").end()
    project.put("m")
    backend = make_backend()
    for _ in range(RELEASES):
        (delivery,) = eventually(lambda: backend.awf_mq_consume(project.queue, 1, 1.0), 15, what="the message")
        assert backend.awf_mq_nack([Nack(delivery=delivery, counted=False, reason="drain")]) == [None]
    backend.awf_mq_close()

    for number in range(1, 4):
        worker = project.worker(config)
        eventually(lambda number=number: project.starts() == number or project.ready(project.dead_queue), 15)
        assert project.dead() == []
        assert worker.stop() in (0, 5)
    last = project.worker(config)
    project.await_starts(4)
    project.open_gate()

    claimed = last.await_line(CLAIMED, message_id="m")
    last.await_line(SETTLED, message_id="m", settlement="ack")
    assert claimed["attempt"] == 1
    assert project.await_results(1) == ["m"]
    assert last.stop() == 0


def test_a_message_whose_connection_is_lost_again_and_again_is_not_taken_for_one_that_kills_its_workers(
    project: RabbitMqFaults, server: PrivateRabbitMq, proxy: Proxy, make_backend: Callable[..., Any]
) -> None:
    config = project.rabbitmq(server.url)
    project.worker(config, "--burst").end()
    project.put("m")
    backend = make_backend(url=proxy.through(server.url))
    for _ in range(MOST_DEATHS + 5):
        eventually(lambda: _taken(backend, project.queue), 15, what="the message")
        proxy.cut()
    # It lives, so it says of what it lost that these were no crashes.
    eventually(lambda: _taken(backend, project.queue), 15, what="the message")
    backend.awf_mq_close()

    project.open_gate()
    worker = project.worker(config)

    line = worker.await_line(SETTLED, message_id="m")
    assert line["settlement"] == "ack"
    assert project.await_results(1) == ["m"]
    assert worker.stop() == 0


def test_a_message_that_kills_its_workers_is_dead_after_twenty_deaths_at_most(
    project: RabbitMqFaults, server: PrivateRabbitMq
) -> None:
    project.step("killer", "kill -9 $PPID; sleep 60")
    config = project.rabbitmq(server.url, concurrency=1)
    project.worker(config, "--burst").end()
    project.put("killer", workflow="killer")
    project.put("good", workflow="short")

    deaths = 0
    while not project.ready(project.dead_queue) and deaths <= MOST_DEATHS:
        worker = project.worker(config, "--burst", is_awaited=False)
        deaths += worker.end() == -signal.SIGKILL

    assert project.dead() == ["crash_loop"]
    assert 5 <= deaths <= MOST_DEATHS
    assert "good" in project.await_results(2)
    assert project.starts("good") == 1


def test_a_worker_that_may_publish_nothing_says_so_at_its_start(
    project: RabbitMqFaults, server: PrivateRabbitMq, evaluate: Callable[[str], str]
) -> None:
    project.worker(project.rabbitmq(server.url), "--burst").end()
    users = "rabbit_auth_backend_internal"
    name = f"reader-{os.getpid()}"
    evaluate(f'{users}:add_user(<<"{name}">>, <<"s3cret">>, <<"test">>)')
    evaluate(f'{users}:set_permissions(<<"{name}">>, <<"/">>, <<".*">>, <<"^$">>, <<".*">>, <<"test">>)')

    url = server.url.replace("guest:guest", f"{name}:s3cret")
    worker = project.worker(project.rabbitmq(url), is_awaited=False)

    assert worker.end(20) == 2
    assert "set_permissions" in worker.tail()


def _taken(backend: Any, queue: str) -> object:
    try:
        return backend.awf_mq_consume(queue, 1, 1.0)
    except BrokerUnavailable:
        return None
