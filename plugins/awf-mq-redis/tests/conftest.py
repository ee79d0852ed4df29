"""What the tests share: a private server emptied for each test, backends on it, and a foreign client's connection."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
import redis

from awf_core.clock import SystemClock
from awf_core.contract import BackendContext, Delivery, Outgoing
from awf_core.testing.redis_server import PrivateRedis, redis_program
from awf_mq_redis.backend import Backend
from awf_mq_redis.settings import RedisSettings

if TYPE_CHECKING:
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
    """Nobody's AWF_* settings reach a test; the home directory is an empty one."""
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

    def make(url: str, *, is_open: bool = True, context: dict[str, object] | None = None, **settings: object) -> Backend:
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
def hasty(server: PrivateRedis, make_backend: MakeBackend) -> Backend:
    """A backend whose leases end in no time."""
    return make_backend(server.url, lease="200ms")


@pytest.fixture
def foreign(server: PrivateRedis) -> Iterator[redis.Redis]:
    """Somebody else's connection to the same server."""
    with redis.Redis(port=server.port) as client:
        yield client


@pytest.fixture
def take(backend: Backend) -> Callable[..., Delivery]:
    """Publish one message (unless told not to) and take it."""

    def run(queue: str = "work", *, publish: bool = True, source: Backend = backend, body: bytes = b"{}") -> Delivery:
        if publish:
            assert source.awf_mq_publish([Outgoing(queue=queue, body=body)]) == [None]
        deliveries = source.awf_mq_consume(queue, 1, 5)
        assert len(deliveries) == 1
        return deliveries[0]

    return run
