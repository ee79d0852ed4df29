"""Servers that die, connections that break, answers that get lost: no message is lost, and every error is true."""

from __future__ import annotations

import threading
import time

import pytest
import redis

from awf_core.contract import Ack, DeadLetter, Nack, Outgoing
from awf_core.errors import BrokerMisconfigured, BrokerUnavailable, LeaseLost
from awf_core.testing.eventually import eventually
from awf_core.testing.proxy import Proxy


def outcome(call, *arguments):
    """What a call returned, or the error it raised, on a thread of its own."""
    found = []

    def run():
        try:
            found.append(call(*arguments))
        except Exception as error:  # noqa: BLE001
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


def is_waiting(client):
    return client.info("clients")["blocked_clients"]


@pytest.fixture
def proxy(server):
    with Proxy("127.0.0.1", server.port) as running:
        yield running


@pytest.fixture
def proxied(server, proxy, make_backend):
    """A backend behind the proxy, impatient enough for a test."""
    return make_backend(proxy.through(server.url), socket_timeout="300ms", connect_timeout="300ms", block="100ms")


def test_a_server_that_forgot_the_scripts_gets_them_again(backend, external, take):
    delivery = take()
    external.script_flush()

    assert backend.awf_mq_ack([Ack(delivery=delivery, replies=[Outgoing(queue="answers", body=b"r")])]) == [None]
    external.script_flush()
    assert take().body == b"{}"


def test_a_flushed_server_serves_the_messages_that_are_published_after(backend, external):
    thread, found = outcome(backend.awf_mq_consume, "work", 1, 20)
    eventually(lambda: is_waiting(external))

    external.flushall()
    external.lpush("work", "after")
    thread.join()

    assert [delivery.body for delivery in found[0]] == [b"after"]


def test_a_consumer_of_a_server_without_blmove_waits_with_brpoplpush(make_server, make_backend):
    server = make_server(append_only=False, extra=("--rename-command", "BLMOVE", ""))
    backend = make_backend(server.url)
    backend.awf_mq_ensure("work", "work", "dead")
    with redis.Redis(port=server.port) as client:
        thread, found = outcome(backend.awf_mq_consume, "work", 1, 20)
        eventually(lambda: is_waiting(client))

        client.lpush("work", "x")
        thread.join()
        used = client.info("commandstats")["cmdstat_brpoplpush"]["calls"]

    assert [delivery.body for delivery in found[0]] == [b"x"]
    assert used >= 1


def test_a_killed_server_restarts_with_the_messages_in_flight_and_those_that_waited(make_server, make_backend):
    server = make_server()
    backend = make_backend(server.url)
    backend.awf_mq_publish([Outgoing(queue="work", body=b"%d" % number) for number in range(3)])
    (held,) = backend.awf_mq_consume("work", 1, 0)
    (delayed,) = backend.awf_mq_consume("work", 1, 0)
    backend.awf_mq_nack([Nack(delivery=delayed, delay_s=1000, reason="x")])

    server.restart()

    assert backend.awf_mq_ack([Ack(delivery=held, replies=[Outgoing(queue="answers", body=b"r")])]) == [None]
    assert [d.body for d in backend.awf_mq_consume("work", 5, 0)] == [b"2"]
    stats = backend.awf_mq_stats("work")
    assert (stats.ready, stats.delayed, stats.in_flight) == (0, 1, 1)
    assert [item.body for item in backend.awf_mq_browse("answers", 5, None).items] == [b"r"]


def test_a_consumer_that_waits_on_a_killed_server_fails_at_once_and_works_again_after(make_server, make_backend):
    server = make_server()
    backend = make_backend(server.url)
    with redis.Redis(port=server.port) as client:
        thread, found = outcome(backend.awf_mq_consume, "work", 1, 20)
        eventually(lambda: is_waiting(client))

    killed_at = time.monotonic()
    server.kill()
    thread.join()
    noticed_s = time.monotonic() - killed_at
    with pytest.raises(BrokerUnavailable):
        backend.awf_mq_consume("work", 1, 1)
    server.start()
    published = backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])

    assert isinstance(found[0], BrokerUnavailable)
    assert noticed_s < 1
    assert published == [None]
    assert [d.body for d in backend.awf_mq_consume("work", 1, 1)] == [b"x"]


def test_a_cut_connection_is_reported_once_and_the_next_call_works(proxied, proxy, external):
    thread, found = outcome(proxied.awf_mq_consume, "work", 1, 20)
    eventually(lambda: is_waiting(external))

    proxy.cut()
    thread.join()
    external.lpush("work", "x")

    assert isinstance(found[0], BrokerUnavailable)
    assert [d.body for d in proxied.awf_mq_consume("work", 1, 1)] == [b"x"]


def test_a_silent_connection_is_closed_in_bounded_time_and_made_anew(proxied, proxy, external):
    thread, found = outcome(proxied.awf_mq_consume, "work", 1, 20)
    eventually(lambda: is_waiting(external))

    started = time.monotonic()
    proxy.blackhole()
    thread.join()
    noticed_s = time.monotonic() - started
    with pytest.raises(BrokerUnavailable):
        proxied.awf_mq_open()
    proxy.cut()
    proxy.restore()
    external.lpush("work", "x")

    assert isinstance(found[0], BrokerUnavailable)
    assert noticed_s < 2
    assert [d.body for d in proxied.awf_mq_consume("work", 1, 5)] == [b"x"]


def test_an_interrupt_ends_a_wait_on_a_silent_connection_too(server, proxy, make_backend, external):
    backend = make_backend(proxy.through(server.url))
    thread, found = outcome(backend.awf_mq_consume, "work", 1, 20)
    eventually(lambda: is_waiting(external))
    proxy.blackhole()

    started = time.monotonic()
    backend.awf_mq_interrupt()
    thread.join()

    assert found == [[]]
    assert time.monotonic() - started < backend.capabilities.interrupt_s


def test_a_publish_whose_answer_is_lost_is_in_doubt_and_not_repeated(proxied, proxy, external, make_mq):
    proxy.cut_after(0, towards="client")

    answers = make_mq(proxied).publish(
        [Outgoing(queue="work", body=b"x"), Outgoing(queue="other", body=b"", priority=1)]
    )

    assert isinstance(answers[0], BrokerUnavailable)
    assert answers[0].in_doubt
    assert isinstance(answers[1], BrokerMisconfigured)
    assert external.lrange("work", 0, -1) == [b"x"]


def test_a_publish_that_was_never_sent_is_not_in_doubt(proxied, proxy):
    proxy.refuse()
    proxy.cut()

    for delay_s in (0, 5):
        with pytest.raises(BrokerUnavailable) as caught:
            proxied.awf_mq_publish([Outgoing(queue=queue, body=b"x", delay_s=delay_s) for queue in "abc"])

        assert not caught.value.in_doubt


def end_by_ack(backend, delivery):
    return backend.awf_mq_ack([Ack(delivery=delivery, replies=[Outgoing(queue="answers", body=b"r")])])


def end_by_nack(backend, delivery):
    return backend.awf_mq_nack([Nack(delivery=delivery, reason="x")])


def end_by_dead_letter(backend, delivery):
    item = DeadLetter(delivery=delivery, queue="dead", reason="r", error="e")
    return backend.awf_mq_dead_letter([item])


@pytest.mark.parametrize("end", [end_by_ack, end_by_nack, end_by_dead_letter])
def test_a_repeated_settlement_whose_answer_was_lost_is_done_once(proxied, proxy, external, take, end):
    delivery = take(source=proxied)
    end(proxied, take(source=proxied))  # from here on the server has the scripts
    before = (external.llen("answers"), external.zcard("{work}:due"), external.xlen("dead"))
    proxy.cut_after(0, towards="client")

    (first,) = end(proxied, delivery)
    second = end(proxied, delivery)
    (third,) = end(proxied, delivery)

    after = (external.llen("answers"), external.zcard("{work}:due"), external.xlen("dead"))
    assert isinstance(first, BrokerUnavailable)
    assert first.in_doubt
    assert second == [None]
    assert isinstance(third, LeaseLost)
    assert sum(after) == sum(before) + 1


def test_a_settlement_that_never_arrived_is_done_when_repeated(proxied, proxy, external, take):
    delivery = take(source=proxied)
    proxy.refuse()
    proxy.cut()

    with pytest.raises(BrokerUnavailable):
        end_by_ack(proxied, delivery)
    proxy.restore()

    assert end_by_ack(proxied, delivery) == [None]
    assert external.llen("answers") == 1


def test_a_settlement_in_doubt_is_lost_once_another_worker_has_the_message(
    server, proxy, make_backend, backend, external, take
):
    hasty = make_backend(proxy.through(server.url), lease="200ms", socket_timeout="200ms")
    delivery = take(source=hasty)
    proxy.blackhole()
    thread, found = outcome(end_by_ack, hasty, delivery)
    current = take(publish=False)
    thread.join()
    proxy.cut()
    proxy.restore()

    (again,) = end_by_ack(hasty, delivery)

    assert found[0][0].in_doubt
    assert isinstance(again, LeaseLost)
    assert external.llen("answers") == 0
    assert current.deliveries == 2


def test_messages_whose_delivery_was_lost_are_redelivered_when_their_lease_ends(server, proxy, make_backend, take):
    hasty = make_backend(proxy.through(server.url), lease="200ms")
    take(source=hasty)  # from here on the server has the script
    hasty.awf_mq_publish([Outgoing(queue="other", body=b"x")])
    proxy.cut_after(0, towards="client")

    with pytest.raises(BrokerUnavailable):
        hasty.awf_mq_consume("other", 1, 0)
    (redelivered,) = hasty.awf_mq_consume("other", 1, 5)

    assert (redelivered.body, redelivered.deliveries, redelivered.attempt) == (b"x", 2, 1)


def test_a_master_that_became_a_replica_is_unavailable_until_there_is_a_master_again(make_server, make_backend):
    server = make_server(append_only=False)
    backend = make_backend(server.url)
    with redis.Redis(port=server.port) as client:
        thread, found = outcome(backend.awf_mq_consume, "work", 1, 20)
        eventually(lambda: is_waiting(client))

        client.replicaof("127.0.0.1", "1")
        thread.join()
        (published,) = backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])
        # The address may lead to another server by now, so connections to this one are closed.
        eventually(lambda: not [c for c in client.client_list() if c["name"] == "awf:tester"])
        with pytest.raises(BrokerUnavailable, match=r"is a replica of 127\.0\.0\.1:1"):
            backend.awf_mq_open()
        client.replicaof("NO", "ONE")

    assert isinstance(found[0], BrokerUnavailable)
    assert isinstance(published, BrokerUnavailable)
    assert not published.in_doubt
    assert "replica now" in published.hint
    assert backend.awf_mq_publish([Outgoing(queue="work", body=b"y")]) == [None]
    assert [d.body for d in backend.awf_mq_consume("work", 5, 1)] == [b"y"]


def test_a_revoked_login_that_is_granted_again_works_without_a_restart(server, make_backend, external):
    rules = ("on", ">s3cret", "~*", "+@all")
    external.execute_command("ACL", "SETUSER", "guest", *rules)
    backend = make_backend(server.url.replace("redis://", "redis://guest:s3cret@"))

    external.acl_deluser("guest")
    with pytest.raises(BrokerMisconfigured, match="refuses the login") as caught:
        backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])
    external.execute_command("ACL", "SETUSER", "guest", *rules)
    published = backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])
    backend.awf_mq_close()
    external.acl_deluser("guest")

    assert published == [None]
    assert "s3cret" not in str(caught.value)


def test_opening_and_closing_again_and_again_leaves_no_connection_open(backend, external):
    for _ in range(20):
        backend.awf_mq_open()
        backend.awf_mq_consume("work", 1, 0.001)
        backend.awf_mq_close()

    eventually(lambda: len(external.client_list()) == 1, what="all connections but this test's are gone")


def test_a_server_that_restarts_while_threads_use_it_loses_no_message(make_server, make_backend):
    server = make_server()
    backend = make_backend(server.url, lease="400ms")
    total = 300
    backend.awf_mq_publish([Outgoing(queue="work", body=b"%d" % number) for number in range(total)])
    stop = threading.Event()

    def work():
        while not stop.is_set():
            try:
                for delivery in backend.awf_mq_consume("work", 3, 0.2):
                    backend.awf_mq_ack(
                        [Ack(delivery=delivery, replies=[Outgoing(queue="answers", body=delivery.body)])]
                    )
            except BrokerUnavailable:
                stop.wait(0.02)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    with redis.Redis(port=server.port) as client:
        for part in (1, 2):
            eventually(lambda part=part: client.llen("answers") >= total * part / 4)
            server.restart()
        eventually(lambda: client.llen("answers") == total)
        stop.set()
        for thread in threads:
            thread.join()
        answers = sorted(map(int, client.lrange("answers", 0, -1)))
        keys = client.keys()

    assert answers == list(range(total))
    assert keys == [b"answers"]
