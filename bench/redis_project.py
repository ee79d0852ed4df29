"""A throw-away project on a Redis of its own: messages pushed, results counted. Used by the `redis_worker` section.

The server keeps nothing on disk, as that of the peers' folder does by default.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from awf_core.client import Client
from awf_core.testing.brokers import PrivateRedis
from bench.figure import BenchFailed
from bench.project import NOOP, RESULTS, WORK, noop_body

if TYPE_CHECKING:
    from types import TracebackType

_PUT_AT_ONCE = 1000


class RedisProject:
    """A directory with `.awf/` and a server, both gone at the end of the `with` block."""

    def __init__(self, parent: Path) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="awf-bench-", dir=parent))
        self.server = PrivateRedis(self.path / "redis", append_only=False)
        self._client = redis.Redis(port=self.server.port)

    def __enter__(self) -> RedisProject:
        self.server.start()
        (self.path / ".awf" / "workflows").mkdir(parents=True)
        (self.path / ".awf" / "workflows" / "noop.yaml").write_text(NOOP, encoding="utf-8")
        config = f"mq: {{type: redis, redis: {{url: '{self.server.url}'}}}}\n"
        (self.path / ".awf" / "config.yaml").write_text(config, encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self.server.kill()
        shutil.rmtree(self.path, ignore_errors=True)

    def client(self) -> Client:
        """A producer that sees this project and no variable of the caller's."""
        return Client(cwd=self.path, env={"HOME": str(self.path)})

    def fill(self, count: int) -> None:
        """Push `count` no-op messages of about 200 bytes, each asking for its result."""
        for first in range(0, count, _PUT_AT_ONCE):
            self._client.lpush(WORK, *[noop_body(number) for number in range(first, min(first + _PUT_AT_ONCE, count))])

    def results(self) -> int:
        """How many there are."""
        return int(self._client.llen(RESULTS))

    def check_all_completed(self, count: int) -> None:
        """Raise BenchFailed unless there are `count` results of as many messages, all `completed`, and no other key."""
        bodies = [json.loads(body) for body in self._client.lrange(RESULTS, 0, -1)]
        completed = {body["message_id"] for body in bodies if body["status"] == "completed"}
        keys = sorted(key.decode() for key in self._client.scan_iter())
        if len(bodies) != count or len(completed) != count or keys != [RESULTS]:
            raise BenchFailed(
                f"expected {count} completed results, found {len(bodies)} of {len(completed)} messages; keys: {keys}"
            )
