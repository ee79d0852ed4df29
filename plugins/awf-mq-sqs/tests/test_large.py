"""Bodies beyond the limit: refused, or stored in S3 in the layout of Amazon's extended client."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from awf_core.contract import Ack, DeadLetter, Outgoing
from awf_core.errors import BodyTooLarge
from awf_core.testing.brokers import PrivateMoto

MakeBackend = Callable[..., Any]
LARGE = b'{"result": "' + b"x" * 1_100_000 + b'"}'


@pytest.fixture
def s3(server: PrivateMoto, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    client = boto3.session.Session().client("s3", region_name="us-east-1")
    for bucket in ("awf-large", "secrets"):
        client.create_bucket(Bucket=bucket)
    yield client
    client.close()


@pytest.fixture
def backend(make_backend: MakeBackend, s3: Any, queue: str) -> Any:
    made = make_backend(large="s3://awf-large/results", context={"max_body_bytes": 2_000_000})
    for name, role in ((queue, "work"), (f"{queue}-dead", "dead")):
        made.awf_mq_ensure(name, role, None)
    return made


def keys(s3: Any, bucket: str = "awf-large") -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def take(backend: Any, queue: str) -> Any:
    return list(backend.awf_mq_consume(queue, 10, 5.0))


def pointer(bucket: str, key: str) -> str:
    return json.dumps(["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": bucket, "s3Key": key}])


def send_pointer(external: Any, queue: str, body: str) -> None:
    url = external.get_queue_url(QueueName=queue)["QueueUrl"]
    size = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "11"}}
    external.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=size)


def test_without_a_bucket_a_large_body_is_refused_with_the_remedy(make_backend: MakeBackend, queue: str):
    backend = make_backend()
    backend.awf_mq_ensure(queue, "work", None)

    (answer,) = backend.awf_mq_publish([Outgoing(queue=queue, body=LARGE)])

    assert isinstance(answer, BodyTooLarge)
    assert "mq.sqs.large" in (answer.hint or "")
    assert backend.capabilities.max_body_bytes == 1_048_576


def test_a_large_body_goes_to_s3_and_comes_back_and_is_removed_with_its_message(
    backend: Any, s3: Any, external: Any, queue: str
):
    assert backend.awf_mq_publish([Outgoing(queue=queue, body=LARGE, headers={"h": "1"})]) == [None]
    (key,) = keys(s3)
    url = external.get_queue_url(QueueName=queue)["QueueUrl"]
    (raw,) = external.receive_message(QueueUrl=url, VisibilityTimeout=0, MessageAttributeNames=["All"])["Messages"]
    (delivery,) = take(backend, queue)

    kind, place = json.loads(raw["Body"])
    assert kind == "software.amazon.payloadoffloading.PayloadS3Pointer"
    assert place == {"s3BucketName": "awf-large", "s3Key": key}
    assert raw["MessageAttributes"]["ExtendedPayloadSize"] == {"StringValue": str(len(LARGE)), "DataType": "Number"}
    assert key.startswith("results/")
    assert (delivery.body, delivery.body_bytes, delivery.headers) == (LARGE, len(LARGE), {"h": "1"})
    assert backend.awf_mq_ack([Ack(delivery=delivery)]) == [None]
    assert keys(s3) == []


def test_a_message_of_the_extended_client_is_read(backend: Any, s3: Any, external: Any, queue: str):
    s3.put_object(Bucket="awf-large", Key="results/mine", Body=b'{"a": "b"} ')
    send_pointer(external, queue, pointer("awf-large", "results/mine"))

    (delivery,) = take(backend, queue)

    assert delivery.body == b'{"a": "b"} '


@pytest.mark.parametrize(("bucket", "key"), [("secrets", "results/x"), ("awf-large", "other/x")])
def test_a_pointer_to_another_place_is_not_followed(
    backend: Any, s3: Any, external: Any, queue: str, bucket: str, key: str
):
    s3.put_object(Bucket=bucket, Key=key, Body=b"secret")
    send_pointer(external, queue, pointer(bucket, key))

    (delivery,) = take(backend, queue)
    backend.awf_mq_ack([Ack(delivery=delivery)])

    assert delivery.body == pointer(bucket, key).encode()
    assert key in keys(s3, bucket), "nor is it deleted"


def test_a_pointer_to_nothing_is_delivered_as_it_is(backend: Any, external: Any, queue: str):
    send_pointer(external, queue, pointer("awf-large", "results/gone"))

    (delivery,) = take(backend, queue)

    assert delivery.body == pointer("awf-large", "results/gone").encode()


def test_a_body_over_the_limit_of_the_core_is_a_stub_that_is_not_read(make_backend: MakeBackend, s3: Any, queue: str):
    backend = make_backend(large="s3://awf-large", context={"max_body_bytes": 1000})
    backend.awf_mq_ensure(queue, "work", None)
    backend.awf_mq_publish([Outgoing(queue=queue, body=LARGE)])

    (delivery,) = take(backend, queue)

    assert delivery.is_stub
    assert delivery.body_bytes == len(LARGE)
    assert backend.requests.get("s3.get_object", 0) == 0


def test_a_dead_lettered_large_body_stays_in_s3(backend: Any, s3: Any, queue: str):
    backend.awf_mq_publish([Outgoing(queue=queue, body=LARGE)])
    (delivery,) = take(backend, queue)
    backend.awf_mq_dead_letter([DeadLetter(delivery=delivery, queue=f"{queue}-dead", reason="r", error="e")])

    assert backend.awf_mq_move(f"{queue}-dead", queue, None, None) == 1
    (again,) = take(backend, queue)

    assert again.body == LARGE
    assert len(keys(s3)) >= 1
