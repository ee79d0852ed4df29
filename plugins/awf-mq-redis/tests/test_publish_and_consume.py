"""Publishing and consuming: every producer's messages are delivered, whole, in order and in time."""

from __future__ import annotations

import os
import re
import threading
import time

import pytest

from awf_core.contract import Ack, Nack, Outgoing
from awf_core.errors import BrokerMisconfigured, Unroutable
from awf_core.testing.eventually import eventually

BODIES = [
    b"",
    b"{}",
    "é ☃ \U0001f600".encode(),
    b"nul \x00 inside",
    b"\xff\xfe not utf-8",
    b"line\r\nline\n*3\r\n$1\r\n",
    b"x" * 1_048_576,
]


def bodies(deliveries):
    return [delivery.body for delivery in deliveries]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_a_body_is_delivered_byte_for_byte_and_leaves_no_key(backend, external, body):
    backend.awf_mq_publish([Outgoing(queue="work", body=body)])

    deliveries = backend.awf_mq_consume("work", 10, 0)
    settled = backend.awf_mq_ack([Ack(delivery=deliveries[0])])

    assert bodies(deliveries) == [body]
    assert settled == [None]
    assert external.dbsize() == 0


def test_a_plain_lpush_by_any_client_is_a_producer_like_any_other(backend, external):
    external.lpush("work", b'{"workflow": "greeting"}', b"\x00\xff")

    assert bodies(backend.awf_mq_consume("work", 10, 0)) == [b'{"workflow": "greeting"}', b"\x00\xff"]


def test_what_is_published_can_be_popped_by_any_client_oldest_first(backend, external, take):
    replies = [Outgoing(queue="results", body=b"1"), Outgoing(queue="results", body=b"2")]
    backend.awf_mq_ack([Ack(delivery=take(), replies=replies)])
    backend.awf_mq_publish([Outgoing(queue="results", body=b"3"), Outgoing(queue="results", body=b"4")])

    popped = [external.rpop("results") for _ in range(4)]

    assert popped == [b"1", b"2", b"3", b"4"]


def test_messages_are_delivered_in_publish_order(backend, external):
    backend.awf_mq_publish([Outgoing(queue="work", body=b"%d" % number) for number in range(450)])
    external.lpush("work", "450")

    taken = []
    while deliveries := backend.awf_mq_consume("work", 70, 0):
        taken += [int(delivery.body) for delivery in deliveries]

    assert taken == list(range(451))


def test_at_most_the_limit_is_taken_and_the_rest_stays(backend):
    backend.awf_mq_publish([Outgoing(queue="work", body=b"x")] * 5)

    assert len(backend.awf_mq_consume("work", 3, 0)) == 3
    assert backend.awf_mq_consume("work", 0, 0) == []
    assert backend.awf_mq_stats("work").ready == 2


def test_a_call_may_name_many_queues_and_each_message_gets_its_own_answer(mq, backend):
    messages = [
        Outgoing(queue="a", body=b"1"),
        Outgoing(queue="b", body=b"x", priority=3),
        Outgoing(queue="b", body=b"2", delay_s=0.05),
        Outgoing(queue="", body=b"x"),
        Outgoing(queue="a", body=b"3", expires_s=5),
        Outgoing(queue="b", body=b"x", delay_s=float("nan")),
        Outgoing(queue="{a}:lease", body=b"x"),
        Outgoing(queue="awf:state:k", body=b"x"),
        Outgoing(queue="a", body=b"4"),
    ]

    answers = mq.publish(messages)

    kinds = [type(answer) for answer in answers]
    nothing = type(None)
    assert kinds == [
        nothing,
        BrokerMisconfigured,
        nothing,
        Unroutable,
        BrokerMisconfigured,
        BrokerMisconfigured,
        Unroutable,
        Unroutable,
        nothing,
    ]
    assert "priority 3 for 'b'" in str(answers[1])
    assert "expires_s 5 for 'a'" in str(answers[4])
    assert "delay_s for 'b' is nan" in str(answers[5])
    assert all(answer.hint for answer in answers if answer is not None)
    assert bodies(backend.awf_mq_consume("a", 10, 0)) == [b"1", b"4"]
    assert bodies(backend.awf_mq_consume("b", 10, 5)) == [b"2"]


def test_the_capabilities_state_the_limits_of_redis(backend, make_backend, server):
    tagged = make_backend(server.url, key_prefix="{tenant}").capabilities

    assert backend.capabilities.max_body_bytes == 512 * 1024 * 1024
    assert backend.capabilities.expires == "replies"
    assert is_reserved(backend.capabilities, "{work}:lease")
    assert is_reserved(backend.capabilities, "{t}x::dlqs")
    assert not is_reserved(backend.capabilities, "work::lease")
    assert is_reserved(tagged, "work::lease")


def is_reserved(capabilities, name):
    return any(re.fullmatch(pattern, name) for pattern in capabilities.reserved_names)


def test_a_delayed_message_is_delivered_no_earlier_than_its_delay_and_blocks_no_other(backend):
    started = time.monotonic()
    backend.awf_mq_publish([Outgoing(queue="work", body=b"late", delay_s=0.3), Outgoing(queue="work", body=b"now")])

    first = backend.awf_mq_consume("work", 10, 5)
    second = backend.awf_mq_consume("work", 10, 5)
    waited_s = time.monotonic() - started

    assert (bodies(first), bodies(second)) == ([b"now"], [b"late"])
    assert 0.3 <= waited_s < 0.6


def test_many_delayed_messages_are_stored_in_batches(backend, external):
    before = calls(external)

    answers = backend.awf_mq_publish([Outgoing(queue="work", body=b"x", delay_s=3600)] * 1000)

    assert answers == [None] * 1000
    assert backend.awf_mq_stats("work").delayed == 1000
    assert calls(external) - before <= 7


def test_a_waiting_consume_wakes_for_a_message(backend, external):
    taken = []
    thread = threading.Thread(target=lambda: taken.append((backend.awf_mq_consume("work", 5, 20), time.monotonic())))
    thread.start()
    eventually(lambda: is_waiting(external))

    pushed_at = time.monotonic()
    external.lpush("work", "x")
    thread.join()

    assert bodies(taken[0][0]) == [b"x"]
    assert taken[0][1] - pushed_at < 0.25


def test_a_waiting_consume_wakes_for_a_message_that_its_own_process_releases(backend, external, take):
    delivery = take()
    taken = []
    thread = threading.Thread(target=lambda: taken.append((backend.awf_mq_consume("work", 5, 20), time.monotonic())))
    thread.start()
    eventually(lambda: is_waiting(external))

    released_at = time.monotonic()
    backend.awf_mq_nack([Nack(delivery=delivery, delay_s=0.1)])
    thread.join()

    assert taken[0][0][0].attempt == 2
    assert 0.1 <= taken[0][1] - released_at < 0.5


def test_a_consume_of_an_empty_queue_returns_after_its_wait_and_polls_rarely(backend, external):
    before = calls(external)
    started = time.monotonic()

    assert backend.awf_mq_consume("work", 5, 0.5) == []

    assert 0.5 <= time.monotonic() - started < 1.0
    assert calls(external) - before <= 4


def test_an_interrupt_ends_a_wait_at_once_and_every_later_one_until_the_next_open(backend, external):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(backend.awf_mq_consume("work", 5, 20)))
    thread.start()
    eventually(lambda: is_waiting(external))

    started = time.monotonic()
    backend.awf_mq_interrupt()
    thread.join()
    interrupted_s = time.monotonic() - started
    backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])
    refused = backend.awf_mq_consume("work", 5, 5)
    backend.awf_mq_open()

    assert answers == [[]]
    assert interrupted_s < backend.capabilities.interrupt_s
    assert refused == []
    assert bodies(backend.awf_mq_consume("work", 5, 0)) == [b"x"]


def test_closing_ends_a_wait_and_may_be_done_twice_and_undone(backend, external):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(backend.awf_mq_consume("work", 5, 20)))
    thread.start()
    eventually(lambda: is_waiting(external))

    backend.awf_mq_close()
    backend.awf_mq_close()
    thread.join()

    assert answers == [[]]
    eventually(lambda: len(external.client_list()) == 1, what="all connections but this test's are gone")
    backend.awf_mq_open()
    assert backend.awf_mq_publish([Outgoing(queue="work", body=b"x")]) == [None]


def test_a_backend_that_was_never_opened_can_be_closed(make_backend, server):
    make_backend(server.url, is_open=False).awf_mq_close()


def test_a_message_that_a_dead_worker_left_in_the_landing_list_is_delivered_first(backend, external):
    external.lpush("work", "old", "new")
    external.blmove("work", "{work}:claiming", 1, "RIGHT", "LEFT")

    assert bodies(backend.awf_mq_consume("work", 10, 0)) == [b"old", b"new"]


def test_queues_with_similar_names_share_no_messages(backend):
    names = ["q", "{q}", "{q}:", "x{q}", "{t}:q", "{t}:r", "a}b{c}"]
    backend.awf_mq_publish([Outgoing(queue=name, body=name.encode()) for name in names])

    taken = {name: backend.awf_mq_consume(name, 10, 0) for name in names}

    assert {name: bodies(deliveries) for name, deliveries in taken.items()} == {n: [n.encode()] for n in names}
    assert backend.awf_mq_ack([Ack(delivery=d) for ds in taken.values() for d in ds]) == [None] * len(names)


def test_a_key_prefix_stands_before_every_key(server, make_backend, external, take):
    tenant = make_backend(server.url, key_prefix="tenant1:")
    tenant.awf_mq_publish([Outgoing(queue="work", body=b"x"), Outgoing(queue="work", body=b"y", delay_s=60)])
    delivery = take(publish=False, source=tenant)

    keys = {key.decode() for key in external.scan_iter()}

    assert keys == {f"{{tenant1:work}}:{part}" for part in ("body", "meta", "lease", "due", "clock")}
    assert tenant.awf_mq_ack([Ack(delivery=delivery, replies=[Outgoing(queue="results", body=b"r")])]) == [None]
    assert external.rpop("tenant1:results") == b"r"


def test_two_backends_never_take_the_same_message(server, make_backend):
    one, other = make_backend(server.url), make_backend(server.url)
    one.awf_mq_publish([Outgoing(queue="work", body=b"%d" % number) for number in range(2000)])
    taken: list[int] = []

    def drain(backend):
        while deliveries := backend.awf_mq_consume("work", 7, 0):
            taken.extend(int(d.body) for d in deliveries)
            assert backend.awf_mq_ack([Ack(delivery=d) for d in deliveries]) == [None] * len(deliveries)

    threads = [threading.Thread(target=drain, args=(backend,)) for backend in (one, other) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == list(range(2000))


def test_a_child_process_connects_anew_and_leaves_its_parents_connections_alone(backend, external, take):
    take()
    answers = []
    thread = threading.Thread(target=lambda: answers.append(backend.awf_mq_consume("work", 5, 20)))
    thread.start()
    eventually(lambda: is_waiting(external))

    child = os.fork()
    if child == 0:
        backend.awf_mq_interrupt()
        backend.awf_mq_open()
        ok = backend.awf_mq_publish([Outgoing(queue="other", body=b"from the child")]) == [None]
        backend.awf_mq_close()
        os._exit(0 if ok else 1)
    status = os.waitpid(child, 0)[1]
    external.lpush("work", "for the parent")
    thread.join()

    assert status == 0
    assert bodies(answers[0]) == [b"for the parent"]
    assert external.rpop("other") == b"from the child"


def is_waiting(external):
    return external.info("clients")["blocked_clients"]


def calls(external):
    seen = external.info("commandstats")
    return sum(seen.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval", "blmove"))
