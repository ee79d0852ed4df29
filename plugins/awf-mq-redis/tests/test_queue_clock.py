"""The clock of a queue: it counts the time between two scripts where that is short, and steps of the server's not."""

from __future__ import annotations

import threading

import pytest
from awf_mq_redis.ticker import TICK_S

from awf_core.contract import Ack, Nack, Outgoing
from awf_core.testing.eventually import eventually

CLOCK = "{work}:clock"
HOUR_MS = 3_600_000


@pytest.fixture
def step(external):
    """Pretend that the server's clock was set by so many milliseconds since the last script."""

    def run(by_ms):
        wall, queue = external.get(CLOCK).split(b":")
        external.set(CLOCK, b"%d:%d" % (int(wall) - by_ms, int(queue)))

    return run


def kept(external):
    """The server's and the queue's time of the last script, in milliseconds."""
    return tuple(map(int, external.get(CLOCK).split(b":")))


@pytest.fixture
def heir(server, make_backend):
    return make_backend(server.url)


@pytest.mark.parametrize("by_ms", [40_000, HOUR_MS, -HOUR_MS])
def test_a_step_of_the_servers_clock_ends_no_lease(backend, heir, take, step, by_ms):
    delivery = take()

    for _ in range(5):
        step(by_ms)
        assert heir.awf_mq_consume("work", 1, 0) == []

    assert heir.awf_mq_stats("work").in_flight == 1
    assert backend.awf_mq_ack([Ack(delivery=delivery)]) == [None]


@pytest.mark.parametrize("by_ms", [HOUR_MS, -HOUR_MS])
def test_a_step_of_the_servers_clock_delays_no_retry(backend, take, step, by_ms):
    backend.awf_mq_nack([Nack(delivery=take(), delay_s=0.3)])
    step(by_ms)

    (delivery,) = backend.awf_mq_consume("work", 1, 5)

    assert delivery.attempt == 2
    assert 0.25 < delivery.age_s < 5


def test_a_due_time_is_shown_by_the_servers_clock_as_it_is_now(backend, external, take, step):
    backend.awf_mq_nack([Nack(delivery=take(), delay_s=100)])
    step(-HOUR_MS)

    (item,) = backend.awf_mq_browse("work", 1, None).items

    assert item.due_at == pytest.approx(external.time()[0] + 100, abs=5)


def test_times_of_a_queue_pass_while_no_consumer_waits_on_it(backend, external, take):
    take()
    wall, queue = kept(external)

    eventually(lambda: kept(external)[0] > wall + TICK_S * 1000, 4 * TICK_S, what="the queue's time is kept")

    later_wall, later_queue = kept(external)
    assert later_queue - queue == later_wall - wall


def test_the_thread_that_keeps_the_time_ends_with_the_backend(backend, take):
    def tickers():
        return [thread for thread in threading.enumerate() if thread.name == "redis-ticker"]

    before = len(tickers())
    take()
    assert len(tickers()) == before + 1

    backend.awf_mq_close()

    eventually(lambda: len(tickers()) == before, what="the thread is gone")


def test_a_queue_without_messages_has_no_clock(backend, external, take):
    backend.awf_mq_publish([Outgoing(queue="work", body=b"x", delay_s=60)])
    delivery = take()
    assert external.exists(CLOCK)

    backend.awf_mq_ack([Ack(delivery=delivery)])
    assert external.exists(CLOCK)
    backend.awf_mq_purge("work")

    assert external.keys() == []


def test_a_clock_without_messages_goes_with_the_next_claim(backend, external):
    external.set(CLOCK, "1:1")

    assert backend.awf_mq_consume("work", 1, 0) == []

    assert external.keys() == []


def test_records_of_another_form_are_delivered_as_new_messages(backend, external, take):
    delivery = take(body=b"old")
    external.delete(CLOCK)
    external.hset("{work}:meta", delivery.receipt.id, "3:2:1:1700000000000:an id: of before")
    external.zadd("{work}:lease", {delivery.receipt.id: 1})

    (again,) = backend.awf_mq_consume("work", 1, 0)

    assert (again.body, again.attempt, again.deliveries, again.crashes) == (b"old", 1, 1, 0)
    assert backend.awf_mq_ack([Ack(delivery=again)]) == [None]
    assert external.keys() == []
