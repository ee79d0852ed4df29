"""Fixtures and options of the conformance kit, and where a broker for tests comes from.

Opt in with `pytest_plugins = ["awf_core.testing.pytest_plugin"]` in the top conftest.py, before any import of
`awf_core.testing.conformance`, so that failed asserts show their values. It is no entry point of pytest.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import subprocess
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from awf_core.testing.brokers import (
    PrivateMoto,
    PrivateRabbitMq,
    PrivateRedis,
    moto_program,
    rabbitmq_script,
    redis_program,
)

pytest.register_assert_rewrite("awf_core.testing.conformance", "awf_core.testing.actions", "awf_core.testing.kit")

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from contextlib import AbstractContextManager

    from awf_core.testing.kit import Kit
    from awf_core.testing.proxy import Proxy
    from awf_core.testing.server_process import ServerProcess
    from awf_core.testing.target import BrokerControl, MqTarget

# Read before a fixture of the tests cleans the environment.
ENVIRONMENT = dict(os.environ)
RESTART_S = 120.0
RESPONSIVE_S = 60.0
CASE_LIMIT_S = 180.0
UNUSABLE = 2
DOCKER_S = 10.0

SourceName = Literal["url", "process", "docker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of broker. `variable` may hold its URL; `service` and `port` are its entry in the compose file."""

    name: str
    variable: str
    program: Callable[[], str | None]
    make: Callable[[Path], ServerProcess]
    service: str
    port: int
    url_of: Callable[[str, int], str]
    install: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """A broker to test against. `control` restarts it; None where the tests may not restart it."""

    kind: str
    source: SourceName
    url: str
    control: ServerProcess | None = None


KINDS: Mapping[str, Kind] = {
    "redis": Kind(
        name="redis",
        variable="AWF_TEST_REDIS_URL",
        program=redis_program,
        make=PrivateRedis,
        service="redis",
        port=6379,
        url_of=lambda host, port: f"redis://{host}:{port}/0",
        install="install redis-server (or valkey-server)",
    ),
    "rabbitmq": Kind(
        name="rabbitmq",
        variable="AWF_TEST_RABBITMQ_URL",
        program=rabbitmq_script,
        make=PrivateRabbitMq,
        service="rabbitmq",
        port=5672,
        url_of=lambda host, port: f"amqp://guest:guest@{host}:{port}/%2F",
        install="install rabbitmq-server",
    ),
    "sqs": Kind(
        name="sqs",
        variable="AWF_TEST_SQS_URL",
        program=moto_program,
        make=PrivateMoto,
        service="sqs",
        port=5000,
        url_of=lambda host, port: f"http://{host}:{port}",
        install="pip install 'moto[server]'",
    ),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the kit; all begin with `--awf-`."""
    group = parser.getgroup("awf", "AWF conformance kit")
    group.addoption("--awf-scale", type=float, default=1.0, help="Multiply how much the heavier cases do.")
    group.addoption("--awf-source", choices=["url", "process", "docker"], help="Take brokers only from there.")
    group.addoption("--awf-type", default=None, help="The `mq.type` under test, where no fixture names it.")
    group.addoption("--awf-url", default=None, help="Its `url` setting.")
    group.addoption("--awf-set", action="append", default=[], metavar="KEY=VALUE", help="Another setting; repeatable.")
    group.addoption("--awf-lease", type=float, default=1.0, help="A lease that may run out, in seconds.")
    group.addoption("--awf-restart-cmd", default=None, help="A command that restarts the broker and waits for it.")
    group.addoption("--awf-case-limit", type=float, default=CASE_LIMIT_S, help="Seconds that a case may take.")
    group.addoption("--awf-certificate", default=None, metavar="DIR", help="Write the certificate there.")


def pytest_configure(config: pytest.Config) -> None:
    """Record the results where `--awf-certificate` is given."""
    directory = config.getoption("awf_certificate", None)
    if directory:
        from awf_core.testing.certificate import Recorder

        config.pluginmanager.register(Recorder(directory), "awf-certificate")


def pytest_runtestloop(session: pytest.Session) -> None:
    """Connect once to the backend that the options name: a broken one is one error, not one for each case."""
    if session.config.getoption("awf_type", None) is None or session.config.option.collectonly:
        return
    from awf_core.errors import AwfError
    from awf_core.testing.kit import Kit

    with tempfile.TemporaryDirectory(prefix="awf-kit-") as directory:
        try:
            with Kit(_target_of(session.config), Path(directory)) as kit:
                kit.mq()
        except AwfError as error:
            hint = f"\n{error.hint}" if error.hint else ""
            pytest.exit(f"can't use this backend: {error}{hint}", returncode=UNUSABLE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Limit the time of a case."""
    with _limited(item, ""):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Limit the time of what closes a case's connections."""
    with _limited(item, " (closing its connections)"):
        return (yield)


def _limited(item: pytest.Item, where: str) -> AbstractContextManager[None]:
    from awf_core.testing.needs import case_of
    from awf_core.testing.time_limit import time_limit

    case = case_of(getattr(item, "function", None))
    if case is None:
        return nullcontext()
    limit_s = float(item.config.getoption("awf_case_limit", CASE_LIMIT_S))
    return time_limit(limit_s, f"case {case.id}, {case.test}{where}")


@pytest.fixture
def mq_target(request: pytest.FixtureRequest) -> MqTarget:
    """The backend under test, from the options. A fixture of this name in your tests replaces it."""
    if request.config.getoption("awf_type", None) is None:
        pytest.fail("no backend to test: define a fixture `mq_target`, or give --awf-type", pytrace=False)
    return _target_of(request.config)


def _target_of(config: pytest.Config) -> MqTarget:
    from awf_core.testing.target import MqTarget

    option = config.getoption
    settings: dict[str, object] = dict(item.partition("=")[::2] for item in option("awf_set"))
    if option("awf_url"):
        settings["url"] = option("awf_url")
    return MqTarget(
        type=option("awf_type"),
        settings=settings,
        short_lease_s=option("awf_lease"),
        control=_command_control(option("awf_restart_cmd")),
    )


@pytest.fixture
def kit(request: pytest.FixtureRequest, mq_target: MqTarget, tmp_path: Path) -> Iterator[Kit]:
    """The kit for one case. Skips the case, with the reason, where the backend lacks what the case needs."""
    from awf_core.testing.kit import Kit
    from awf_core.testing.needs import case_of, missing

    scale = float(request.config.getoption("awf_scale", 1.0))
    with Kit(mq_target, tmp_path / "project", scale=scale) as made:
        case = case_of(request.function)
        recorder: Any = request.config.pluginmanager.get_plugin("awf-certificate")
        if recorder is not None:
            recorder.describe(made)
        if case is not None:
            request.node.user_properties.append(("awf_case", case.id))
            reason = missing(case.needs, made)
            if reason is not None:
                pytest.skip(reason)
        yield made


@pytest.fixture
def namespace() -> str:
    """A new prefix for names in a shared broker."""
    return f"awf-test-{secrets.token_hex(4)}"


@pytest.fixture
def fault_proxy() -> Iterator[Callable[[str, int], Proxy]]:
    """Make fault proxies before `(host, port)`; all are closed at the end."""
    from awf_core.testing.proxy import Proxy

    made: list[Proxy] = []

    def make(host: str, port: int) -> Proxy:
        made.append(Proxy(host, port))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


@pytest.fixture(scope="session")
def redis_broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Redis for the whole session. Tests share it: use unique names."""
    yield from _broker("redis", request, tmp_path_factory)


@pytest.fixture(scope="session")
def rabbitmq_broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A RabbitMQ for the whole session. Tests share it: use unique names."""
    yield from _broker("rabbitmq", request, tmp_path_factory)


@pytest.fixture(scope="session")
def sqs_broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """An SQS endpoint for the whole session. Tests share it: use unique names."""
    yield from _broker("sqs", request, tmp_path_factory)


def _broker(name: str, request: pytest.FixtureRequest, directories: pytest.TempPathFactory) -> Iterator[Broker]:
    kind = KINDS[name]
    source = find_source(kind, ENVIRONMENT, wanted=request.config.getoption("awf_source", None))
    if source == "url":
        yield Broker(kind=name, source=source, url=ENVIRONMENT[kind.variable])
    elif source == "process":
        with kind.make(directories.mktemp(name)) as server:
            yield Broker(kind=name, source=source, url=server.url, control=server)
    elif source == "docker":
        # These fixtures are pytest-docker's. Its fixture `docker_compose_file` names the compose file.
        services: Any = request.getfixturevalue("docker_services")
        host = request.getfixturevalue("docker_ip")
        port = services.port_for(kind.service, kind.port)
        services.wait_until_responsive(timeout=RESPONSIVE_S, pause=0.1, check=lambda: _answers(host, port))
        yield Broker(kind=name, source=source, url=kind.url_of(host, port))
    else:
        broker_missing(f"no {name} to test against: set {kind.variable}, {kind.install}, or run docker")


def find_source(kind: Kind, env: Mapping[str, str], *, wanted: str | None = None) -> SourceName | None:
    """The first source that is available, or `wanted` where that is available; None = no source."""
    sources: dict[SourceName, Callable[[], bool]] = {
        "url": lambda: bool(env.get(kind.variable)),
        "process": lambda: kind.program() is not None,
        "docker": has_docker,
    }
    return next((name for name, is_there in sources.items() if wanted in (None, name) and is_there()), None)


def has_docker() -> bool:
    """Whether docker's daemon answers."""
    program = shutil.which("docker")
    if program is None:
        return False
    try:
        done = subprocess.run((program, "info"), capture_output=True, timeout=DOCKER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def broker_missing(text: str) -> None:
    """Skip on a developer's machine, fail in CI."""
    if ENVIRONMENT.get("CI"):
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


def _answers(host: str, port: int) -> bool:
    import socket

    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def _command_control(command: str | None) -> BrokerControl | None:
    if command is None:
        return None
    words = shlex.split(command)

    class Control:
        def restart(self) -> None:
            subprocess.run(words, check=True, timeout=RESTART_S, capture_output=True)

    return Control()
