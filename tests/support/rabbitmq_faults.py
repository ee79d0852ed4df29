"""RabbitMQ's part of a fault test: a project on the session's broker, queues of its own, an external client's view."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pika
from fault_project import FaultProject, message

from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECTION = {"heartbeat": "1s", "connect_timeout": "2s", "publish_timeout": "2s"}


class RabbitMqFaults(FaultProject):
    """A project whose workers serve from a RabbitMQ; `queue`, `reply_to` and `dead_queue` are names of its own."""

    def __init__(self, directory: Path, url: str) -> None:
        super().__init__(directory)
        self.queue = f"t-{secrets.token_hex(5)}"
        self.reply_to = f"{self.queue}-results"
        self.dead_queue = f"{self.queue}-dead"
        self._connection = pika.BlockingConnection(pika.URLParameters(f"{url}?heartbeat=0"))
        self.channel = self._connection.channel()
        # Not replicated: its count is never late.
        self.channel.queue_declare(self.reply_to, durable=True)
        self._results: list[dict[str, Any]] = []

    def rabbitmq(
        self, url: str, name: str = "config", *, section: Mapping[str, object] | None = None, **mq: Any
    ) -> str:
        """A configuration; `section` has more keys of `mq.rabbitmq`."""
        own = {"dead_letter": {"queue": self.dead_queue}, "undeliverable": {"queue": f"{self.queue}-undeliverable"}}
        return self.configure(
            name, type="rabbitmq", rabbitmq={"url": url, **SECTION, **(section or {})}, **{**own, **mq}
        )

    def command(self, *options: str) -> tuple[str, ...]:
        """A worker on this project's queue."""
        return super().command("--queue", self.queue, *options)

    def put(self, *message_ids: str, workflow: str = "long", **more: object) -> None:
        """Publish a message for each id."""
        for each in message_ids:
            body = message(each, workflow, **{"reply_to": self.reply_to, **more}).encode()
            self.channel.basic_publish("", self.queue, body, pika.BasicProperties(delivery_mode=2))

    def ready(self, queue: str) -> int:
        """How many messages wait in a queue; on a replicated one that may be late by half a second."""
        return int(self.channel.queue_declare(queue, passive=True).method.message_count)

    def is_abandoned(self) -> bool:
        """Whether the queue has no consumer any more, and messages."""
        found = self.channel.queue_declare(self.queue, passive=True).method
        return found.consumer_count == 0 and found.message_count > 0

    def results(self) -> list[dict[str, Any]]:
        """All results so far, oldest first."""
        while (got := self.channel.basic_get(self.reply_to, auto_ack=True))[0] is not None:
            self._results.append(json.loads(got[2]))
        return list(self._results)

    def await_results(self, count: int, *, within_s: float = 15.0) -> list[str]:
        """The message ids of all results, sorted, once there are `count`."""
        eventually(lambda: len(self.results()) >= count, within_s, what=f"{count} results")
        return sorted(result["message_id"] for result in self.results())

    def probe(self, number: int, *, beside: str) -> None:
        """Have one more message done, the `number`-th with a result, while `beside` runs and is started no second time.

        A worker takes it, so it consumes again after whatever the test did before.
        """
        self.put(f"probe-{number}", workflow="short")
        self.await_with_one_run_of(beside, lambda: len(self.results()) >= number, f"{number} results")

    def dead(self) -> list[str]:
        """Why messages were dead-lettered. Takes them."""
        found = []
        while (got := self.channel.basic_get(self.dead_queue, auto_ack=True))[0] is not None:
            found.append(str((got[1].headers or {}).get("x-awf-reason")))
        return found

    def close(self) -> None:
        super().close()
        self._connection.close()
