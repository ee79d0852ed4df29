"""What counts as the death of a worker: a start that was noted and whose end no worker reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pika
import pytest
from awf_mq_rabbitmq.headers import MAX_HISTORY_ENTRIES, Counts, read_counts, read_history

from awf_core.contract import DeadLetter, Delivery, Nack, Outgoing
from awf_core.errors import BrokerUnavailable
from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from awf_core.testing.brokers import PrivateRabbitMq
    from awf_core.testing.proxy import Proxy

    MakeBackend = Callable[..., Any]

FREE_DEATHS = 4


def take(backend: Any, queue: str) -> Delivery:
    def taken() -> list[Delivery]:
        try:
            return list(backend.awf_mq_consume(queue, 1, 0.5))
        except BrokerUnavailable:
            return []

    (delivery,) = eventually(taken, 15, what="the message")
    return delivery


def send(backend: Any, queue: str) -> None:
    backend.awf_mq_ensure(queue, "work", None)
    assert backend.awf_mq_publish([Outgoing(queue=queue, body=b"x", id="m-1")]) == [None]


@pytest.fixture
def die(make_backend: MakeBackend, server: PrivateRabbitMq, proxy: Proxy, queue: str) -> Callable[[], Delivery]:
    """Have a worker take the message and be heard of no more."""

    def run() -> Delivery:
        delivery = take(make_backend(url=proxy.through(server.url)), queue)
        proxy.cut()
        return delivery

    return run


def test_deaths_are_counted_once_the_broker_has_taken_the_message_back_four_times(
    make_backend: MakeBackend, die: Callable[[], Delivery], queue: str
) -> None:
    send(make_backend(), queue)

    seen = [die() for _ in range(FREE_DEATHS + 3)]

    assert [each.crashes for each in seen] == [0] * (FREE_DEATHS + 1) + [1, 2]
    assert [each.deliveries for each in seen] == list(range(1, FREE_DEATHS + 4))
    assert {(each.attempt, each.id, each.body) for each in seen} == {(1, "m-1", b"x")}


def test_releases_are_no_crashes_and_hide_none(
    make_backend: MakeBackend, die: Callable[[], Delivery], queue: str
) -> None:
    backend = make_backend()
    send(backend, queue)
    for _ in range(FREE_DEATHS + 2):
        die()

    for number in range(6):
        delivery = take(backend, queue)
        assert delivery.crashes == 2
        assert backend.awf_mq_nack([Nack(delivery=delivery, counted=False, delay_s=number % 2)]) == [None]

    die()
    assert take(backend, queue).crashes == 3


def test_a_failed_attempt_is_no_crash_and_its_history_stays(
    make_backend: MakeBackend, die: Callable[[], Delivery], queue: str
) -> None:
    backend = make_backend()
    send(backend, queue)
    for _ in range(FREE_DEATHS + 1):
        die()
    history = [{"attempt": 1, "error": "no"}]

    assert backend.awf_mq_nack([Nack(delivery=take(backend, queue), history=history)]) == [None]
    second = take(backend, queue)
    assert (second.attempt, second.crashes, list(second.history)) == (2, 1, history)
    dead_letter = DeadLetter(
        delivery=second, queue=f"{queue}-dead", reason="r", error="e", history=[*history, {"n": 2}]
    )
    backend.awf_mq_ensure(f"{queue}-dead", "dead", None)
    assert backend.awf_mq_dead_letter([dead_letter]) == [None]

    (item,) = backend.awf_mq_browse(f"{queue}-dead", 10, None).items
    assert list(item.history) == [*history, {"n": 2}]


def test_what_a_live_worker_lost_is_no_crash_for_the_next_one(
    make_backend: MakeBackend, die: Callable[[], Delivery], server: PrivateRabbitMq, proxy: Proxy, queue: str
) -> None:
    send(make_backend(), queue)
    for _ in range(FREE_DEATHS):
        die()
    cut_off = make_backend(url=proxy.through(server.url))
    for _ in range(3):
        lost = take(cut_off, queue)
        assert lost.crashes == 0
        proxy.cut()
        eventually(lambda lost=lost: cut_off.awf_mq_extend([lost]) != [None], what="the loss is seen")
        heir = make_backend()
        take(heir, queue)
        eventually(lambda: cut_off.awf_mq_consume(queue, 1, 0.0) == [] or True, what="it is connected again")
        heir.awf_mq_close()

    assert take(make_backend(), queue).crashes == 0


def test_an_orderly_end_with_messages_in_hand_is_no_crash(make_backend: MakeBackend, queue: str) -> None:
    send(make_backend(), queue)

    for _ in range(12):
        backend = make_backend()
        assert take(backend, queue).crashes == 0
        backend.awf_mq_close()


def test_to_browse_a_message_is_no_start(make_backend: MakeBackend, die: Callable[[], Delivery], queue: str) -> None:
    backend = make_backend()
    send(backend, queue)
    for _ in range(FREE_DEATHS):
        die()
    for _ in range(3):
        assert backend.awf_mq_nack([Nack(delivery=take(backend, queue), counted=False)]) == [None]
        assert eventually(lambda: backend.awf_mq_browse(queue, 10, None).items, what="the message is back")

    assert take(backend, queue).crashes == 0


def test_a_lost_delivery_comes_back_to_its_own_worker_without_a_copy(
    make_backend: MakeBackend, server: PrivateRabbitMq, proxy: Proxy, queue: str
) -> None:
    backend = make_backend(url=proxy.through(server.url))
    send(backend, queue)
    seen = []
    for _ in range(FREE_DEATHS + 4):
        seen.append(take(backend, queue))
        proxy.cut()
    last = take(backend, queue)

    assert last.deliveries == FREE_DEATHS + 5
    assert "x-awf-key" not in last.receipt.headers
    assert len({each.receipt for each in [*seen, last]}) == FREE_DEATHS + 5
    assert all(answer is not None for answer in backend.awf_mq_extend(seen))
    assert backend.awf_mq_extend([last]) == [None]


FORGED = {
    "a count of the broker's": {"x-delivery-count": 0},
    "a start that is noted and not counted": {"x-awf-key": "0" * 32, "x-awf-starts": 0, "x-awf-noted": True},
    "a start below zero": {"x-awf-key": "0" * 32, "x-awf-starts": -5, "x-awf-noted": True},
}


@pytest.mark.parametrize("headers", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
def test_no_header_of_a_producer_hides_the_death_of_workers(
    make_backend: MakeBackend,
    server: PrivateRabbitMq,
    proxy: Proxy,
    external: Any,
    queue: str,
    queue_type: str,
    headers: dict[str, object],
) -> None:
    make_backend(queue_type=queue_type).awf_mq_ensure(queue, "work", None)
    external.basic_publish("", queue, b"x", pika.BasicProperties(headers=headers))

    for _ in range(FREE_DEATHS + 2):
        take(make_backend(url=proxy.through(server.url), queue_type=queue_type), queue)
        proxy.cut()

    assert take(make_backend(queue_type=queue_type), queue).crashes >= 1


def test_counts_that_can_not_be_true_are_not_read() -> None:
    absurd = {"x-awf-attempt": 10**6, "x-awf-age-ms": -1, "x-awf-deliveries": "9", "x-awf-noted": True}

    assert read_counts(absurd) == Counts()
    assert read_history({"x-awf-history": "[" * 500 + "]" * 500}) == []
    assert len(read_history({"x-awf-history": "[" + ",".join(["{}"] * 5000) + "]"})) == MAX_HISTORY_ENTRIES
