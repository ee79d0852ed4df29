"""Redis's part of a fault test: a project on a private server, and an external client's view of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fault_project import DEAD, QUEUE, RESULTS, FaultProject, message

from awf_core.testing.brokers import PrivateRedis
from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import redis
    from set_clock import SetClock

LEASE_S = 1.0
SECTION = {"lease": f"{LEASE_S}s", "block": "200ms", "socket_timeout": "2s", "connect_timeout": "2s"}


class RedisFaults(FaultProject):
    """A project whose workers serve from a Redis. `results` names the list its messages are answered in."""

    def __init__(self, directory: Path, client: redis.Redis) -> None:
        super().__init__(directory)
        self.client = client
        self.reply_to = RESULTS

    def redis(self, url: str, name: str = "config", *, section: Mapping[str, object] | None = None, **mq: Any) -> str:
        """A configuration; `section` has more keys of `mq.redis`."""
        return self.configure(name, type="redis", redis={"url": url, **SECTION, **(section or {})}, **mq)

    def put(self, *message_ids: str, workflow: str = "long", queue: str = QUEUE, client: Any = None) -> None:
        """Push a message for each id."""
        bodies = [message(each, workflow, reply_to=self.reply_to) for each in message_ids]
        (client or self.client).lpush(queue, *bodies)

    def results(self) -> list[dict[str, Any]]:
        """All results, oldest first."""
        return [json.loads(body) for body in reversed(self.client.lrange(self.reply_to, 0, -1))]

    def probe(self, number: int, *, beside: str, queue: str = QUEUE) -> None:
        """Have one more message done, the `number`-th with a result, while `beside` runs and is started no second time.

        A worker takes it, so it has polled the queue since whatever the test did before.
        """
        self.put(f"probe-{number}", workflow="short", queue=queue)
        self.await_with_one_run_of(beside, lambda: self.client.llen(self.reply_to) >= number, f"{number} results")

    def await_results(self, count: int, *, within_s: float = 15.0) -> list[str]:
        """The message ids of all results, sorted, once there are `count`."""
        eventually(lambda: self.client.llen(self.reply_to) >= count, within_s, what=f"{count} results")
        return sorted(result["message_id"] for result in self.results())

    def dead(self, queue: str = DEAD) -> list[str]:
        """Why messages were dead-lettered."""
        return [fields[b"reason"].decode() for _, fields in self.client.xrange(queue)]

    def close(self) -> None:
        super().close()
        self.client.close()


class RedisWithClock(PrivateRedis):
    """A server whose wall clock is a `SetClock`."""

    def __init__(self, directory: Path, clock: SetClock) -> None:
        super().__init__(directory, append_only=False)
        self._clock = clock

    def environment(self) -> Mapping[str, str]:
        # The server's own allocator asks for the time before faketime is ready for that; libc's doesn't.
        preload = f"{self._clock.environment['LD_PRELOAD']}:libc.so.6"
        return {**super().environment(), **self._clock.environment, "LD_PRELOAD": preload}
