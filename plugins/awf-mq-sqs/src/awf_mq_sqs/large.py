"""Bodies in S3: the layout of Amazon's extended client library for SQS, so that either reads what the other wrote.

The message's body is then a pointer, and an attribute has the size. A pointer is a producer's word, and this process
may have more rights in S3 than the producer: only keys under `mq.sqs.large` are read.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from awf_core.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_mq_sqs.attributes import Attributes
    from awf_mq_sqs.client import SqsClient

POINTER = "software.amazon.payloadoffloading.PayloadS3Pointer"
OLD_POINTER = "com.amazon.sqs.javamessaging.MessageS3Pointer"
SIZE, OLD_SIZE = "ExtendedPayloadSize", "SQSLargePayloadSize"


class LargeBodies:
    """One bucket and prefix. Thread-safe."""

    def __init__(self, client: SqsClient, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def store(self, body: str) -> tuple[str, Attributes]:
        """Put `body` into S3; returns the pointer and the attribute to send. Raises BrokerError."""
        key = f"{self._prefix}{uuid.uuid4()}"
        content = body.encode()
        self._client.s3(
            "put_object", f"store a body in s3://{self._bucket}/{key}", Bucket=self._bucket, Key=key, Body=content
        )
        pointer = json.dumps([POINTER, {"s3BucketName": self._bucket, "s3Key": key}], separators=(",", ":"))
        return pointer, {SIZE: {"DataType": "Number", "StringValue": str(len(content))}}

    def key_of(self, body: str, attributes: Mapping[str, Mapping[str, Any]]) -> str | None:
        """The key of a body in our bucket, under our prefix; None for any other message."""
        if SIZE not in attributes and OLD_SIZE not in attributes:
            return None
        try:
            parsed = json.loads(body)
        except (ValueError, RecursionError):
            return None
        if not (isinstance(parsed, list) and len(parsed) == 2 and parsed[0] in (POINTER, OLD_POINTER)):
            return None
        place = parsed[1] if isinstance(parsed[1], dict) else {}
        key = place.get("s3Key")
        if place.get("s3BucketName") != self._bucket or not isinstance(key, str) or not key.startswith(self._prefix):
            return None
        return key

    def size_of(self, key: str) -> int:
        """Bytes of the stored body. Raises BrokerError."""
        found = self._client.s3("head_object", f"find s3://{self._bucket}/{key}", Bucket=self._bucket, Key=key)
        return int(found["ContentLength"])

    def read(self, key: str) -> bytes:
        """The stored body. Raises BrokerError."""
        found = self._client.s3("get_object", f"read s3://{self._bucket}/{key}", Bucket=self._bucket, Key=key)
        return bytes(found["Body"].read())

    def remove(self, key: str) -> BrokerError | None:
        """Delete the stored body; what kept it from that, since its message is settled already."""
        try:
            self._client.s3("delete_object", f"delete s3://{self._bucket}/{key}", Bucket=self._bucket, Key=key)
        except BrokerError as error:
            return error
        return None
