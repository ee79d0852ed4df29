"""SQS's part of a fault test: a project on a private endpoint, and an external client's view of its queues."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import boto3
from fault_project import FaultProject, message

from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LEASE_S = 1.0
SECTION = {"lease": f"{LEASE_S}s", "wait": "1s", "read_timeout": "3s", "connect_timeout": "2s"}
LOGIN = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


class SqsFaults(FaultProject):
    """A project whose workers serve from SQS; `queue`, `reply_to` and `dead_queue` are names of its own."""

    def __init__(self, directory: Path, url: str) -> None:
        super().__init__(directory)
        self.queue = f"t-{secrets.token_hex(5)}"
        self.reply_to = f"{self.queue}-results"
        self.dead_queue = f"{self.queue}-dead"
        session = boto3.session.Session("test", "test", region_name="us-east-1")
        self.client = session.client("sqs", endpoint_url=url)
        self._results: list[dict[str, Any]] = []

    def sqs(self, url: str, name: str = "config", *, section: Mapping[str, object] | None = None, **mq: Any) -> str:
        """A configuration; `section` has more keys of `mq.sqs`."""
        own = {"dead_letter": {"queue": self.dead_queue}, "undeliverable": {"queue": f"{self.queue}-undeliverable"}}
        return self.configure(
            name, type="sqs", sqs={"endpoint_url": url, **SECTION, **(section or {})}, **{**own, **mq}
        )

    def environment(self, config: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """As in any project, with credentials."""
        return super().environment(config, {**LOGIN, **(extra or {})})

    def command(self, *options: str) -> tuple[str, ...]:
        """A worker on this project's queue."""
        return super().command("--queue", self.queue, *options)

    def create(self, *queues: str) -> None:
        """Create queues as an operator does: the reply queue too, where none is named."""
        for queue in queues or (self.reply_to,):
            self.client.create_queue(QueueName=queue)

    def url(self, queue: str) -> str:
        """The URL of a queue."""
        return str(self.client.get_queue_url(QueueName=queue)["QueueUrl"])

    def put(self, *message_ids: str, workflow: str = "long", **more: object) -> None:
        """Send a message for each id."""
        url = self.url(self.queue)
        for each in message_ids:
            body = message(each, workflow, **{"reply_to": self.reply_to, **more})
            self.client.send_message(QueueUrl=url, MessageBody=body)

    def results(self) -> list[dict[str, Any]]:
        """All results so far; each is received once."""
        url = self.url(self.reply_to)
        while found := self.client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(found)]
            self.client.delete_message_batch(QueueUrl=url, Entries=entries)
            self._results += [json.loads(each["Body"]) for each in found]
        return self._results

    def await_results(self, count: int, *, within_s: float = 20.0) -> list[str]:
        """The message ids of all results, sorted, once there are `count`."""
        eventually(lambda: len(self.results()) >= count, within_s, what=f"{count} results")
        return sorted(result["message_id"] for result in self.results())

    def close(self) -> None:
        super().close()
        self.client.close()
