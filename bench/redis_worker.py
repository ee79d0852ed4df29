"""No-op messages a second on Redis, and the time from submit to result. Called by `__main__`.

Every message is acknowledged with its result in one script. The server and the project are made for the measurement.
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
from bench import broker_worker
from bench.figure import BenchFailed
from bench.project import NOOP, RESULTS, WORK, noop_body

if TYPE_CHECKING:
    from types import TracebackType

    from bench.figure import Figure
    from bench.plan import Plan

_PUT_AT_ONCE = 1000


class RedisProject:
    """A directory with `.awf/` and a server without persistence (as the peers'), both removed at the end."""

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
        """A producer that sees this project and no environment variable of the caller."""
        return Client(cwd=self.path, env={"HOME": str(self.path)})

    def fill(self, count: int) -> None:
        """Push `count` no-op messages of about 200 bytes, each asking for its result."""
        for first in range(0, count, _PUT_AT_ONCE):
            self._client.lpush(WORK, *[noop_body(number) for number in range(first, min(first + _PUT_AT_ONCE, count))])

    def results(self) -> int:
        """The number of results."""
        return int(self._client.llen(RESULTS))

    def check_all_completed(self, count: int) -> None:
        """Raise BenchFailed unless there are `count` results of as many messages, and no message is left.

        What each queue is for stays noted.
        """
        bodies = [json.loads(body) for body in self._client.lrange(RESULTS, 0, -1)]
        completed = {body["message_id"] for body in bodies if body["status"] == "completed"}
        keys = sorted(key.decode() for key in self._client.scan_iter() if not key.endswith(b":role"))
        if len(bodies) != count or len(completed) != count or keys != [RESULTS]:
            raise BenchFailed(
                f"expected {count} completed results, found {len(bodies)} of {len(completed)} messages; keys: {keys}"
            )


CONTEST = broker_worker.Contest(
    broker="Redis",
    make_project=RedisProject,
    # Peers that acknowledge after the work and store results.
    peers={1: ("dramatiq-redis-pf128", "taskiq-stream"), 2: ("dramatiq-redis-2p", "taskiq-stream-2p")},
    aim_ratio=4.0,
)


def measure(plan: Plan) -> list[Figure]:
    """See `broker_worker.measure`."""
    return broker_worker.measure(plan, CONTEST)
