"""Shared by the tests: one private broker a session, backends on it, and the connection of an external client."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pika
import pytest
from awf_mq_rabbitmq.backend import Backend
from awf_mq_rabbitmq.settings import RabbitMqSettings
from tls_files import make_certificates

from awf_core.clock import SystemClock
from awf_core.contract import BackendContext
from awf_core.testing.brokers import PrivateRabbitMq, TlsFiles, rabbitmq_script
from awf_core.testing.proxy import Proxy
from awf_core.testing.pytest_plugin import kit
from awf_core.testing.server_process import free_port

__all__ = ["kit"]

MakeBackend = Callable[..., Backend]
Evaluate = Callable[[str], str]
BROKER_FIXTURES = frozenset({"server", "make_server", "external", "make_backend", "mq_target"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a broker there is nothing to test against: skip at home, fail in CI."""
    if rabbitmq_script() is None and not os.environ.get("CI"):
        for item in items:
            if BROKER_FIXTURES & set(getattr(item, "fixturenames", ())):
                item.add_marker(pytest.mark.skip(reason="rabbitmq-server (with epmd) is not installed"))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No AWF_* setting of the user reaches a test; the home directory is an empty one."""
    for name in list(os.environ):
        if name.startswith(("AWF_", "XDG_")):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """An authority, and a certificate that serves the broker and a client alike."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def tls_port() -> int:
    """Where the broker speaks TLS, and asks for a certificate."""
    return free_port()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, tls: TlsFiles, tls_port: int) -> Iterator[PrivateRabbitMq]:
    """The session's broker; use names of your own in it. Restarting it is allowed: tests run one after the other."""
    settings = {
        "listeners.ssl.1": f"127.0.0.1:{tls_port}",
        "ssl_options.cacertfile": str(tls.authority),
        "ssl_options.certfile": str(tls.certificate),
        "ssl_options.keyfile": str(tls.key),
        "ssl_options.verify": "verify_peer",
        "ssl_options.fail_if_no_peer_cert": "true",
    }
    with PrivateRabbitMq(tmp_path_factory.mktemp("rabbitmq"), settings=settings) as started:
        yield started


@pytest.fixture(scope="session")
def evaluate(server: PrivateRabbitMq) -> Evaluate:
    """Have the broker evaluate an Erlang expression; its value as text. A thousandth of rabbitmqctl's time."""
    erl = shutil.which("erl") or "erl"
    program = Path(erl).resolve().with_name("erl_call")

    def call(code: str) -> str:
        if not program.is_file():
            return server.control("eval", f"{code}.").strip()
        cookie = (server.directory / ".erlang.cookie").read_text()
        command = (str(program), "-n", f"awf{server.epmd_port}@localhost", "-c", cookie, "-e")
        done = subprocess.run(
            command, input=f"{code}.\n", env=dict(server.environment()), capture_output=True, text=True, timeout=30
        )
        found = re.fullmatch(r"\{ok, (.*)\}", done.stdout.strip(), re.DOTALL)
        assert found, f"{code}: {done.stdout}{done.stderr}"
        return found[1]

    return call


@pytest.fixture
def queue() -> str:
    """A queue name of this test's own."""
    return f"t-{secrets.token_hex(5)}"


@pytest.fixture
def proxy(server: PrivateRabbitMq) -> Iterator[Proxy]:
    """A fault proxy before the broker."""
    with Proxy("127.0.0.1", server.port) as made:
        yield made


@pytest.fixture
def make_backend(server: PrivateRabbitMq, tmp_path: Path) -> Iterator[MakeBackend]:
    """Make (and open) a backend; all are closed at the end."""
    made: list[Backend] = []

    def make(*, is_open: bool = True, declare: str = "auto", url: str | None = None, **settings: Any) -> Backend:
        quick = {"heartbeat": 2, "publish_timeout": "3s", "connect_timeout": "3s"}
        read = RabbitMqSettings.model_validate({**quick, **settings, "url": url or server.url})
        context = BackendContext(
            worker="test",
            clock=SystemClock(),
            directory=str(tmp_path),
            concurrency=4,
            declare=declare,
            reply_ttl_s=600.0,
        )
        made.append(Backend(read, context))
        if is_open:
            made[-1].awf_mq_open()
        return made[-1]

    yield make
    for each in made:
        each.awf_mq_close()


@pytest.fixture
def external(server: PrivateRabbitMq) -> Iterator[Any]:
    """A channel of a client that is not AWF, without publisher confirms."""
    connection = pika.BlockingConnection(pika.URLParameters(server.url))
    yield connection.channel()
    if connection.is_open:
        connection.close()
