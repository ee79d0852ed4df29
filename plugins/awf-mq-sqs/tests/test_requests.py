"""The requests a worker and a producer send: how many, which, and that the written policies allow them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from awf_core.contract import Ack, DeadLetter, Nack, Outgoing

MakeBackend = Callable[..., Any]
README = Path(__file__).parents[1] / "README.md"
MESSAGES = 100
MOST_A_MESSAGE = 0.35


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The actions of all requests of the test, as botocore sends them."""
    from botocore.client import BaseClient

    sent: list[str] = []
    send = BaseClient._make_api_call

    def noted(client: Any, operation: str, request: Any) -> Any:
        sent.append(f"{client.meta.service_model.service_name}:{operation}")
        return send(client, operation, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", noted)
    return sent


def actions(calls: list[str]) -> set[str]:
    """The rights the requests need: that to an action is that to its batches."""
    return {re.sub(r"Batch\Z", "", each) for each in calls}


def policies() -> list[set[str]]:
    """The actions of each policy in the README, in order: producers, workers, workers that create queues."""
    blocks = re.findall(r"```json\n(.*?)```", README.read_text(), re.DOTALL)
    found = [json.loads(block) for block in blocks if '"Statement"' in block]
    return [{action for statement in each["Statement"] for action in statement["Action"]} for each in found]


def take(backend: Any, queue: str) -> list[Any]:
    return list(backend.awf_mq_consume(queue, 10, 5.0))


def test_a_full_batch_costs_at_most_a_third_of_a_request_a_message(make_backend: MakeBackend, queue: str):
    """Receive, extend, reply and delete ten messages at a time, as a worker with ten slots does."""
    backend = make_backend()
    for name, role in ((queue, "work"), (f"{queue}-r", "reply")):
        backend.awf_mq_ensure(name, role, None)
    backend.awf_mq_publish([Outgoing(queue=queue, body=b"%d" % number) for number in range(MESSAGES)])
    before = sum(backend.requests.values())

    done = 0
    while done < MESSAGES:
        deliveries = take(backend, queue)
        assert list(backend.awf_mq_extend(deliveries)) == [None] * len(deliveries)
        replies = [Outgoing(queue=f"{queue}-r", body=each.body) for each in deliveries]
        acks = [Ack(delivery=each, replies=[reply]) for each, reply in zip(deliveries, replies, strict=True)]
        assert list(backend.awf_mq_ack(acks)) == [None] * len(acks)
        done += len(deliveries)

    cost = (sum(backend.requests.values()) - before) / MESSAGES
    assert cost <= MOST_A_MESSAGE, f"{cost} requests a message: {backend.requests}"


def test_a_producer_needs_what_its_policy_allows(
    make_backend: MakeBackend, external: Any, queue: str, calls: list[str]
):
    for name in (queue, f"{queue}-r"):
        external.create_queue(QueueName=name)
    calls.clear()
    producer = make_backend(queue=queue, context={"declare": "passive"})
    producer.awf_mq_publish([Outgoing(queue=queue, body=b"x")])
    producer.awf_mq_reply_queue(60.0)
    reply = producer.awf_mq_reply_queue(60.0)
    producer.awf_mq_publish([Outgoing(queue=reply, body=b"x")])
    producer.awf_mq_ack([Ack(delivery=each) for each in take(producer, reply)])
    producer.awf_mq_close()

    # CreateQueue with tags asks for the right to tag, in the same request.
    assert actions(calls) | {"sqs:TagQueue"} == policies()[0]


def test_a_worker_needs_what_its_policy_allows(make_backend: MakeBackend, external: Any, queue: str, calls: list[str]):
    for name in (queue, f"{queue}-dead", f"{queue}-r"):
        external.create_queue(QueueName=name)
    calls.clear()
    _work(make_backend(queue=queue, context={"declare": "passive"}), queue)

    assert actions(calls) == policies()[1]


def test_a_worker_that_creates_its_queues_needs_one_right_more(make_backend: MakeBackend, queue: str, calls: list[str]):
    _work(make_backend(queue=queue), queue)

    # CreateQueue with tags asks for the right to tag, in the same request.
    assert actions(calls) | {"sqs:TagQueue"} == policies()[2]


def test_the_requests_are_logged_when_a_worker_ends(
    make_backend: MakeBackend, queue: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO", logger="awf_mq_sqs")
    backend = make_backend()
    backend.awf_mq_ensure(queue, "work", None)
    assert list(backend.awf_mq_consume(queue, 1, 0.0)) == []
    backend.awf_mq_extend([])
    backend.awf_mq_close()

    (record,) = [each for each in caplog.records if each.message == "sqs.requests"]
    assert record.fields["receive_message"] == 1
    assert record.fields["total"] == sum(backend.requests.values())
    assert record.fields["broker"] == backend.address


def _work(worker: Any, queue: str) -> None:
    """Everything a worker does: ack with a reply, retry, release, extend, dead-letter."""
    worker.awf_mq_ensure(queue, "work", f"{queue}-dead")
    worker.awf_mq_ensure(f"{queue}-dead", "dead", None)
    worker.awf_mq_ensure(f"{queue}-r", "reply", None)
    worker.awf_mq_publish([Outgoing(queue=queue, body=b"%d" % number) for number in range(4)])
    deliveries: list[Any] = []
    while len(deliveries) < 4:
        deliveries += take(worker, queue)
    first, second, third, fourth = deliveries
    worker._claims.held(first, 0.0).lease_until -= 30.0
    assert list(worker.awf_mq_extend([first])) == [None]
    assert list(worker.awf_mq_ack([Ack(delivery=first, replies=[Outgoing(queue=f"{queue}-r", body=b"r")])])) == [None]
    assert list(worker.awf_mq_nack([Nack(delivery=second), Nack(delivery=third, counted=False)])) == [None, None]
    item = DeadLetter(delivery=fourth, queue=f"{queue}-dead", reason="r", error="e")
    assert list(worker.awf_mq_dead_letter([item])) == [None]
    worker.awf_mq_stats(queue)
    worker.awf_mq_close()
