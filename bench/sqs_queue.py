"""A private SQS endpoint and what a round or a section does with its queues. Used by `chaos_sqs` and `sqs_worker`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3

from awf_core.testing.brokers import PrivateMoto

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ACCOUNT = "123456789012"
REGION = "us-east-1"
LOGIN = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_REGION": REGION}
"""Made up: moto checks none."""

BATCH = 10
COUNTS = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]


class PrivateSqs:
    """An endpoint (moto) and a plain boto3 client of it. Not thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._server = PrivateMoto(directory)
        self.login = dict(LOGIN)
        self.url = self._server.url
        self.client: Any = boto3.session.Session().client(
            "sqs",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=LOGIN["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=LOGIN["AWS_SECRET_ACCESS_KEY"],
        )

    def start(self) -> None:
        """Start the server; its queues are empty."""
        self._server.start()

    def end(self) -> None:
        """Kill the server, and with it the queues."""
        self.client.close()
        self._server.kill()

    def queue_url(self, queue: str) -> str:
        """The URL of `queue`, whether it is there or not."""
        return f"{self.url}/{ACCOUNT}/{queue}"

    def create(self, queue: str) -> None:
        """Create a standard queue."""
        self.client.create_queue(QueueName=queue)

    def queues(self) -> list[str]:
        """The names of all queues."""
        return [url.rpartition("/")[2] for url in self.client.list_queues().get("QueueUrls", [])]

    def stored(self, queue: str) -> int:
        """The number of messages in `queue`, in flight and delayed ones included. Exact, since moto counts itself."""
        found = self.client.get_queue_attributes(QueueUrl=self.queue_url(queue), AttributeNames=COUNTS)["Attributes"]
        return sum(int(found[name]) for name in COUNTS)

    def send(self, queue: str, bodies: Sequence[str]) -> None:
        """Send a message for each of `bodies`, ten a request."""
        for first in range(0, len(bodies), BATCH):
            entries = [
                {"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies[first : first + BATCH])
            ]
            self.client.send_message_batch(QueueUrl=self.queue_url(queue), Entries=entries)

    def take(self, queue: str) -> list[str]:
        """Receive and delete all visible messages; their bodies."""
        bodies: list[str] = []
        while found := self.receive(queue):
            bodies += [str(message["Body"]) for message in found]
            self.delete(queue, found)
        return bodies

    def receive(self, queue: str) -> list[dict[str, Any]]:
        """One request for ten messages, without waiting."""
        url = self.queue_url(queue)
        answer = self.client.receive_message(QueueUrl=url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=0)
        return list(answer.get("Messages", []))

    def delete(self, queue: str, messages: Sequence[dict[str, Any]]) -> None:
        """Delete up to ten received messages in one request."""
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(messages)
        ]
        self.client.delete_message_batch(QueueUrl=self.queue_url(queue), Entries=entries)
