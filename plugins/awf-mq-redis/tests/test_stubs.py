"""Bodies over the largest that a worker reads: they stay in the server, whatever is done with their messages."""

from __future__ import annotations

import threading

import pytest
import redis
from awf_mq_redis.discard import MAX_DISCARDED_BYTES

from awf_core.contract import Ack, DeadLetter, Nack, Outgoing
from awf_core.testing.eventually import eventually

LARGE = b"\x00\xff" + b"x" * 9
LIMIT = {"max_body_bytes": 10}


@pytest.fixture
def limited(server, make_backend):
    """A backend that reads bodies of up to 10 bytes."""
    return make_backend(server.url, context=LIMIT)


def consume(backend, queue="work"):
    (delivery,) = backend.awf_mq_consume(queue, 1, 5)
    return delivery


def test_a_body_over_the_limit_arrives_as_a_stub_and_one_at_the_limit_whole(limited):
    limited.awf_mq_publish([Outgoing(queue="work", body=LARGE), Outgoing(queue="work", body=LARGE[:10])])

    large, whole = limited.awf_mq_consume("work", 2, 0)

    assert (large.body, large.body_bytes, large.is_stub) == (b"", 11, True)
    assert (whole.body, whole.body_bytes, whole.is_stub) == (LARGE[:10], 10, False)
    assert limited.awf_mq_ack([Ack(delivery=large), Ack(delivery=whole)]) == [None, None]


def test_a_stub_that_is_released_keeps_its_body(limited, backend):
    limited.awf_mq_publish([Outgoing(queue="work", body=LARGE)])
    limited.awf_mq_nack([Nack(delivery=consume(limited), counted=False)])

    again = consume(limited)
    limited.awf_mq_nack([Nack(delivery=again)])

    assert again.is_stub
    assert consume(backend).body == LARGE


def test_a_stub_is_dead_lettered_byte_for_byte_and_is_a_stub_there_too(limited, external):
    limited.awf_mq_publish([Outgoing(queue="work", body=LARGE)])
    item = DeadLetter(delivery=consume(limited), queue="dead", reason="too_large", error="e")

    assert limited.awf_mq_dead_letter([item]) == [None]

    ((_, fields),) = external.xrange("dead")
    dead = consume(limited, "dead")
    assert fields[b"body"] == LARGE
    assert (dead.is_stub, dead.body_bytes) == (True, 11)


def test_a_stub_is_dead_lettered_byte_for_byte_to_another_slot_of_a_cluster(cluster_nodes, make_backend):
    for node in cluster_nodes:
        with redis.Redis(port=node.port) as client:
            client.flushall()
    cluster = make_backend(f"redis://127.0.0.1:{cluster_nodes[0].port}", cluster=True, context=LIMIT)
    cluster.awf_mq_publish([Outgoing(queue="work", body=LARGE)])
    item = DeadLetter(delivery=consume(cluster), queue="dead", reason="too_large", error="e")

    assert cluster.awf_mq_dead_letter([item]) == [None]

    (shown,) = cluster.awf_mq_browse("dead", 1, None).items
    assert shown.body == LARGE


def wait_for_one(backend, external, body):
    """What a consumer that waits already gets when `body` is pushed."""
    taken = []
    thread = threading.Thread(target=lambda: taken.extend(backend.awf_mq_consume("work", 1, 20)))
    thread.start()
    eventually(lambda: external.info("clients")["blocked_clients"] == 1)
    external.lpush("work", body)
    thread.join()
    return taken[0]


def test_a_waiting_consumer_does_not_receive_a_large_body(limited, external):
    body = bytes(40_000_000)
    sent = external.info("stats")["total_net_output_bytes"]

    delivery = wait_for_one(limited, external, body)

    assert (delivery.is_stub, delivery.body_bytes) == (True, len(body))
    assert external.info("stats")["total_net_output_bytes"] - sent < len(body) / 2
    assert limited.awf_mq_ack([Ack(delivery=delivery)]) == [None]
    assert limited.awf_mq_consume("work", 1, 0.1) == []


@pytest.mark.parametrize("size", [0, 1, 65_534, 65_536, MAX_DISCARDED_BYTES - 2, MAX_DISCARDED_BYTES - 1])
def test_a_waiting_consumer_gets_a_body_of_any_size_once_and_waits_on(backend, external, size):
    body = b"\r" * size

    for _ in range(2):
        delivery = wait_for_one(backend, external, body)
        assert delivery.body == body
        assert backend.awf_mq_ack([Ack(delivery=delivery)]) == [None]
