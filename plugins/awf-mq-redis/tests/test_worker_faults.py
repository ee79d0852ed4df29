"""`awf worker` processes on servers that die, hang, fill up or change their role: no message lost, no result twice."""

from __future__ import annotations

import signal
import time

import pytest
import redis

from awf_core.testing.eventually import eventually
from awf_core.testing.proxy import Proxy


def test_a_server_killed_while_the_worker_idles_is_found_again(make_server, make_site):
    server = make_server()
    site = make_site(server)
    worker = site.worker(server.url)

    server.kill()
    worker.await_line("broker.unavailable", count=2)
    server.start()

    site.assert_back_soon(worker, count=1)
    worker.await_line("broker.recovered")


def test_a_server_killed_with_a_claim_under_way_loses_nothing(make_server, make_site):
    server = make_server()
    site = make_site(server)
    worker = site.worker(server.url)
    site.push("kit-done", "before")
    site.results()

    server.pause()
    worker.await_line("broker.unavailable")
    server.restart()

    site.assert_back_soon(worker, count=2)
    site.assert_settled()


def test_a_run_goes_on_while_its_server_is_gone_and_is_answered_once_after(make_server, make_site):
    server = make_server()
    site = make_site(server)
    worker = site.worker(server.url)
    site.begin()

    server.kill()
    site.project.open_gate()
    worker.await_line("run.finished")
    worker.await_line("broker.unavailable", count=2)
    server.start()

    site.assert_back_soon(worker, count=2)
    assert site.project.runs("kit-slow") == ["m"]
    site.assert_settled()


def test_a_settlement_that_died_with_its_server_is_made_again(make_server, make_site):
    server = make_server()
    site = make_site(server)
    worker = site.worker(server.url, "--max-messages", "1")
    site.begin()

    server.pause()
    site.project.open_gate()
    worker.await_line("settle.retried")
    server.restart()

    assert worker.end() == 0
    assert site.results() == ["m"]
    assert site.project.runs("kit-slow") == ["m"]
    site.assert_settled()


def test_a_settlement_whose_answer_died_with_its_server_is_not_made_twice(make_server, make_site):
    server = make_server()
    site = make_site(server)
    with Proxy("127.0.0.1", server.port) as proxy:
        # While it runs its last message the worker claims no more, so the next answer is the settlement's.
        worker = site.worker(proxy.through(server.url), "--concurrency", "1", "--max-messages", "2")
        site.push("kit-done", "first")  # from here on the server has the scripts
        worker.await_line("message.settled")
        site.begin()

        proxy.cut_after(0, towards="client")
        proxy.refuse()
        site.project.open_gate()
        worker.await_line("settle.retried")
        taken = site.client.llen("results")
        server.restart()
        proxy.restore()
        code = worker.end()

    assert (taken, code) == (2, 0)
    assert site.results(2) == ["first", "m"]
    assert site.project.runs("kit-slow") == ["m"]
    site.assert_settled()


def test_a_stream_of_messages_over_two_kills_of_the_server_is_answered_one_by_one(make_server, make_site):
    server = make_server()
    site = make_site(server)
    ids = [f"{number:03}" for number in range(120)]
    worker = site.worker(server.url, lease="1s")

    site.push("kit-done", *ids)
    for part in (30, 70):
        site.results(part)
        server.restart()

    assert site.results(len(ids), within_s=20) == ids
    site.assert_settled()
    assert worker.stop() == 0
    assert site.client.llen("results") == len(ids)


def test_a_silent_connection_is_closed_and_the_run_answered_once(server, proxy, make_site):
    site = make_site(server)
    worker = site.worker(proxy.through(server.url))
    site.begin()

    proxy.blackhole()
    site.project.open_gate()
    worker.await_line("run.finished")
    silent_until = time.monotonic() + 1.2  # longer than any call waits for an answer, settlements included
    eventually(lambda: time.monotonic() > silent_until)
    proxy.cut()
    proxy.restore()

    site.assert_back_soon(worker, count=2)
    assert site.project.runs("kit-slow") == ["m"]
    site.assert_settled()


def test_connections_that_are_reset_again_and_again_cost_no_message(server, proxy, make_site):
    site = make_site(server)
    ids = [f"{number:03}" for number in range(60)]
    site.worker(proxy.through(server.url), lease="1s")

    site.push("kit-done", *ids)
    for part in range(10, 60, 10):
        site.results(part)
        proxy.cut()

    assert site.results(len(ids), within_s=20) == ids
    site.assert_settled()


def test_a_server_at_maxmemory_still_has_its_messages_run_and_answered(server, make_site):
    site = make_site(server)
    worker = site.worker(server.url, "--concurrency", "1", lease="600ms")
    site.begin()
    site.push("kit-done", "waiting")
    site.client.config_set("maxmemory", 1)

    renewed_at = time.monotonic() + 1.5
    eventually(lambda: time.monotonic() > renewed_at)  # without renewals its lease would have ended twice
    site.project.open_gate()
    found = site.results(2)
    with pytest.raises(redis.OutOfMemoryError):
        site.push("kit-done", "refused")

    assert found == ["m", "waiting"]
    assert not worker.lines("lease.lost")
    assert site.project.runs("kit-slow") == ["m"]
    site.assert_settled()


def test_a_master_that_is_a_replica_for_a_while_is_worked_with_again_after(make_server, make_site):
    server = make_server(append_only=False)
    site = make_site(server)
    worker = site.worker(server.url)
    site.begin()

    site.client.replicaof("127.0.0.1", "1")
    site.project.open_gate()
    worker.await_line("run.finished")
    worker.await_line("broker.unavailable")
    site.client.replicaof("NO", "ONE")

    site.assert_back_soon(worker, count=2)
    assert site.project.runs("kit-slow") == ["m"]


def test_a_worker_follows_its_sentinels_to_the_new_master(sentinel_group, make_site):
    master, replica, sentinels = sentinel_group
    site = make_site(master)
    nodes = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
    worker = site.worker(f"redis+sentinel://{nodes}/mymaster")
    site.begin()
    assert site.client.wait(1, 5000) == 1

    with redis.Redis(port=replica.port) as promoted:
        master.kill()
        site.project.open_gate()
        worker.await_line("run.finished")
        eventually(lambda: promoted.info("replication")["role"] == "master", 20, what="the failover")

        site.assert_back_soon(worker, client=promoted, count=2)
        site.assert_settled(client=promoted)
    assert site.project.runs("kit-slow") == ["m"]


def test_a_server_that_forgot_the_scripts_gets_them_again_without_a_log_line(server, make_site):
    site = make_site(server)
    worker = site.worker(server.url)
    site.begin()

    site.client.script_flush()
    site.project.open_gate()

    assert site.results() == ["m"]
    site.assert_settled()
    assert not worker.lines("broker.unavailable") + worker.lines("settle.retried")


def test_a_worker_stopped_beyond_its_lease_loses_the_message_to_another_and_its_own_late_ack(server, make_site):
    site = make_site(server)
    stopped = site.worker(server.url, lease="1s")
    site.begin()

    stopped.signal(signal.SIGSTOP)
    heir = site.worker(server.url, lease="1s")
    eventually(lambda: len(site.project.runs("kit-slow")) == 2, what="another worker began it")
    site.project.open_gate()
    heir.await_line("message.settled", settlement="ack")
    stopped.signal(signal.SIGCONT)
    stopped.await_line("message.settled", settlement="lost")

    assert site.results() == ["m"]
    assert site.project.runs("kit-slow") == ["m", "m"]
    assert heir.lines("message.claimed", deliveries=2, attempt=1)
    site.assert_settled()
