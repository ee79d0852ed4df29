"""Faults between a backend and a broker, each of them real."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from awf_core.contract import Ack, Nack, Outgoing
from awf_core.errors import (
    BodyTooLarge,
    BrokerBlocked,
    BrokerError,
    BrokerUnavailable,
    LeaseLost,
    QueueMissing,
    Unroutable,
)
from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from awf_core.contract import Delivery
    from awf_core.testing.brokers import PrivateRabbitMq
    from awf_core.testing.proxy import Proxy

MakeBackend = Callable[..., Any]
Evaluate = Callable[[str], str]
TIMEOUT_MS = 2500
GONE = "amq.rabbitmq.reply-to.g1h2AA5yZXBseUA2NDYxNDUwMAAACW8AAAAAawUoUw==.iryD5OhhkfzrQU0hEP7rsA=="
"""As a broker makes them, and not of ours."""


def test_an_ack_after_a_reset_is_lost_and_the_message_goes_to_another(
    make_backend: MakeBackend, proxy: Proxy, server: PrivateRabbitMq, queue: str
) -> None:
    cut, other = make_backend(url=proxy.through(server.url)), make_backend()
    other.awf_mq_ensure(queue, "work", None)
    other.awf_mq_publish([Outgoing(queue=queue, body=b"x")])
    (held,) = _take(cut, queue)

    proxy.cut()
    (again,) = _take(other, queue)
    (answer,) = cut.awf_mq_ack([Ack(delivery=held)])

    assert isinstance(answer, LeaseLost)
    assert "is not ours any more" in str(answer)
    assert (again.attempt, again.deliveries) == (1, 2)
    (extended,) = cut.awf_mq_extend([held])
    assert isinstance(extended, LeaseLost)
    assert other.awf_mq_ack([Ack(delivery=again)]) == [None]


def test_a_consumer_of_a_silent_connection_gets_an_error_after_the_heartbeat(
    make_backend: MakeBackend, proxy: Proxy, server: PrivateRabbitMq, queue: str
) -> None:
    backend = make_backend(url=proxy.through(server.url), heartbeat=1)
    backend.awf_mq_ensure(queue, "work", None)
    backend.awf_mq_consume(queue, 1, 0.0)

    proxy.blackhole()
    with pytest.raises(BrokerUnavailable) as caught:
        backend.awf_mq_consume(queue, 1, 30.0)

    assert caught.value.hint == "nothing was heard for longer than mq.rabbitmq.heartbeat; the worker connects again"


def test_a_worker_warns_once_of_a_broker_that_redelivers_during_long_runs(
    make_backend: MakeBackend, queue: str, evaluate: Evaluate, caplog: pytest.LogCaptureFixture
) -> None:
    version = evaluate("rabbit_misc:version()").strip('"')
    backend = make_backend()
    backend.awf_mq_ensure(queue, "work", None)
    backend.awf_mq_ensure(f"{queue}-replies", "reply", None)

    backend.awf_mq_consume(f"{queue}-replies", 1, 0.0)
    assert not _warnings(caplog)
    for _ in range(2):
        backend.awf_mq_consume(queue, 1, 0.0)

    warned = [text for text in _warnings(caplog) if "consumer_timeout = 86400000" in text]
    assert len(warned) == (1 if version.startswith(("3.10.", "3.11.")) else 0), version


def test_a_consumer_timeout_costs_the_long_run_and_no_other_and_names_the_remedy(
    make_backend: MakeBackend, evaluate: Evaluate, queue: str
) -> None:
    with _broker_set(evaluate, consumer_timeout=TIMEOUT_MS, channel_tick_interval=200):
        backend, other = make_backend(consumer_timeout="5s"), make_backend()
        backend.awf_mq_ensure(queue, "work", None)
        backend.awf_mq_publish([Outgoing(queue=queue, body=b"long", id="long-1")])
        (long,) = _take(backend, queue)
        eventually(lambda: _age_s(long) > 1.3, 5.0, what="the long run is too old for its channel to take others")
        backend.awf_mq_publish([Outgoing(queue=queue, body=b"short")])
        (short,) = _take(backend, queue)

        eventually(lambda: _are_lost(backend, long) == [True], 10.0, what="the broker requeued the long one")
        lost = _are_lost(backend, long, short)
        with pytest.raises(BrokerUnavailable) as caught:
            backend.awf_mq_consume(queue, 1, 0.5)
        (again,) = _take(other, queue)
        kept = backend.awf_mq_ack([Ack(delivery=short)])

    assert (lost, kept) == ([True, False], [None])
    assert f"({TIMEOUT_MS} ms): long-1" in str(caught.value)
    assert f"set `consumer_timeout = {TIMEOUT_MS * 6}`" in str(caught.value.hint)
    (answer,) = backend.awf_mq_ack([Ack(delivery=long)])
    assert isinstance(answer, LeaseLost)
    assert "consumer_timeout" in str(answer.hint)
    assert (again.body, again.deliveries) == (b"long", 2)


def test_a_run_longer_than_the_consumer_timeout_runs_once_where_messages_are_accepted_first(
    make_backend: MakeBackend, evaluate: Evaluate, queue: str
) -> None:
    with _broker_set(evaluate, consumer_timeout=TIMEOUT_MS, channel_tick_interval=200):
        accepting, holding = make_backend(ack="on_accept"), make_backend(consumer_timeout="5s")
        for backend, name in ((accepting, queue), (holding, f"{queue}-clock")):
            backend.awf_mq_ensure(name, "work", None)
            backend.awf_mq_publish([Outgoing(queue=name, body=b"long")])
        (long,), (clock,) = _take(accepting, queue), _take(holding, f"{queue}-clock")

        eventually(lambda: _are_lost(holding, clock) == [True], 10.0, what="the broker's timeout is over")

        assert accepting.awf_mq_extend([long]) == [None]
        assert make_backend().awf_mq_consume(queue, 1, 0.2) == []
        assert accepting.awf_mq_ack([Ack(delivery=long)]) == [None]
        accepting.awf_mq_publish([Outgoing(queue=queue, body=b"next")])
        assert [delivery.body for delivery in _take(accepting, queue)] == [b"next"]


def test_a_queue_deleted_under_its_consumer_is_declared_again(
    make_backend: MakeBackend, external: Any, queue: str
) -> None:
    backend = make_backend()
    backend.awf_mq_ensure(queue, "work", None)
    came: list[Delivery] = []
    waiting = threading.Thread(target=lambda: came.extend(_take(backend, queue)))
    waiting.start()
    eventually(lambda: external.queue_declare(queue, passive=True).method.consumer_count == 1, what="it consumes")

    external.queue_delete(queue)
    eventually(lambda: make_backend().awf_mq_publish([Outgoing(queue=queue, body=b"x")]) == [None], what="it is back")
    waiting.join(10.0)

    assert [delivery.body for delivery in came] == [b"x"]


def test_a_queue_that_was_replaced_behind_its_consumer_is_consumed_again(
    make_backend: MakeBackend, external: Any, queue: str
) -> None:
    # With so short a timeout a channel is replaced after 2 s without deliveries.
    backend = make_backend(consumer_timeout="5s")
    backend.awf_mq_ensure(queue, "work", None)
    backend.awf_mq_publish([Outgoing(queue=queue, body=b"x")])
    (held,) = _take(backend, queue)
    backend.awf_mq_ack([Ack(delivery=held)])
    assert not backend.awf_mq_consume(queue, 1, 0.0)

    external.queue_delete(queue)
    external.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
    external.basic_publish("", queue, b"new")

    assert [delivery.body for delivery in _take(backend, queue)] == [b"new"]


def test_a_queue_that_may_not_be_declared_is_missing(make_backend: MakeBackend, queue: str) -> None:
    backend = make_backend(declare="passive")

    with pytest.raises(QueueMissing) as ensured:
        backend.awf_mq_ensure(queue, "work", None)
    with pytest.raises(QueueMissing) as consumed:
        backend.awf_mq_consume(queue, 1, 1.0)

    assert f"there is no queue {queue!r}, and mq.declare is passive" in str(ensured.value)
    assert f"no queue '{queue}'" in str(consumed.value)
    assert "awf queue ensure" in str(consumed.value.hint)


def test_under_a_memory_alarm_acks_go_on_and_results_wait_and_come_once(
    make_backend: MakeBackend, evaluate: Evaluate, queue: str
) -> None:
    backend, replies = make_backend(publish_timeout="1s"), f"{queue}-replies"
    backend.awf_mq_ensure(queue, "work", None)
    backend.awf_mq_ensure(replies, "reply", None)
    backend.awf_mq_publish([Outgoing(queue=queue, body=b"%d" % n) for n in range(3)])
    first, second, third = _take(backend, queue, 3)
    result = Ack(delivery=second, replies=[Outgoing(queue=replies, body=b"result")])

    with _alarm(evaluate):
        plain = backend.awf_mq_ack([Ack(delivery=first)])
        blocked = [backend.awf_mq_ack([result]), backend.awf_mq_ack([result])]
        refused = backend.awf_mq_publish([Outgoing(queue=queue, body=b"more")])
        ready = backend.awf_mq_stats(queue).ready

    assert plain == [None]
    assert all(isinstance(answer, BrokerBlocked) for (answer,) in blocked)
    assert "may still be taken when it goes on" in str(blocked[0][0])
    assert isinstance(refused[0], BrokerBlocked)
    assert "nothing was sent" in str(refused[0])
    assert "rabbitmq-diagnostics alarms" in str(refused[0].hint)
    assert ready == 0
    eventually(lambda: backend.awf_mq_ack([result]) == [None], what="the result was taken")
    assert [delivery.body for delivery in _take(backend, replies)] == [b"result"]
    assert backend.awf_mq_consume(replies, 1, 0.3) == []
    assert backend.awf_mq_ack([Ack(delivery=third)]) == [None]


def test_a_body_the_broker_finds_too_large_affects_no_other_message(
    make_backend: MakeBackend, evaluate: Evaluate, queue: str
) -> None:
    # By another backend: `ensure` opens the channel that publishes, and the broker fixes the limit when that opens.
    make_backend().awf_mq_ensure(queue, "work", None)
    backend = make_backend()

    with _broker_set(evaluate, max_message_size=5000):
        bodies = (b"before", b"x" * 6000, b"after")
        answers = backend.awf_mq_publish([Outgoing(queue=queue, body=body) for body in bodies])

    before, large, after = answers
    assert isinstance(large, BodyTooLarge)
    assert "6000 bytes is over the broker's max_message_size of 5000" in str(large)
    assert after is None
    assert before is None or (isinstance(before, BrokerUnavailable) and before.in_doubt)
    assert sorted(delivery.body for delivery in _take(backend, queue, 2)) == [b"after", b"before"]


def test_an_unroutable_reply_leaves_the_delivery_unsettled(make_backend: MakeBackend, queue: str) -> None:
    backend = make_backend()
    backend.awf_mq_ensure(queue, "work", None)
    backend.awf_mq_publish([Outgoing(queue=queue, body=b"x")])
    (delivery,) = _take(backend, queue)

    gone = [f"{queue}-gone", "amq.rabbitmq.reply-to.g1h2AA==.gone", GONE]
    answers = [backend.awf_mq_ack([Ack(delivery=delivery, replies=[Outgoing(queue=q, body=b"r")])])[0] for q in gone]

    assert all(isinstance(answer, Unroutable) for answer in answers), answers
    assert f"no queue {queue + '-gone'!r} takes it" in str(answers[0])
    assert "no requester waits at the direct reply address 'amq.rabbitmq.reply-to.g1h2AA==.gone'" in str(answers[1])
    assert f"no requester waits at the direct reply address {GONE[:80]!r}" in str(answers[2])
    assert backend.awf_mq_ack([Ack(delivery=delivery)]) == [None]


def test_a_retry_queue_that_was_deleted_is_declared_again(make_backend: MakeBackend, external: Any, queue: str) -> None:
    backend = make_backend()
    backend.awf_mq_ensure(queue, "work", None)
    backend.awf_mq_publish([Outgoing(queue=queue, body=b"x")])
    backend.awf_mq_nack([Nack(delivery=_take(backend, queue)[0], delay_s=1.0)])
    (delivery,) = _take(backend, queue)

    external.queue_delete(f"{queue}.retry.1000")
    answers = backend.awf_mq_nack([Nack(delivery=delivery, delay_s=0.5)])

    assert answers == [None]
    assert _take(backend, queue)[0].attempt == 3


def test_a_message_without_a_waiting_caller_goes_to_another_worker(make_backend: MakeBackend, queue: str) -> None:
    idle, free = make_backend(), make_backend()
    idle.awf_mq_ensure(queue, "work", None)
    assert idle.awf_mq_consume(queue, 5, 0.1) == []

    free.awf_mq_publish([Outgoing(queue=queue, body=b"x")])

    assert [delivery.body for delivery in _take(free, queue, within_s=2.0)] == [b"x"]


def test_what_was_prefetched_during_quick_runs_goes_to_another_worker_when_a_run_is_slow(
    make_backend: MakeBackend, queue: str
) -> None:
    quick, free = make_backend(), make_backend()
    quick.awf_mq_ensure(queue, "work", None)
    quick.awf_mq_publish([Outgoing(queue=queue, body=b"%d" % number) for number in range(100)])
    for _ in range(15):
        taken = _take(quick, queue, 4)
        assert quick.awf_mq_ack([Ack(delivery=each) for each in taken]) == [None] * 4

    slow = _take(quick, queue, 4)
    others = _take(free, queue, 36, within_s=3.0)

    assert len({each.body for each in (*slow, *others)}) == 40


def test_a_run_during_which_the_broker_dies_goes_on_and_settles_the_message_that_is_delivered_again(
    kit: Any, server: PrivateRabbitMq, evaluate: Evaluate
) -> None:
    mq = kit.mq()
    mq.publish([Outgoing(queue=kit.names.work, body=kit.message("kit-slow", "m1"))])
    worker = kit.worker()
    eventually(lambda: kit.project.runs("kit-slow") == ["m1"], 20.0, what="the run began")
    evaluate("[dets:sync(Table) || Table <- dets:all()]")

    server.restart()
    rebound = worker.await_line("message.rebound", within_s=20.0)
    kit.project.open_gate()
    worker.await_line("message.settled", settlement="ack")

    results = eventually(lambda: _bodies(mq, kit.names.replies), 10.0, what="a result")
    assert (rebound["message_id"], rebound["deliveries"]) == ("m1", 2)
    assert kit.project.runs("kit-slow") == ["m1"]
    assert [json.loads(body)["message_id"] for body in results] == ["m1"]


@pytest.fixture
def mq_target(server: PrivateRabbitMq) -> Any:
    from awf_core.testing.target import MqTarget

    settings = {"url": server.url, "heartbeat": "2s", "publish_timeout": "3s", "connect_timeout": "3s"}
    return MqTarget(type="rabbitmq", settings=settings, control=server)


@contextmanager
def _broker_set(evaluate: Evaluate, **values: int) -> Iterator[None]:
    """Settings of the broker, for channels that are opened meanwhile."""
    names = ", ".join(f"{{{name}, {value}}}" for name, value in values.items())
    was = evaluate(f"[{{N, application:get_env(rabbit, N)}} || {{N, _}} <- [{names}]]")
    evaluate(f"[application:set_env(rabbit, N, V) || {{N, V}} <- [{names}]]")
    try:
        yield
    finally:
        back = (
            "(fun({N, {ok, V}}) -> application:set_env(rabbit, N, V); ({N, _}) -> application:unset_env(rabbit, N) end)"
        )
        evaluate(f"[{back}(E) || E <- {was.strip()}]")


@contextmanager
def _alarm(evaluate: Evaluate) -> Iterator[None]:
    evaluate("rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []})")
    try:
        yield
    finally:
        evaluate("rabbit_alarm:clear_alarm({resource_limit, memory, node()})")


def _take(backend: Any, queue: str, count: int = 1, *, within_s: float = 10.0) -> list[Delivery]:
    taken: list[Delivery] = []

    def is_there() -> bool:
        try:
            taken.extend(backend.awf_mq_consume(queue, count - len(taken), 0.2))
        except BrokerError:
            return False
        return len(taken) == count

    eventually(is_there, within_s, what=f"{count} deliveries of {queue}")
    return taken


def _are_lost(backend: Any, *deliveries: Delivery) -> list[bool]:
    answers = backend.awf_mq_extend(deliveries)
    assert all(answer is None or isinstance(answer, LeaseLost) for answer in answers), answers
    return [answer is not None for answer in answers]


def _bodies(mq: Any, queue: str) -> list[bytes]:
    return [delivery.body for delivery in mq.consume(queue, limit=10, wait_s=0.5)]


def _age_s(delivery: Delivery) -> float:
    return time.monotonic() - delivery.receipt.arrived_at  # type: ignore[attr-defined]


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "awf_mq_rabbitmq"]
