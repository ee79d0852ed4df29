"""Messages in and out, as external clients and other workers see them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pika
import pytest
from awf_mq_rabbitmq.messages import Received, counts_of

from awf_core.contract import Ack, DeadLetter, Nack, Outgoing
from awf_core.errors import BrokerMisconfigured, BrokerUnavailable
from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from awf_core.contract import Delivery
    from awf_core.testing.brokers import PrivateRabbitMq
    from awf_core.testing.proxy import Proxy

MakeBackend = Callable[..., Any]
EXTERNAL = {
    "content_type": "application/json",
    "content_encoding": "utf-8",
    "correlation_id": "c-1",
    "reply_to": "answers",
    "message_id": "m-1",
    "timestamp": 1_700_000_000,
    "type": "job",
    "app_id": "shop",
    "priority": 3,
}


def test_a_message_of_an_external_producer_comes_with_its_properties(
    make_backend: MakeBackend, external: Any, queue: str
) -> None:
    backend = make_backend()
    backend.awf_mq_ensure(queue, "work", None)
    headers = {"traceparent": "00-a-b-01", "number": 7, "flag": True, "table": {"a": [1, None]}}

    external.basic_publish("", queue, b'{"a": 1}', pika.BasicProperties(**EXTERNAL, headers=headers))
    (delivery,) = _take(backend, queue)

    assert (delivery.id, delivery.reply_to, delivery.correlation_id) == ("m-1", "answers", "c-1")
    assert dict(delivery.headers) == {
        "traceparent": "00-a-b-01",
        "number": "7",
        "flag": "true",
        "table": '{"a": [1, null]}',
    }
    assert (delivery.attempt, delivery.deliveries, delivery.crashes) == (1, 1, 0)
    assert (delivery.priority, delivery.expires_in_s, delivery.age_s) == (3, None, 0.0)
    assert (delivery.body_bytes, delivery.message_id, list(delivery.history)) == (8, "m-1", [])


def test_a_retry_keeps_body_and_properties_but_what_the_broker_would_act_on(
    make_backend: MakeBackend, external: Any, queue: str
) -> None:
    backend, copies = make_backend(), f"{queue}-copies"
    backend.awf_mq_ensure(queue, "work", None)
    backend.awf_mq_ensure(copies, "work", None)
    risky = {"user_id": "guest", "expiration": "60000"}
    headers = {"mine": "1", "CC": [copies]}
    external.basic_publish("", queue, b"\x00body", pika.BasicProperties(**EXTERNAL, **risky, headers=headers))
    (first,) = _take(backend, queue)

    assert backend.awf_mq_nack([Nack(delivery=first, delay_s=0.2)]) == [None]
    (second,) = _take(backend, queue)

    properties = second.receipt.properties
    assert {name: getattr(properties, name) for name in EXTERNAL} == EXTERNAL
    assert second.body == b"\x00body"
    assert (properties.delivery_mode, properties.expiration, properties.user_id) == (2, None, None)
    assert dict(second.headers) == {"mine": "1"}
    assert (second.attempt, second.deliveries, second.priority) == (2, 2, 3)
    # The shortest delay is a second.
    assert second.age_s == pytest.approx(1.0, abs=0.9)
    assert (first.age_s, first.expires_in_s) == (0.0, 60.0)
    assert second.expires_in_s == pytest.approx(60.0 - (second.age_s or 0.0), abs=0.01)
    assert backend.awf_mq_stats(copies).ready == 1


@pytest.mark.parametrize("expiration", ["soon", "-1", "9" * 13, "\u0663"])
def test_an_expiration_that_is_no_time_is_none(expiration: str) -> None:
    properties = pika.BasicProperties(expiration=expiration)
    raw = b"".join(properties.encode())
    received = Received(queue="q", raw_properties=raw, body=b"", is_redelivered=False)

    assert counts_of(received).expires_in_ms is None


def test_a_release_with_a_delay_is_no_failure_and_no_crash(make_backend: MakeBackend, queue: str) -> None:
    backend = make_backend()
    backend.awf_mq_ensure(queue, "work", None)
    backend.awf_mq_publish([Outgoing(queue=queue, body=b"x")])
    (first,) = _take(backend, queue)

    assert backend.awf_mq_nack([Nack(delivery=first, delay_s=0.2, counted=False)]) == [None]
    (second,) = _take(backend, queue)

    assert (second.attempt, second.deliveries, second.crashes) == (1, 2, 0)


def test_a_classic_queue_counts_the_workers_a_message_takes_down(
    make_backend: MakeBackend, server: PrivateRabbitMq, proxy: Proxy, queue: str
) -> None:
    make_backend(queue_type="classic").awf_mq_ensure(queue, "work", None)
    make_backend().awf_mq_publish([Outgoing(queue=queue, body=b"poison", id="p-1")])
    seen = []

    for _ in range(4):
        doomed = make_backend(url=proxy.through(server.url), queue_type="classic")
        (delivery,) = _take(doomed, queue)
        seen.append((delivery.deliveries, delivery.attempt, delivery.body, delivery.id))
        proxy.cut()

    assert seen == [(n, 1, b"poison", "p-1") for n in (1, 2, 3, 4)]


def test_what_only_this_broker_cannot_do_is_refused(make_backend: MakeBackend, queue: str) -> None:
    backend = make_backend()
    backend.awf_mq_ensure(queue, "work", None)

    both, direct, late = backend.awf_mq_publish(
        [
            Outgoing(queue=queue, body=b"", delay_s=1.0, expires_s=1.0),
            Outgoing(queue="amq.rabbitmq.reply-to.g1", body=b"", delay_s=1.0),
            Outgoing(queue=queue, body=b"", expires_s=5_000_000.0),
        ]
    )

    assert isinstance(both, BrokerMisconfigured)
    assert "delay_s and expires_s" in str(both)
    assert "a direct reply can't be delayed" in str(direct)
    assert "expires_s is 5000000.0, which is longer than the broker can keep" in str(late)


def test_the_capabilities_say_what_the_settings_allow(make_backend: MakeBackend) -> None:
    capabilities = make_backend(is_open=False, delays=["1s", "5s"], max_body_bytes=2000).capabilities

    assert (capabilities.max_publish_delay_s, capabilities.max_nack_delay_s) == (5.0, 5.0)
    assert capabilities.max_body_bytes == 2000
    reserved = [re.compile(pattern, re.DOTALL) for pattern in capabilities.reserved_names]
    for name, is_reserved in (
        ("amq.rabbitmq.reply-to", True),
        ("q.retry.5000", True),
        ("q.retry", False),
        (f"q.alive.{'0' * 32}", True),
    ):
        assert any(pattern.fullmatch(name) for pattern in reserved) == is_reserved, name


def test_an_expired_message_is_gone(make_backend: MakeBackend, queue: str) -> None:
    backend = make_backend()
    backend.awf_mq_ensure(queue, "work", None)

    backend.awf_mq_publish([Outgoing(queue=queue, body=b"x", expires_s=0.05), Outgoing(queue=queue, body=b"y")])

    eventually(lambda: backend.awf_mq_stats(queue).ready == 1, what="the first expired")
    assert [delivery.body for delivery in _take(backend, queue)] == [b"y"]


def test_headers_that_no_frame_holds_are_refused_and_cost_no_other_message(
    make_backend: MakeBackend, queue: str
) -> None:
    backend = make_backend()
    backend.awf_mq_ensure(queue, "work", None)

    large, odd, good = backend.awf_mq_publish(
        [
            Outgoing(queue=queue, body=b"", headers={"h": "x" * 200_000}),
            Outgoing(queue=queue, body=b"", headers={"n" * 300: "x"}),
            Outgoing(queue=queue, body=b"good", id="i" * 300, correlation_id="ü" * 200),
        ]
    )

    assert "headers of a message" in str(large)
    assert "no form for" in str(odd)
    assert good is None
    (delivery,) = _take(backend, queue)
    assert (delivery.id, delivery.correlation_id) == ("i" * 300, "ü" * 200)


def test_a_requester_with_direct_reply_to_gets_its_reply(make_backend: MakeBackend, external: Any, queue: str) -> None:
    backend = make_backend()
    backend.awf_mq_ensure(queue, "work", None)
    answers: list[tuple[str, bytes]] = []
    external.basic_consume(
        "amq.rabbitmq.reply-to", lambda _c, _m, p, body: answers.append((p.correlation_id, body)), auto_ack=True
    )
    asking = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id="c-9")
    external.basic_publish("", queue, b"{}", asking)
    (delivery,) = _take(backend, queue)

    reply = Outgoing(queue=str(delivery.reply_to), body=b"done", correlation_id=delivery.correlation_id)
    answer = backend.awf_mq_ack([Ack(delivery=delivery, replies=[reply])])

    assert answer == [None]
    eventually(lambda: external.connection.process_data_events(0.05) or answers, what="the answer")
    assert answers == [("c-9", b"done")]


def test_a_private_reply_can_do_without_a_queue(make_backend: MakeBackend, queue: str) -> None:
    asking, worker = make_backend(declare="never"), make_backend()
    mine, other = asking.awf_mq_reply_queue(60.0), asking.awf_mq_reply_queue(60.0)

    accepted = worker.awf_mq_publish([Outgoing(queue=mine, body=b"answer", correlation_id="c")])
    (answer,) = asking.awf_mq_consume(mine, 1, 5.0)
    asking.awf_mq_nack([Nack(delivery=answer, counted=False)])
    (again,) = asking.awf_mq_consume(mine, 1, 5.0)

    assert accepted == [None]
    assert mine != other
    assert (again.body, again.correlation_id, again.queue) == (b"answer", "c", mine)
    assert asking.awf_mq_ack([Ack(delivery=again)]) == [None]
    assert asking.awf_mq_consume(other, 1, 0.05) == []


def test_a_wait_for_a_direct_reply_ends_when_its_connection_does(
    make_backend: MakeBackend, server: PrivateRabbitMq, proxy: Proxy
) -> None:
    asking = make_backend(url=proxy.through(server.url), private_replies="direct")
    mine = asking.awf_mq_reply_queue(60.0)

    threading.Timer(0.1, proxy.cut).start()
    with pytest.raises(BrokerUnavailable) as caught:
        asking.awf_mq_consume(mine, 1, 10.0)

    assert "the connection that the reply was to come by is gone" in str(caught.value)
    assert "private_replies" in str(caught.value.hint)


def test_a_private_reply_queue_goes_away_unused(make_backend: MakeBackend) -> None:
    backend = make_backend()
    name = backend.awf_mq_reply_queue(0.2)

    eventually(lambda: backend.awf_mq_publish([Outgoing(queue=name, body=b"")]) != [None], 10.0, what="it is gone")


def test_a_dead_lettered_message_keeps_body_properties_and_history(
    make_backend: MakeBackend, external: Any, queue: str
) -> None:
    backend, dead = make_backend(), f"{queue}-dead"
    backend.awf_mq_ensure(queue, "work", dead)
    backend.awf_mq_ensure(dead, "dead", None)
    external.basic_publish("", queue, b"\xff", pika.BasicProperties(**EXTERNAL, headers={"mine": "1"}))
    (delivery,) = _take(backend, queue)

    dead_letter = DeadLetter(delivery=delivery, queue=dead, reason="malformed", error="e" * 5000, history=[{"n": 1}])
    assert backend.awf_mq_dead_letter([dead_letter]) == [None]
    (item,) = backend.awf_mq_browse(dead, 10, None).items
    (copy,) = _take(backend, dead)

    assert {name: getattr(copy.receipt.properties, name) for name in EXTERNAL} == EXTERNAL
    assert (item.body, item.state, item.source, item.reason) == (b"\xff", "dead", queue, "malformed")
    assert (item.error, list(item.history)) == ("e" * 4000, [{"n": 1}])
    assert dict(item.headers) == {"mine": "1"}
    assert (item.attempt, item.deliveries) == (1, 1)


def test_pages_show_every_message_once_although_browsing_moves_them(make_backend: MakeBackend, queue: str) -> None:
    backend = make_backend()
    backend.awf_mq_ensure(queue, "dead", None)
    backend.awf_mq_publish([Outgoing(queue=queue, body=b"%d" % (n // 2)) for n in range(14)])
    seen: list[bytes] = []
    after: str | None = None

    for _ in range(10):
        page = backend.awf_mq_browse(queue, 4, after)
        seen += [item.body for item in page.items]
        after = page.next
        if after is None:
            break

    assert sorted(seen) == sorted(b"%d" % (n // 2) for n in range(14))
    assert not page.exact


def test_a_message_that_the_broker_dead_lettered_itself_says_so(
    make_backend: MakeBackend, external: Any, queue: str
) -> None:
    backend, dead = make_backend(delivery_limit=20), f"{queue}-dead"
    backend.awf_mq_ensure(dead, "dead", None)
    backend.awf_mq_ensure(queue, "work", dead)
    backend.awf_mq_publish([Outgoing(queue=queue, body=b"x")])

    for _ in range(21):
        got = eventually(lambda: external.basic_get(queue)[0], what="the message")
        external.basic_nack(got.delivery_tag, requeue=True)
    eventually(lambda: backend.awf_mq_stats(dead).ready == 1, what="the broker's own limit")

    (item,) = backend.awf_mq_browse(dead, 10, None).items
    assert (item.source, item.reason, item.state) == (queue, "delivery_limit", "dead")
    assert item.error == "dead-lettered by the broker: delivery_limit"
    assert item.dead_at is not None


def _take(backend: Any, queue: str, count: int = 1, *, within_s: float = 10.0) -> list[Delivery]:
    taken: list[Delivery] = []

    def is_there() -> bool:
        taken.extend(backend.awf_mq_consume(queue, count - len(taken), 0.2))
        return len(taken) == count

    eventually(is_there, within_s, what=f"{count} deliveries of {queue}")
    return taken
