"""The brokers of `chaos_in_hand.py`: how each is started, reached by workers, and broken."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import redis

from awf_core.testing.brokers import PrivateRabbitMq, PrivateRedis
from awf_core.testing.eventually import eventually
from awf_core.testing.proxy import Proxy
from awf_core.testing.server_process import LOCAL, free_port
from bench.in_hand_account import FaultKind, Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LEASE_S = 2.0
HEARTBEAT_S = 1
REBIND_S = 5.0
SILENCE_S = LEASE_S * 0.6
"""A lease is renewed when a third of it is over, so that at least so much of it is left when a worker falls silent."""
SLOTS = 16384
REDIS = {"lease": f"{LEASE_S}s", "block": "500ms", "socket_timeout": "1s", "connect_timeout": "1s"}


class Side:
    """A broker in `directory`. `faults` are those it can have; `may_double`: a result and its ack are two steps."""

    faults: ClassVar[frozenset[FaultKind]] = frozenset({"pause", "kill"})
    rules: Rules = Rules(silence_s=SILENCE_S)
    may_double = False

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self._clock = directory / "clock"
        self.set_clock(0)

    def start(self) -> None:
        """It serves."""

    def settings(self, *, for_workers: bool) -> Mapping[str, Any]:
        """The keys under `mq:`; workers go through what can be broken."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """More of the workers' environment."""
        return {}

    def reset(self) -> None:
        """Reset the workers' connections."""

    def freeze(self) -> None:
        """Stop one server of several."""

    def thaw(self) -> None:
        """Let it go on."""

    def set_clock(self, seconds: int) -> None:
        """Make the clock of its host differ by that much from the real time."""
        new = self._clock.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._clock)

    def calm(self) -> None:
        """No fault is left."""
        self.set_clock(0)

    def end(self) -> None:
        """Nothing of it runs any more."""

    def clock(self, *, preload: str = "") -> Mapping[str, str]:
        """The environment of a process with the clock that can be set."""
        return {
            "LD_PRELOAD": faketime_library() + preload,
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


class EmbeddedSide(Side):
    """The embedded queue. Its workers share the clock of their host."""

    faults = frozenset({"pause", "kill", "clock"})
    rules = Rules(silence_s=SILENCE_S, is_locked=True)

    def settings(self, *, for_workers: bool) -> Mapping[str, Any]:  # noqa: ARG002
        return {"type": "sqlite", "sqlite": {"path": str(self._directory / "queue.db"), "lease": f"{LEASE_S}s"}}

    def environment(self) -> Mapping[str, str]:
        return self.clock()


class ClockedRedis(PrivateRedis):
    """A server with a clock of its own."""

    def __init__(self, directory: Path, clock: Mapping[str, str]) -> None:
        super().__init__(directory, append_only=False)
        self._clock = clock

    def environment(self) -> Mapping[str, str]:
        return {**super().environment(), **self._clock}


class RedisSide(Side):
    """A Redis behind a proxy. The clock is the server's."""

    faults = frozenset({"pause", "kill", "clock", "reset"})

    def start(self) -> None:
        # The server's own allocator asks for the time before faketime is ready for that; libc's doesn't.
        self._server = ClockedRedis(self._directory / "redis", self.clock(preload=":libc.so.6")).start()
        self._proxy = Proxy(LOCAL, self._server.port)

    def settings(self, *, for_workers: bool) -> Mapping[str, Any]:
        url = self._proxy.through(self._server.url) if for_workers else self._server.url
        return {"type": "redis", "redis": {**REDIS, "url": url}}

    def reset(self) -> None:
        self._proxy.cut()

    def end(self) -> None:
        self._proxy.close()
        self._server.kill()


class ClusterSide(Side):
    """Three Redis servers of a cluster that serves on while one of them is frozen."""

    faults = frozenset({"pause", "kill", "freeze"})
    may_double = True

    def start(self) -> None:
        extra = ("--cluster-enabled", "yes", "--cluster-node-timeout", "60000")
        ports = [next(port for port in iter(free_port, 0) if port <= 55_535) for _ in range(3)]
        self._servers = [
            PrivateRedis(self._directory / f"node-{port}", port=port, append_only=False, extra=extra).start()
            for port in ports
        ]
        clients = [redis.Redis(port=port) for port in ports]
        for number, client in enumerate(clients):
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", number * SLOTS // 3, (number + 1) * SLOTS // 3 - 1)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for client in clients[1:]:
            client.execute_command("CLUSTER", "MEET", LOCAL, ports[0])
        for client in clients:
            eventually(lambda client=client: _is_whole(client), 20)
            client.close()

    def settings(self, *, for_workers: bool) -> Mapping[str, Any]:  # noqa: ARG002
        nodes = ",".join(f"{LOCAL}:{server.port}" for server in self._servers)
        return {"type": "redis", "redis": {**REDIS, "url": f"redis://{nodes}", "cluster": True}}

    def freeze(self) -> None:
        self._frozen = self._servers[0]
        self._servers = [*self._servers[1:], self._frozen]
        self._frozen.pause()

    def thaw(self) -> None:
        self._frozen.resume()

    def end(self) -> None:
        for server in self._servers:
            server.kill()


class RabbitMqSide(Side):
    """A RabbitMQ behind a proxy: a private one, or `server`, which stays as it is."""

    faults = frozenset({"pause", "kill", "reset"})
    rules = Rules(silence_s=HEARTBEAT_S, is_bound=True, rebind_s=REBIND_S)
    may_double = True

    def __init__(self, directory: Path, *, server: PrivateRabbitMq | None = None) -> None:
        super().__init__(directory)
        self._own = PrivateRabbitMq(directory / "rabbitmq") if server is None else None
        self._server = server or self._own

    def start(self) -> None:
        if self._own is not None:
            self._own.start()
        self._proxy = Proxy(LOCAL, self._server.port)

    def settings(self, *, for_workers: bool) -> Mapping[str, Any]:
        url = self._proxy.through(self._server.url) if for_workers else self._server.url
        section = {"url": url, "heartbeat": HEARTBEAT_S, "connect_timeout": "2s", "publish_timeout": "2s"}
        return {"type": "rabbitmq", "rabbitmq": section, "rebind_timeout": f"{REBIND_S}s"}

    def reset(self) -> None:
        self._proxy.cut()

    def end(self) -> None:
        self._proxy.close()
        if self._own is not None:
            self._own.stop()


BROKERS: Mapping[str, Callable[[Path], Side]] = {
    "embedded": EmbeddedSide,
    "redis": RedisSide,
    "cluster": ClusterSide,
    "rabbitmq": RabbitMqSide,
}


def faketime_library() -> str:
    """The library to preload. Raises FileNotFoundError where it isn't installed."""
    found = chain.from_iterable(Path("/usr/lib").glob(f"{where}faketime/libfaketimeMT.so.1") for where in ("", "*/"))
    library = next(found, None)
    if library is None:
        raise FileNotFoundError("faketime is not installed: apt-get install faketime")
    return str(library)


def _is_whole(client: redis.Redis) -> bool:
    info = client.execute_command("CLUSTER", "INFO")
    text = info if isinstance(info, dict) else dict(line.split(":") for line in info.decode().split() if ":" in line)
    return text["cluster_state"] == "ok" and int(text["cluster_size"]) == 3
