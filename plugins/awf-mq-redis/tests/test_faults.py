"""Servers that die, links that break, answers that get lost: nothing is lost, and nothing is said that isn't so."""

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


def asleep(client):
    return client.info("clients")["blocked_clients"]


@pytest.fixture
def proxy(server):
    with Proxy("127.0.0.1", server.port) as running:
        yield running


@pytest.fixture
def proxied(server, proxy, make_backend):
    """A backend behind the proxy, impatient enough for a test."""
    return make_backend(proxy.through(server.url), socket_timeout="300ms", connect_timeout="300ms", block="100ms")


def test_a_server_that_forgot_the_scripts_is_told_them_again(backend, foreign, take):
    delivery = take()
    foreign.script_flush()

    assert backend.awf_mq_ack([Ack(delivery=delivery, replies=[Outgoing(queue="answers", body=b"r")])]) == [None]
    foreign.script_flush()
    assert take().body == b"{}"


def test_a_server_that_forgot_everything_while_we_slept_serves_what_comes_after(backend, foreign):
    thread, found = outcome(backend.awf_mq_consume, "work", 1, 20)
    eventually(lambda: asleep(foreign))

    foreign.flushall()
    foreign.lpush("work", "after")
    thread.join()

    assert [delivery.body for delivery in found[0]] == [b"after"]


def test_a_server_without_blmove_is_slept_on_with_brpoplpush(make_server, make_backend):
    server = make_server(append_only=False, extra=("--rename-command", "BLMOVE", ""))
    backend = make_backend(server.url)
    backend.awf_mq_ensure("work", "work", "dead")
    with redis.Redis(port=server.port) as client:
        thread, found = outcome(backend.awf_mq_consume, "work", 1, 20)
        eventually(lambda: asleep(client))

        client.lpush("work", "x")
        thread.join()
        used = client.info("commandstats")["cmdstat_brpoplpush"]["calls"]

    assert [delivery.body for delivery in found[0]] == [b"x"]
    assert used >= 1


def test_a_killed_server_comes_back_with_what_was_held_and_what_was_waiting(make_server, make_backend):
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


def test_a_consumer_asleep_in_a_server_that_dies_hears_of_it_at_once_and_works_again_after(make_server, make_backend):
    server = make_server()
    backend = make_backend(server.url)
    with redis.Redis(port=server.port) as client:
        thread, found = outcome(backend.awf_mq_consume, "work", 1, 20)
        eventually(lambda: asleep(client))

    killed_at = time.monotonic()
    server.kill()
    thread.join()
    heard_s = time.monotonic() - killed_at
    with pytest.raises(BrokerUnavailable):
        backend.awf_mq_consume("work", 1, 1)
    server.start()
    published = backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])

    assert isinstance(found[0], BrokerUnavailable)
    assert heard_s < 1
    assert published == [None]
    assert [d.body for d in backend.awf_mq_consume("work", 1, 1)] == [b"x"]


def test_a_cut_connection_is_reported_once_and_the_next_call_works(proxied, proxy, foreign):
    thread, found = outcome(proxied.awf_mq_consume, "work", 1, 20)
    eventually(lambda: asleep(foreign))

    proxy.cut()
    thread.join()
    foreign.lpush("work", "x")

    assert isinstance(found[0], BrokerUnavailable)
    assert [d.body for d in proxied.awf_mq_consume("work", 1, 1)] == [b"x"]


def test_a_link_that_went_silent_is_given_up_in_bounded_time_and_made_anew(proxied, proxy, foreign):
    thread, found = outcome(proxied.awf_mq_consume, "work", 1, 20)
    eventually(lambda: asleep(foreign))

    started = time.monotonic()
    proxy.blackhole()
    thread.join()
    noticed_s = time.monotonic() - started
    with pytest.raises(BrokerUnavailable):
        proxied.awf_mq_open()
    proxy.cut()
    proxy.restore()
    foreign.lpush("work", "x")

    assert isinstance(found[0], BrokerUnavailable)
    assert noticed_s < 2
    assert [d.body for d in proxied.awf_mq_consume("work", 1, 5)] == [b"x"]


def test_an_interrupt_ends_a_wait_on_a_silent_link_too(server, proxy, make_backend, foreign):
    backend = make_backend(proxy.through(server.url))
    thread, found = outcome(backend.awf_mq_consume, "work", 1, 20)
    eventually(lambda: asleep(foreign))
    proxy.blackhole()

    started = time.monotonic()
    backend.awf_mq_interrupt()
    thread.join()

    assert found == [[]]
    assert time.monotonic() - started < backend.capabilities.interrupt_s


def test_a_publish_whose_answer_is_lost_is_in_doubt_and_not_repeated(proxied, proxy, foreign):
    proxy.cut_after(0, towards="client")

    answers = proxied.awf_mq_publish([Outgoing(queue="work", body=b"x"), Outgoing(queue="other", body=b"", priority=1)])

    assert isinstance(answers[0], BrokerUnavailable)
    assert answers[0].in_doubt
    assert isinstance(answers[1], BrokerMisconfigured)
    assert foreign.lrange("work", 0, -1) == [b"x"]


def test_a_publish_that_reaches_nobody_is_in_no_doubt(proxied, proxy):
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
    letter = DeadLetter(delivery=delivery, queue="dead", reason="r", error="e")
    return backend.awf_mq_dead_letter([letter])


@pytest.mark.parametrize("end", [end_by_ack, end_by_nack, end_by_dead_letter])
def test_a_settlement_whose_answer_was_lost_is_found_done_when_repeated_and_done_once(
    proxied, proxy, foreign, take, end
):
    delivery = take(source=proxied)
    end(proxied, take(source=proxied))  # the scripts are known from here on
    before = (foreign.llen("answers"), foreign.zcard("{work}:due"), foreign.xlen("dead"))
    proxy.cut_after(0, towards="client")

    (first,) = end(proxied, delivery)
    second = end(proxied, delivery)
    (third,) = end(proxied, delivery)

    after = (foreign.llen("answers"), foreign.zcard("{work}:due"), foreign.xlen("dead"))
    assert isinstance(first, BrokerUnavailable)
    assert first.in_doubt
    assert second == [None]
    assert isinstance(third, LeaseLost)
    assert sum(after) == sum(before) + 1


def test_a_settlement_that_never_arrived_is_done_when_repeated(proxied, proxy, foreign, take):
    delivery = take(source=proxied)
    proxy.refuse()
    proxy.cut()

    with pytest.raises(BrokerUnavailable):
        end_by_ack(proxied, delivery)
    proxy.restore()

    assert end_by_ack(proxied, delivery) == [None]
    assert foreign.llen("answers") == 1


def test_a_doubt_does_not_hide_that_somebody_else_has_the_message_now(
    server, proxy, make_backend, backend, foreign, take
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
    assert foreign.llen("answers") == 0
    assert current.deliveries == 2


def test_messages_whose_handing_over_was_lost_come_again_when_their_lease_ends(server, proxy, make_backend, take):
    hasty = make_backend(proxy.through(server.url), lease="200ms")
    take(source=hasty)  # the script is known from here on
    hasty.awf_mq_publish([Outgoing(queue="other", body=b"x")])
    proxy.cut_after(0, towards="client")

    with pytest.raises(BrokerUnavailable):
        hasty.awf_mq_consume("other", 1, 0)
    (again,) = hasty.awf_mq_consume("other", 1, 5)

    assert (again.body, again.deliveries, again.attempt) == (b"x", 2, 1)


def test_a_master_that_became_a_replica_is_unavailable_until_there_is_a_master_again(make_server, make_backend):
    server = make_server(append_only=False)
    backend = make_backend(server.url)
    with redis.Redis(port=server.port) as client:
        thread, found = outcome(backend.awf_mq_consume, "work", 1, 20)
        eventually(lambda: asleep(client))

        client.replicaof("127.0.0.1", "1")
        thread.join()
        (published,) = backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])
        # The address may lead to another server by now: connections to this one are of no use.
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


def test_a_login_that_is_revoked_and_given_back_is_no_reason_to_start_anew(server, make_backend, foreign):
    rules = ("on", ">s3cret", "~*", "+@all")
    foreign.execute_command("ACL", "SETUSER", "guest", *rules)
    backend = make_backend(server.url.replace("redis://", "redis://guest:s3cret@"))

    foreign.acl_deluser("guest")
    with pytest.raises(BrokerMisconfigured, match="refuses the login") as caught:
        backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])
    foreign.execute_command("ACL", "SETUSER", "guest", *rules)
    published = backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])
    backend.awf_mq_close()
    foreign.acl_deluser("guest")

    assert published == [None]
    assert "s3cret" not in str(caught.value)


def test_opening_and_closing_again_and_again_leaves_no_connection_open(backend, foreign):
    for _ in range(20):
        backend.awf_mq_open()
        backend.awf_mq_consume("work", 1, 0.001)
        backend.awf_mq_close()

    eventually(lambda: len(foreign.client_list()) == 1, what="all connections but ours are gone")


def test_a_server_that_is_stopped_while_full_hands_of_threads_use_it_loses_nothing(make_server, make_backend):
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
