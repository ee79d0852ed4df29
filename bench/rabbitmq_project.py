"""A throw-away project on a RabbitMQ of its own, quorum queues: messages published, results counted. Used by the
`rabbitmq_worker` section.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pika

from awf_core.client import Client
from awf_core.testing.brokers import PrivateRabbitMq
from bench.figure import BenchFailed
from bench.project import NOOP, RESULTS, WORK, noop_body
from bench.worker import AWF, clean_environment

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class RabbitMqProject:
    """A directory with `.awf/` and a broker, both gone at the end of the `with` block."""

    def __init__(self, parent: Path) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="awf-bench-", dir=parent))
        (self.path / "broker").mkdir()
        self.server = PrivateRabbitMq(self.path / "broker")

    def __enter__(self) -> Self:
        self.server.start()
        self._connection = pika.BlockingConnection(pika.URLParameters(f"{self.server.url}?heartbeat=0"))
        self._channel = self._connection.channel()
        self._channel.queue_declare(RESULTS, durable=True, arguments={"x-queue-type": "quorum"})
        (self.path / ".awf" / "workflows").mkdir(parents=True)
        (self.path / ".awf" / "workflows" / "noop.yaml").write_text(NOOP, encoding="utf-8")
        config = f"mq: {{type: rabbitmq, rabbitmq: {{url: '{self.server.url}'}}}}\n"
        (self.path / ".awf" / "config.yaml").write_text(config, encoding="utf-8")
        environment = clean_environment(self.path)
        subprocess.run([AWF, "queue", "ensure"], cwd=self.path, env=environment, check=True, capture_output=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self.server.stop()
        shutil.rmtree(self.path, ignore_errors=True)

    def client(self) -> Client:
        """A producer that sees this project and no variable of the caller's."""
        return Client(cwd=self.path, env={"HOME": str(self.path)})

    def fill(self, count: int) -> None:
        """Publish `count` no-op messages of about 200 bytes, each asking for its result; returns when all are there."""
        for number in range(count):
            self._channel.basic_publish("", WORK, noop_body(number).encode())
        while self._ready(WORK) < count:
            self._connection.sleep(0.01)

    def results(self) -> int:
        """How many there are."""
        return self._ready(RESULTS)

    def check_all_completed(self, count: int) -> None:
        """Raise BenchFailed unless there are `count` results of as many messages, and nothing else. Takes them."""
        bodies = []
        while (got := self._channel.basic_get(RESULTS, auto_ack=True))[0] is not None:
            bodies.append(json.loads(got[2]))
        completed = {body["message_id"] for body in bodies if body["status"] == "completed"}
        left = self._ready(WORK)
        if len(bodies) != count or len(completed) != count or left:
            raise BenchFailed(
                f"expected {count} completed results, found {len(bodies)} of {len(completed)} messages; "
                f"{left} left in {WORK!r}"
            )

    def _ready(self, queue: str) -> int:
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)
