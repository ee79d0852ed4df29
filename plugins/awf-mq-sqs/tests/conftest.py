"""Shared by the tests: one private server a session, backends on it, and an external client."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from awf_mq_sqs.backend import Backend
from awf_mq_sqs.settings import SqsSettings

from awf_core.clock import SystemClock
from awf_core.contract import BackendContext
from awf_core.testing.brokers import PrivateMoto, moto_program
from awf_core.testing.proxy import Proxy
from awf_core.testing.pytest_plugin import kit

__all__ = ["kit"]

MakeBackend = Callable[..., Backend]
SERVER_FIXTURES = frozenset({"server", "external", "make_backend", "mq_target"})
LOGIN = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
QUICK: dict[str, Any] = {"wait": "1s", "read_timeout": "3s", "connect_timeout": "2s"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a server there is nothing to test against: skip at home, fail in CI."""
    if moto_program() is None and not os.environ.get("CI"):
        for item in items:
            if SERVER_FIXTURES & set(getattr(item, "fixturenames", ())):
                item.add_marker(pytest.mark.skip(reason="moto_server is not installed: pip install 'moto[server]'"))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No AWF_* or AWS_* setting of the user reaches a test; credentials are made up."""
    for name in list(os.environ):
        if name.startswith(("AWF_", "XDG_", "AWS_")):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateMoto]:
    """The session's server; use names of your own in it, and don't kill it: it forgets all queues."""
    with PrivateMoto(tmp_path_factory.mktemp("moto")) as started:
        yield started


@pytest.fixture
def queue() -> str:
    """A queue name of this test's own."""
    return f"t-{secrets.token_hex(5)}"


@pytest.fixture
def proxy(server: PrivateMoto) -> Iterator[Proxy]:
    """A fault proxy before the server."""
    with Proxy("127.0.0.1", server.port) as made:
        yield made


@pytest.fixture
def make_backend(server: PrivateMoto, tmp_path: Path) -> Iterator[MakeBackend]:
    """Make (and open) a backend; all are closed at the end."""
    made: list[Backend] = []

    def make(*, is_open: bool = True, url: str | None = None, context: Any = None, **settings: Any) -> Backend:
        read = SqsSettings.model_validate({"endpoint_url": url or server.url, **QUICK, **settings})
        made.append(Backend(read, make_context(tmp_path, **(context or {}))))
        if is_open:
            made[-1].awf_mq_open()
        return made[-1]

    yield make
    for each in made:
        each.awf_mq_close()


def make_context(directory: Path, **changes: Any) -> BackendContext:
    """What the core gives a backend."""
    return BackendContext(worker="test", clock=SystemClock(), directory=str(directory), **changes)


@pytest.fixture
def external(server: PrivateMoto) -> Iterator[Any]:
    """A client that is not AWF."""
    client = boto3.session.Session().client("sqs", endpoint_url=server.url, region_name="us-east-1")
    yield client
    client.close()
