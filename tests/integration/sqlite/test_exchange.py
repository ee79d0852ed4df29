"""Publish and consume: each message is delivered unchanged, from any producer, in order and in time."""

from __future__ import annotations

import threading
import time

import pytest

from awf_core.contract import Nack, Outgoing
from awf_core.errors import BodyTooLarge, BrokerMisconfigured, Unroutable

BODIES = [
    b"",
    b"{}",
    "é ☃ \U0001f600".encode(),
    b"\xef\xbb\xbfwith a byte order mark",
    b"nul \x00 inside",
    b"\xff\xfe not utf-8",
    b"\xed\xa0\x80 a surrogate",
    b"line\r\nline\n",
    b"x" * 1_048_576,
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_a_body_is_delivered_byte_for_byte(backend, body):
    backend.awf_mq_publish([Outgoing(queue="work", body=body)])

    deliveries = backend.awf_mq_consume("work", 10, 0)

    assert [delivery.body for delivery in deliveries] == [body]


@pytest.mark.parametrize(("body", "kind"), [(b'{"a": "\xc3\xa9"}', "text"), (b"\xff", "blob"), (b"a\x00b", "blob")])
def test_bodies_that_are_text_are_stored_as_text_for_any_reader(backend, external, body, kind):
    backend.awf_mq_publish([Outgoing(queue="results-queue", body=body)])

    stored, stored_as = external.execute(
        "SELECT body, typeof(body) FROM message WHERE queue = 'results-queue'"
    ).fetchone()

    assert stored_as == kind
    assert (stored.encode() if kind == "text" else stored) == body


@pytest.mark.parametrize(
    ("literal", "body"),
    [
        ("""'{"workflow": "é"}'""", '{"workflow": "é"}'.encode()),
        ("x'7b7d00ff'", b"{}\x00\xff"),
        ("CAST(x'7bff7d' AS TEXT)", b"{\xff}"),
        ("42", b"42"),
    ],
    ids=["text", "blob", "broken text", "number"],
)
def test_a_plain_insert_by_any_client_publishes_a_message(backend, external, literal, body):
    external.execute(f"INSERT INTO message(queue, body) VALUES ('work', {literal})")

    (delivery,) = backend.awf_mq_consume("work", 10, 0)

    assert (delivery.body, delivery.attempt, delivery.deliveries, delivery.crashes) == (body, 1, 1, 0)
    assert delivery.id is not None
    assert delivery.headers == {}
    assert delivery.reply_to is None


@pytest.mark.parametrize("headers", ["no json", "[1]", "null", "[" * 100_000, "CAST(x'ff' AS TEXT)"])
def test_headers_that_cannot_be_read_are_no_headers(backend, external, headers):
    value = headers if headers.startswith("CAST") else f"'{headers}'"
    external.execute(f"INSERT INTO message(queue, body, headers) VALUES ('work', 'x', {value})")

    (delivery,) = backend.awf_mq_consume("work", 10, 0)

    assert delivery.headers == {}


def test_a_property_in_another_encoding_does_not_stop_the_queue(backend, external):
    external.execute("INSERT INTO message(queue, body, message_id) VALUES ('work', 'x', CAST(x'61ff' AS TEXT))")

    (delivery,) = backend.awf_mq_consume("work", 10, 0)

    assert delivery.message_id == "a\ufffd"


def test_an_id_the_producer_did_not_give_stays_the_same_over_redeliveries(backend, take):
    first = take()
    backend.awf_mq_nack([Nack(delivery=first)])

    second = take(publish=False)

    assert second.id == first.id
    assert second.deliveries == 2


def test_properties_are_delivered_with_the_message(backend):
    sent = Outgoing(
        queue="work", body=b"x", id="m1", reply_to="back", correlation_id="c1", headers={"traceparent": "é"}
    )
    backend.awf_mq_publish([sent])

    (got,) = backend.awf_mq_consume("work", 1, 0)

    assert (got.queue, got.message_id, got.reply_to, got.correlation_id) == ("work", "m1", "back", "c1")
    assert got.headers == {"traceparent": "é"}


def test_a_correlation_id_that_utf8_cannot_encode_is_stored_with_a_replacement(backend):
    answers = backend.awf_mq_publish([Outgoing(queue="work", body=b"x", correlation_id="a\ud800b")])

    (delivery,) = backend.awf_mq_consume("work", 1, 0)

    assert answers == [None]
    assert delivery.correlation_id == "a?b"


def test_messages_are_delivered_in_the_order_of_publishing(backend):
    backend.awf_mq_publish([Outgoing(queue="work", body=b"%d" % number) for number in range(50)])

    batches = [backend.awf_mq_consume("work", 20, 0) for _ in range(4)]

    assert [len(batch) for batch in batches] == [20, 20, 10, 0]
    assert [int(delivery.body) for batch in batches for delivery in batch] == list(range(50))


def test_the_message_with_the_shorter_delay_is_delivered_first_and_none_too_early(backend, clock):
    backend.awf_mq_publish(
        [
            Outgoing(queue="work", body=b"long", delay_s=10),
            Outgoing(queue="work", body=b"short", delay_s=5),
        ]
    )

    clock.advance(4.9)
    early = backend.awf_mq_consume("work", 10, 0)
    clock.advance(6)
    late = backend.awf_mq_consume("work", 10, 0)

    assert early == []
    assert [delivery.body for delivery in late] == [b"short", b"long"]


def test_a_retried_message_is_not_starved_by_newer_ones(backend, clock, take):
    backend.awf_mq_nack([Nack(delivery=take(id="old"), delay_s=1)])
    clock.advance(2)
    backend.awf_mq_publish([Outgoing(queue="work", body=b"new")] * 5)

    delivery = take(publish=False)

    assert delivery.message_id == "old"


def test_a_queue_delivers_only_its_own_messages(backend):
    backend.awf_mq_publish([Outgoing(queue="a", body=b"1"), Outgoing(queue="b", body=b"2")])

    assert [d.body for d in backend.awf_mq_consume("b", 10, 0)] == [b"2"]
    assert backend.awf_mq_consume("c", 10, 0) == []


def test_a_message_the_queue_cannot_store_gets_an_error_and_the_rest_is_stored(mq, backend):
    answers = mq.publish(
        [
            Outgoing(queue="work", body=b"x" * (64 * 1024 * 1024 + 1)),
            Outgoing(queue="work", body=b"good"),
            Outgoing(queue="", body=b"x"),
            Outgoing(queue="wo\ud800rk", body=b"x"),
            Outgoing(queue="work", body=b"x", priority=5),
            Outgoing(queue="work", body=b"x", delay_s=float("nan")),
            Outgoing(queue="work", body=b"x", expires_s=float("inf")),
        ]
    )

    assert [type(answer) for answer in answers] == [
        BodyTooLarge, type(None), Unroutable, Unroutable, BrokerMisconfigured, BrokerMisconfigured, BrokerMisconfigured,
    ]  # fmt: skip
    assert [delivery.body for delivery in backend.awf_mq_consume("work", 10, 0)] == [b"good"]
    for answer in filter(None, answers):
        assert str(answer).startswith("mq.type 'sqlite': ")
        assert answer.hint
    assert "67108865 bytes, over 67108864" in str(answers[0])
    assert "'' can't be the name of a queue" in str(answers[2])
    assert "priority 5 for 'work'" in str(answers[4])
    assert "delay_s for 'work' is nan" in str(answers[5])
    assert "expires_s for 'work' is inf" in str(answers[6])


def test_a_limit_of_zero_delivers_nothing(backend):
    backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])

    assert backend.awf_mq_consume("work", 0, 0) == []
    assert backend.awf_mq_stats("work").ready == 1


def test_a_consume_of_an_empty_queue_returns_after_its_wait_and_costs_hardly_any_cpu(backend):
    started_s, cpu_s = time.monotonic(), time.thread_time()

    deliveries = backend.awf_mq_consume("work", 1, 0.6)

    assert deliveries == []
    assert 0.6 <= time.monotonic() - started_s < 3
    assert time.thread_time() - cpu_s < 0.03


class Waiting:
    """A consume on a thread."""

    def __init__(self, backend, wait_s=10.0):
        self.deliveries = None
        self.ended_s = 0.0
        self.thread = threading.Thread(target=self._run, args=(backend, wait_s))
        self.thread.start()

    def _run(self, backend, wait_s):
        self.deliveries = backend.awf_mq_consume("work", 5, wait_s)
        self.ended_s = time.monotonic()

    def join(self):
        self.thread.join(10)
        assert not self.thread.is_alive()
        return self.deliveries


def best_of_three(measure) -> float:
    """The shortest of three times: a busy machine may slow one down."""
    return min(measure() for _ in range(3))


def test_a_waiting_consume_wakes_for_a_message_of_the_same_process(backend):
    def wake_s():
        waiting, published_s = Waiting(backend), time.monotonic()
        backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])
        assert [delivery.body for delivery in waiting.join()] == [b"x"]
        return waiting.ended_s - published_s

    assert best_of_three(wake_s) < 0.25


def test_a_waiting_consume_wakes_for_a_message_of_an_external_client(backend, external):
    def wake_s():
        waiting, published_s = Waiting(backend), time.monotonic()
        external.execute("INSERT INTO message(queue, body) VALUES ('work', 'x')")
        assert [delivery.body for delivery in waiting.join()] == [b"x"]
        return waiting.ended_s - published_s

    assert best_of_three(wake_s) < 0.25


def test_a_waiting_consume_delivers_a_message_as_soon_as_its_delay_is_over(make_backend):
    from awf_core.clock import SystemClock

    backend = make_backend(context={"clock": SystemClock()})

    def wait_s():
        started_s = time.monotonic()
        backend.awf_mq_publish([Outgoing(queue="work", body=b"x", delay_s=0.2)])
        assert len(backend.awf_mq_consume("work", 1, 5)) == 1
        return time.monotonic() - started_s

    assert 0.2 <= best_of_three(wait_s) < 0.45


@pytest.mark.parametrize("end", ["awf_mq_interrupt", "awf_mq_close"])
def test_a_waiting_consume_returns_promptly_on_interrupt_and_close(backend, end):
    def end_s():
        backend.awf_mq_open()
        waiting, ended_s = Waiting(backend), time.monotonic()
        getattr(backend, end)()
        assert waiting.join() == []
        return waiting.ended_s - ended_s

    assert best_of_three(end_s) < backend.capabilities.interrupt_s


def test_after_an_interrupt_nothing_is_delivered_until_the_next_open(backend, take):
    backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])
    backend.awf_mq_interrupt()

    during = backend.awf_mq_consume("work", 1, 5)
    backend.awf_mq_open()
    after = take(publish=False)

    assert during == []
    assert after.deliveries == 1


def test_an_interrupt_ends_a_claim_that_waits_for_the_write_of_another_process(backend, external):
    backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])
    external.execute("BEGIN IMMEDIATE")
    waiting = Waiting(backend)

    ended_s = time.monotonic()
    backend.awf_mq_interrupt()
    deliveries = waiting.join()
    external.execute("ROLLBACK")

    assert deliveries == []
    assert waiting.ended_s - ended_s < backend.capabilities.interrupt_s
    assert backend.awf_mq_stats("work").ready == 1


def test_an_interrupt_in_the_middle_of_a_claim_releases_its_messages(backend, clock, take):
    backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])
    # The claim asks for the time inside its transaction; that is when the interrupt comes.
    clock.on_monotonic = backend.awf_mq_interrupt

    during = backend.awf_mq_consume("work", 1, 5)
    clock.on_monotonic = None
    backend.awf_mq_open()

    assert during == []
    assert take(publish=False).deliveries == 1


def test_a_delivery_has_its_age_its_expiry_and_the_end_of_its_lease(backend, clock, take):
    first = take(expires_s=500)
    backend.awf_mq_nack([Nack(delivery=first)])
    clock.advance(100)

    again = take(publish=False)

    assert (first.age_s, again.age_s) == (0.0, 100.0)
    assert (first.expires_in_s, again.expires_in_s) == (500.0, 400.0)
    assert again.lease_until == clock.monotonic() + 60


def test_two_messages_with_one_producers_id_are_two_messages(backend, take):
    first, second = take(id="same"), take(id="same")

    assert first.message_id == second.message_id == "same"
    assert first.id != second.id
