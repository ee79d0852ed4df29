"""A cluster of three: queues, dead-lettered messages and results each in their slot; results are published before acks."""

from __future__ import annotations

import threading

import pytest
import redis
from redis.crc import key_slot

from awf_core.contract import Ack, DeadLetter, Nack, Outgoing, Remember, StateEntry
from awf_core.errors import BrokerMisconfigured, BrokerUnavailable, LeaseLost, Unroutable
from awf_core.testing.eventually import eventually


@pytest.fixture
def cluster(cluster_nodes, make_backend):
    for server in cluster_nodes:
        with redis.Redis(port=server.port) as client:
            client.flushall()
    return make_backend(f"redis://127.0.0.1:1,127.0.0.1:{cluster_nodes[0].port}", cluster=True, lease="2s")


def external(cluster_nodes, key):
    """A client of the server that has `key`."""
    server = cluster_nodes[key_slot(key.encode()) * len(cluster_nodes) // 16384]
    return redis.Redis(port=server.port)


def take(backend, queue="work", **values):
    backend.awf_mq_publish([Outgoing(queue=queue, body=b"{}")])
    (delivery,) = backend.awf_mq_consume(queue, 1, 5)
    return delivery


QUEUES = ["work", "queue-b", "queue-c", "queue-d"]


def test_queues_on_different_servers_all_work(cluster, cluster_nodes):
    for queue in QUEUES:
        cluster.awf_mq_ensure(queue, "work", "dead")
        with external(cluster_nodes, queue) as client:
            client.lpush(queue, queue)

    taken = {queue: cluster.awf_mq_consume(queue, 5, 1) for queue in QUEUES}

    assert {q: [d.body for d in ds] for q, ds in taken.items()} == {q: [q.encode()] for q in QUEUES}
    assert len({key_slot(queue.encode()) * 3 // 16384 for queue in QUEUES}) > 1
    assert cluster.capabilities.atomic_settle is False


def test_results_and_state_of_other_slots_are_written_before_the_ack(cluster, cluster_nodes):
    delivery = take(cluster)
    replies = [Outgoing(queue=queue, body=b"r") for queue in QUEUES[1:]]

    answers = cluster.awf_mq_ack(
        [Ack(delivery=delivery, replies=replies, remember=Remember(key="k", value="v", ttl_s=9))]
    )

    assert answers == [None]
    for queue in QUEUES[1:]:
        with external(cluster_nodes, queue) as client:
            assert client.rpop(queue) == b"r"
    assert cluster.awf_mq_state_get(["k"]) == ["v"]


def test_a_lost_delivery_publishes_nothing_in_another_slot_either(cluster, cluster_nodes):
    delivery = take(cluster)
    cluster.awf_mq_ack([Ack(delivery=delivery)])

    (error,) = cluster.awf_mq_ack([Ack(delivery=delivery, replies=[Outgoing(queue="queue-b", body=b"r")])])

    assert isinstance(error, LeaseLost)
    assert cluster.awf_mq_stats("queue-b").ready == 0


def test_a_reply_to_a_key_that_is_not_a_list_is_unroutable_in_another_slot_too(cluster, cluster_nodes):
    delivery = take(cluster)
    with external(cluster_nodes, "queue-b") as client:
        client.set("queue-b", "x")

    (error,) = cluster.awf_mq_ack([Ack(delivery=delivery, replies=[Outgoing(queue="queue-b", body=b"r")])])

    assert isinstance(error, Unroutable)
    assert "the key holds a string" in str(error)
    assert cluster.awf_mq_ack([Ack(delivery=delivery)]) == [None]


@pytest.mark.parametrize("dead", ["dead", "{work}dead"])
def test_a_message_is_dead_lettered_and_moved_back(cluster, dead):
    cluster.awf_mq_nack([Nack(delivery=take(cluster), history=[{"note": "first"}])])
    (delivery,) = cluster.awf_mq_consume("work", 1, 1)
    dead_letter = DeadLetter(
        delivery=delivery,
        queue=dead,
        reason="r",
        error="e",
        history=[*delivery.history, {"note": "x"}],
        replies=[Outgoing(queue="queue-b", body=b"r")],
    )

    answers = cluster.awf_mq_dead_letter([dead_letter])
    (item,) = cluster.awf_mq_browse(dead, 5, None).items
    counted = cluster.awf_mq_stats("work").dead
    moved = cluster.awf_mq_move(dead, "work", None, None)
    (redelivered,) = cluster.awf_mq_consume("work", 1, 1)

    assert answers == [None]
    assert (item.source, item.reason, item.attempt, item.message_id) == ("work", "r", 2, delivery.id)
    assert [entry["note"] for entry in item.history] == ["first", "x"]
    assert (counted, moved, cluster.awf_mq_stats("work").dead) == (1, 1, 0)
    assert (redelivered.id, redelivered.attempt, redelivered.body) == (delivery.id, 1, b"{}")
    assert cluster.awf_mq_stats("queue-b").ready == 1


def test_dead_lettering_a_lost_delivery_is_refused(cluster):
    delivery = take(cluster)
    cluster.awf_mq_ack([Ack(delivery=delivery)])

    (error,) = cluster.awf_mq_dead_letter([DeadLetter(delivery=delivery, queue="dead", reason="r", error="e")])

    assert isinstance(error, LeaseLost)
    assert cluster.awf_mq_stats("dead").ready == 0


def test_messages_move_between_slots_in_order(cluster):
    cluster.awf_mq_publish([Outgoing(queue="work", body=b"%d" % number) for number in range(150)])

    assert cluster.awf_mq_move("work", "queue-b", None, None) == 150
    assert [int(d.body) for d in cluster.awf_mq_consume("queue-b", 200, 0)] == list(range(150))
    assert cluster.awf_mq_purge("work") == 0


def test_state_is_listed_from_all_servers(cluster):
    cluster.awf_mq_state_put([StateEntry(key=f"s{number}", value=str(number)) for number in range(9)])

    assert cluster.awf_mq_state_list("s") == [(f"s{number}", str(number)) for number in range(9)]


def test_a_consumer_follows_a_slot_that_moves_to_another_server_waiting_or_not(cluster, cluster_nodes):
    slot = key_slot(b"work")
    old = cluster_nodes[slot * 3 // 16384]
    new = next(server for server in cluster_nodes if server is not old)
    cluster.awf_mq_publish([Outgoing(queue="work", body=b"before")])
    (held,) = cluster.awf_mq_consume("work", 1, 1)
    clients = {server: redis.Redis(port=server.port) for server in cluster_nodes}
    names = {server: client.execute_command("CLUSTER", "MYID").decode() for server, client in clients.items()}
    found = []
    thread = threading.Thread(target=lambda: found.append(cluster.awf_mq_consume("work", 1, 20)))
    thread.start()
    eventually(lambda: clients[old].info("clients")["blocked_clients"])

    cluster.awf_mq_ack([Ack(delivery=held)])
    move_slot(clients, names, slot, old, new)
    clients[new].lpush("work", "after")
    thread.join()
    move_slot(clients, names, slot, new, old)
    for client in clients.values():
        client.close()

    assert [d.body for d in found[0]] == [b"after"]
    assert cluster.awf_mq_ack([Ack(delivery=found[0][0])]) == [None]


def move_slot(clients, names, slot, old, new):
    """As `redis-cli --cluster reshard` does it."""
    clients[new].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[old])
    clients[old].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[new])
    while keys := clients[old].execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
        clients[old].execute_command("MIGRATE", "127.0.0.1", new.port, "", 0, 5000, "KEYS", *keys)
    for server in (new, old, *clients):
        clients[server].execute_command("CLUSTER", "SETSLOT", slot, "NODE", names[new])


def test_a_node_of_a_cluster_needs_the_setting_and_a_single_server_refuses_it(cluster_nodes, server, make_backend):
    with pytest.raises(BrokerMisconfigured, match="part of a Redis Cluster") as caught:
        make_backend(cluster_nodes[0].url)
    with pytest.raises(BrokerMisconfigured, match="is no cluster"):
        make_backend(server.url, cluster=True)

    assert "mq.redis.cluster: true" in caught.value.hint


@pytest.fixture
def one_frozen(patient_cluster, make_backend):
    """A backend with a delivery on a frozen server of its cluster, which is also the one it knows first, and one on a
    server that answers: (backend, the frozen one's, the other).
    """
    frozen = patient_cluster[key_slot(b"queue-b") * 3 // 16384]
    assert frozen is not patient_cluster[key_slot(b"work") * 3 // 16384]
    backend = make_backend(f"redis://127.0.0.1:{frozen.port}", cluster=True, socket_timeout="500ms", lease="5s")
    deliveries = [take(backend, "queue-b"), take(backend, "work")]
    frozen.pause()
    yield backend, *deliveries
    frozen.resume()


def test_the_leases_of_a_frozen_server_affect_no_other(one_frozen):
    backend, silent, fine = one_frozen

    answers = backend.awf_mq_extend([silent, fine])
    with pytest.raises(BrokerUnavailable):
        backend.awf_mq_extend([silent])

    assert [type(answer) for answer in answers] == [BrokerUnavailable, type(None)]


@pytest.mark.parametrize("kind", ["ack", "nack", "dead_letter"])
def test_what_a_frozen_server_does_not_settle_affects_no_other(one_frozen, kind):
    backend, silent, fine = one_frozen

    if kind == "ack":
        answers = backend.awf_mq_ack([Ack(delivery=each) for each in (silent, fine)])
    elif kind == "nack":
        answers = backend.awf_mq_nack([Nack(delivery=each) for each in (silent, fine)])
    else:
        items = [
            DeadLetter(delivery=each, queue=f"{{{each.queue}}}dead", reason="r", error="e") for each in (silent, fine)
        ]
        answers = backend.awf_mq_dead_letter(items)

    assert [type(answer) for answer in answers] == [BrokerUnavailable, type(None)]
