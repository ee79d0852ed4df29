"""What the tests share: a private server emptied for each test, backends and workers on it, an external client."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import redis
from awf_mq_redis.backend import Backend
from awf_mq_redis.settings import RedisSettings

from awf_core.clock import SystemClock
from awf_core.contract import BackendContext, Delivery, Outgoing
from awf_core.mq import Mq
from awf_core.plugin.manager import build_plugins
from awf_core.testing.brokers import PrivateRedis, redis_program
from awf_core.testing.eventually import eventually
from awf_core.testing.process import LoggedProcess, Project, awf_command
from awf_core.testing.proxy import Proxy
from awf_core.testing.pytest_plugin import kit  # noqa: F401 - the conformance kit's fixture
from awf_core.testing.server_process import LOCAL, free_port

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MakeBackend = Callable[..., Backend]
MakeServer = Callable[..., PrivateRedis]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a server there is nothing to test against: skip at home, fail in CI."""
    if redis_program() is None and not os.environ.get("CI"):
        for item in items:
            if "server" in getattr(item, "fixturenames", ()) or "make_server" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason="no redis-server or valkey-server is installed"))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No AWF_* setting of the developer reaches a test; the home directory is an empty one."""
    for name in list(os.environ):
        if name.startswith(("AWF_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    with PrivateRedis(tmp_path_factory.mktemp("redis"), append_only=False) as server:
        yield server


@pytest.fixture
def server(shared_server: PrivateRedis) -> PrivateRedis:
    """A server with nothing in it, its default user and its default settings."""
    with redis.Redis(port=shared_server.port) as client:
        client.flushall()
        client.config_set("maxmemory", 0)
    return shared_server


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[MakeServer]:
    """Start a server of the test's own, to be killed or set up at will."""
    made: list[PrivateRedis] = []

    def make(**options: object) -> PrivateRedis:
        made.append(PrivateRedis(tmp_path / f"server-{len(made)}", **options))
        return made[-1].start()

    yield make
    for each in made:
        each.kill()


@pytest.fixture
def make_backend(tmp_path: Path) -> Iterator[MakeBackend]:
    """Make (and open) a backend; all are closed at the end."""
    made: list[Backend] = []

    def make(
        url: str, *, is_open: bool = True, context: dict[str, object] | None = None, **settings: object
    ) -> Backend:
        values = {"worker": "tester", "clock": SystemClock(), "directory": str(tmp_path), **(context or {})}
        backend = Backend(RedisSettings.model_validate({"url": url, **settings}), BackendContext(**values))
        made.append(backend)
        if is_open:
            backend.awf_mq_open()
        return backend

    yield make
    for backend in made:
        backend.awf_mq_close()


@pytest.fixture
def backend(server: PrivateRedis, make_backend: MakeBackend) -> Backend:
    return make_backend(server.url)


@pytest.fixture
def make_mq() -> Callable[[Backend], Mq]:
    """A backend as the core calls it."""
    return lambda backend: Mq(build_plugins(backend, "redis", env={}).hook, backend.capabilities, backend="redis")


@pytest.fixture
def mq(backend: Backend, make_mq: Callable[[Backend], Mq]) -> Mq:
    return make_mq(backend)


@pytest.fixture
def hasty(server: PrivateRedis, make_backend: MakeBackend) -> Backend:
    """A backend whose leases end after 200 ms."""
    return make_backend(server.url, lease="200ms")


@pytest.fixture
def external(server: PrivateRedis) -> Iterator[redis.Redis]:
    """A client of the same server that is not ours."""
    with redis.Redis(port=server.port) as client:
        yield client


@pytest.fixture
def take(backend: Backend) -> Callable[..., Delivery]:
    """Publish one message (`publish=False`: none) and claim one."""

    def run(queue: str = "work", *, publish: bool = True, source: Backend = backend, body: bytes = b"{}") -> Delivery:
        if publish:
            assert source.awf_mq_publish([Outgoing(queue=queue, body=body)]) == [None]
        deliveries = source.awf_mq_consume(queue, 1, 5)
        assert len(deliveries) == 1
        return deliveries[0]

    return run


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[[PrivateRedis], Site]]:
    """Make a project whose workers serve from a server."""
    made: list[Site] = []

    def make(server: PrivateRedis) -> Site:
        made.append(Site(tmp_path / "project", server.port))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def proxy(server: PrivateRedis) -> Iterator[Proxy]:
    """A fault proxy before the shared server."""
    with Proxy("127.0.0.1", server.port) as running:
        yield running


@pytest.fixture(scope="module")
def sentinel_group(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[PrivateRedis, PrivateRedis, list[PrivateRedis]]]:
    """A master, its replica, and three sentinels."""
    master, replica, sentinels = start_sentinels(tmp_path_factory.mktemp("sentinels"))
    yield master, replica, sentinels
    for server in (master, replica, *sentinels):
        server.kill()


@pytest.fixture(scope="module")
def cluster_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[PrivateRedis]]:
    """Three servers of a cluster."""
    servers = start_cluster(tmp_path_factory.mktemp("cluster"))
    yield servers
    for server in servers:
        server.kill()


@pytest.fixture
def patient_cluster(tmp_path: Path) -> Iterator[list[PrivateRedis]]:
    """Three servers of a cluster that serve on while one of them is frozen, which they call dead after a minute."""
    servers = start_cluster(tmp_path / "cluster", node_timeout_ms=60_000)
    yield servers
    for server in servers:
        server.kill()


SERVICE = "mymaster"
SLOTS = 16384


class PrivateSentinel(PrivateRedis):
    """A sentinel that watches the master at `master_port` and needs one other to agree."""

    def __init__(self, directory: Path, *, master_port: int, quorum: int = 2) -> None:
        super().__init__(directory, append_only=False)
        self._master_port = master_port
        self._quorum = quorum

    def command(self) -> Sequence[str]:
        program = shutil.which("redis-server") or shutil.which("valkey-server") or "redis-server"
        file = self.directory / "sentinel.conf"
        file.write_text(
            f"port {self.port}\nbind {LOCAL}\ndir {self.directory}\n"
            f"sentinel monitor {SERVICE} {LOCAL} {self._master_port} {self._quorum}\n"
            f"sentinel down-after-milliseconds {SERVICE} 500\n"
            f"sentinel failover-timeout {SERVICE} 2000\n"
        )
        return (program, str(file), "--sentinel")


def start_sentinels(directory: Path) -> tuple[PrivateRedis, PrivateRedis, list[PrivateRedis]]:
    """A master, its replica, and three sentinels that know both and each other."""
    master = PrivateRedis(directory / "master", append_only=False).start()
    replica = PrivateRedis(directory / "replica", append_only=False).start()
    with redis.Redis(port=replica.port) as client, redis.Redis(port=master.port) as head:
        head.config_set("repl-diskless-sync-delay", 0)
        client.replicaof(LOCAL, str(master.port))
        eventually(lambda: client.info("replication")["master_link_status"] == "up")
    sentinels = [PrivateSentinel(directory / f"s{n}", master_port=master.port).start() for n in range(3)]
    for sentinel in sentinels:
        with redis.Redis(port=sentinel.port) as client:
            eventually(lambda client=client: _is_ready(client))
    return master, replica, sentinels


def _is_ready(client: redis.Redis) -> bool:
    state = client.execute_command("SENTINEL MASTER", SERVICE)  # sentinel_master() fails in redis-py 6.4
    return state["num-slaves"] == 1 and state["num-other-sentinels"] == 2


def cluster_port() -> int:
    """A free port that leaves room for the cluster's own, which is 10,000 higher: the server refuses others."""
    return next(port for port in iter(free_port, 0) if port <= 55_535)


def start_cluster(directory: Path, size: int = 3, *, node_timeout_ms: int = 2000) -> list[PrivateRedis]:
    """`size` servers that share the slots among them."""
    extra = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout_ms))
    servers = [
        PrivateRedis(directory / f"node{n}", port=cluster_port(), append_only=False, extra=extra).start()
        for n in range(size)
    ]
    clients = [redis.Redis(port=server.port) for server in servers]
    for number, client in enumerate(clients):
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", number * SLOTS // size, (number + 1) * SLOTS // size - 1)
        client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
    for client in clients[1:]:
        client.execute_command("CLUSTER", "MEET", LOCAL, servers[0].port)
    for client in clients:
        eventually(lambda client=client: _is_whole(client, size), 20)
        client.close()
    return servers


def _is_whole(client: redis.Redis, size: int) -> bool:
    info = client.execute_command("CLUSTER", "INFO")
    text = (
        info if isinstance(info, dict) else dict(line.split(":") for line in info.decode().split("\r\n") if ":" in line)
    )
    return text["cluster_state"] == "ok" and int(text["cluster_size"]) == size


BACK_WITHIN_S = 5.0
COMPLAINTS = ("broker.unavailable", "settle.retried")


def message(workflow, message_id):
    return json.dumps({"id": message_id, "workflow": workflow, "reply_to": "results"})


def complaints(worker):
    return [line for line in worker.log if line.get("event") in COMPLAINTS]


class Site:
    """A project, its workers, and an external client of the server."""

    def __init__(self, directory, port):
        self.project = Project(directory)
        self.client = redis.Redis(port=port)
        self.workers = []

    def worker(self, url, *options, env=None, mq=None, is_awaited=True, **section):
        """A worker that notices trouble soon; it has said `worker.ready` unless not awaited."""
        section = {"url": url, "block": "200ms", "socket_timeout": "500ms", "connect_timeout": "500ms", **section}
        config = self.project.configure(
            f"worker-{len(self.workers)}",
            {"type": "redis", "redis": section, "concurrency": 2, "dead_letter": {"queue": "dead"}, **(mq or {})},
        )
        command = awf_command("worker", "--queue", "work", "--log-format", "json", *options)
        environment = self.project.environment(config, env)
        self.workers.append(LoggedProcess(command, directory=self.project.directory, env=environment))
        if is_awaited:
            self.workers[-1].await_line("worker.ready")
        return self.workers[-1]

    def push(self, workflow, *ids):
        self.client.lpush("work", *[message(workflow, each) for each in ids])

    def begin(self, workflow="kit-slow", message_id="m"):
        """Push a message, and return when its run has begun."""
        self.push(workflow, message_id)
        eventually(lambda: self.project.runs(workflow), what="the run began")

    def results(self, count=1, within_s=10.0, client=None):
        """The message ids of all results, once there are `count`."""
        client = client or self.client
        eventually(lambda: client.llen("results") >= count, within_s, what=f"{count} results")
        return sorted(json.loads(body)["message_id"] for body in client.lrange("results", 0, -1))

    def assert_settled(self, *, client=None):
        """Nothing is left in any key but results, and what the queues are for."""
        eventually(lambda: self.keys(client) == [b"results"], what="the queue's keys are gone")

    def keys(self, client=None):
        """All keys that hold messages, or anything about them."""
        return [key for key in (client or self.client).keys() if not key.endswith(b":role")]  # noqa: SIM118

    def close(self):
        for worker in self.workers:
            worker.kill()
        self.client.close()

    def assert_back_soon(self, worker, *, count, client=None):
        """The server is there again: a new message is answered within five seconds; `count` results in all, each once.
        While the server was away, the worker logged at most one complaint a second.
        """
        client = client or self.client
        back_at = time.monotonic()
        client.lpush("work", message("kit-done", "after"))
        found = self.results(count, within_s=BACK_WITHIN_S, client=client)
        assert time.monotonic() - back_at < BACK_WITHIN_S
        assert "after" in found
        assert len(set(found)) == count
        at = sorted(datetime.fromisoformat(line["timestamp"]).timestamp() for line in complaints(worker))
        assert all(later - earlier > 0.95 for earlier, later in pairwise(at)), worker.tail()
