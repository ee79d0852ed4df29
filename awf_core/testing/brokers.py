"""Where a broker for tests comes from: the first of URL in the environment, private process, docker.

Called by the fixtures of `pytest_plugin.py`; usable without pytest. A URL that was given is used as it is: nothing is
ever flushed or restarted there, only names of one's own are used.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from awf_core.testing.certificates import TlsFiles, make_certificates
from awf_core.testing.moto_server import PrivateMoto, moto_program
from awf_core.testing.rabbitmq_server import PrivateRabbitMq, rabbitmq_script
from awf_core.testing.redis_server import PrivateRedis, redis_program
from awf_core.testing.server_process import ServerFailed, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = [
    "KINDS",
    "Broker",
    "Kind",
    "PrivateMoto",
    "PrivateRabbitMq",
    "PrivateRedis",
    "ServerFailed",
    "ServerProcess",
    "TlsFiles",
    "find_source",
    "has_docker",
    "make_certificates",
]

DOCKER_S = 10.0

SourceName = Literal["url", "process", "docker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of broker: `variable` may hold a URL; `service` and `port` are its entry in the compose file."""

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
    """A broker to test against. `control` restarts it, None where it isn't ours to restart."""

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


def find_source(kind: Kind, env: Mapping[str, str], *, wanted: str | None = None) -> SourceName | None:
    """The first source that is there, or `wanted` where that one is; None = nowhere."""
    sources: dict[SourceName, Callable[[], bool]] = {
        "url": lambda: bool(env.get(kind.variable)),
        "process": lambda: kind.program() is not None,
        "docker": has_docker,
    }
    return next((name for name, is_there in sources.items() if wanted in (None, name) and is_there()), None)


def has_docker() -> bool:
    """Whether docker's daemon answers; its program alone proves nothing."""
    program = shutil.which("docker")
    if program is None:
        return False
    try:
        done = subprocess.run((program, "info"), capture_output=True, timeout=DOCKER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
