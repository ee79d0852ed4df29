"""Settings of the RabbitMQ backend (`mq.rabbitmq:`), and the connection parameters they make. The core fills them from
file, flags and environment.

Connects to nothing. Reads certificates at every connect, so that a renewed one is used.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

import pika
from pydantic import BaseModel, ConfigDict, Field, model_validator

from awf_core.errors import BrokerMisconfigured, redact_url
from awf_core.units import DurationS

DELAYS_S = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0, 10800.0, 21600.0, 43200.0, 86400.0)
"""A delay is rounded up to one of these. Each has a queue of its own, declared when it is first needed."""
DEFAULT_ACCOUNT = "guest"
# Longer than one retransmission of the operating system, and short enough for a person who waits.
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
ALLOWED_URL = (
    "a URL such as amqp://user:password@host:5672/vhost, amqps://host (TLS), or several hosts with commas between "
    "them; a `/` in a virtual host's name is written %2F"
)
_DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}

Node = tuple[str, int]
"""Host and port."""


class RabbitMqSettings(BaseModel):
    """What `mq.rabbitmq` takes; the README of this package describes each key. None = no such setting."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    url: str = Field(default="amqp://guest:guest@localhost:5672/", min_length=1, repr=False)
    queue: str = Field(default="awf-workflows", min_length=1)
    username: str | None = Field(default=None, min_length=1)
    password: str | None = Field(default=None, min_length=1, repr=False)
    queue_type: Literal["quorum", "classic"] = "quorum"
    existing_queues: Literal["accept", "compare"] = "accept"
    delivery_limit: int = Field(default=1000, ge=20, le=1_000_000)
    delays_s: tuple[Annotated[DurationS, Field(ge=0.1, le=864_000)], ...] = Field(
        default=DELAYS_S, alias="delays", min_length=1, max_length=50
    )
    heartbeat_s: DurationS = Field(default=30.0, alias="heartbeat", ge=1, le=600)
    consumer_timeout_s: DurationS = Field(default=86_400.0, alias="consumer_timeout", ge=5, le=2_000_000)
    ack: Literal["on_settle", "on_accept"] = "on_settle"
    journal: str = Field(default="rabbitmq-journal", min_length=1)
    connect_timeout_s: DurationS = Field(default=5.0, alias="connect_timeout", ge=0.1, le=120)
    publish_timeout_s: DurationS = Field(default=15.0, alias="publish_timeout", ge=0.5, le=600)
    max_body_bytes: int = Field(default=16 * 1024 * 1024, ge=1024, le=512 * 1024 * 1024)
    connection_name: str | None = Field(default=None, min_length=1, max_length=200)
    private_replies: Literal["auto", "queue", "direct"] = "auto"
    tls_ca_file: str | None = Field(default=None, min_length=1)
    tls_cert_file: str | None = Field(default=None, min_length=1)
    tls_key_file: str | None = Field(default=None, min_length=1)
    tls_check_hostname: bool = True

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        address = parse_url(self.url)
        if any((self.tls_ca_file, self.tls_cert_file, self.tls_key_file)) and not address.tls:
            raise ValueError("tls_… files are given, and the url has no TLS: write amqps://")
        if self.tls_key_file is not None and self.tls_cert_file is None:
            raise ValueError("tls_key_file needs tls_cert_file beside it")
        if list(self.delays_s) != sorted(set(self.delays_s)):
            raise ValueError("delays have to grow from one to the next")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A URL's parts, the hosts in the order to try them. `shown` is safe to print."""

    shown: str
    nodes: tuple[Node, ...]
    vhost: str = "/"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The broker to connect to. Relative file names in the settings start at `directory`."""

    settings: RabbitMqSettings
    address: Address
    worker: str
    directory: str

    @property
    def where(self) -> str:
        """The address without account, safe to print."""
        return self.address.shown

    def parameters(self, node: Node, purpose: str) -> Any:
        """How to connect to `node` for `purpose` (consuming, publishing). Raises BrokerMisconfigured for bad files."""
        settings, (host, port) = self.settings, node
        name = settings.connection_name or self.worker
        return pika.ConnectionParameters(
            host=host,
            port=port,
            virtual_host=self.address.vhost,
            credentials=self._credentials(),
            heartbeat=max(1, round(settings.heartbeat_s)),
            # `publishing.py` watches this: a blocked connection is alive, and the broker will accept what it has sent.
            blocked_connection_timeout=None,
            socket_timeout=settings.connect_timeout_s,
            stack_timeout=settings.connect_timeout_s,
            connection_attempts=1,
            client_properties={"connection_name": f"{name} {purpose}", "product": "awf-mq-rabbitmq"},
            tcp_options=KEEPALIVE,
            ssl_options=self._tls(node) if self.address.tls else None,
        )

    def path(self, file: str) -> Path:
        """A file named in the settings."""
        return Path(self.directory) / Path(file).expanduser()

    def _credentials(self) -> Any:
        settings, address = self.settings, self.address
        username = settings.username or address.username or DEFAULT_ACCOUNT
        password = settings.password or address.password
        return pika.PlainCredentials(username, password if password is not None else DEFAULT_ACCOUNT)

    def _tls(self, node: Node) -> Any:
        settings = self.settings
        files = (settings.tls_ca_file, settings.tls_cert_file, settings.tls_key_file)
        authorities, certificate, key = (None if file is None else str(self.path(file)) for file in files)
        try:
            context = ssl.create_default_context(cafile=authorities)
            context.check_hostname = settings.tls_check_hostname
            if certificate is not None:
                context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise BrokerMisconfigured(
                f"{_node_text(node)}: can't use the TLS files {', '.join(f for f in files if f)}: {error}",
                hint="check mq.rabbitmq.tls_ca_file, tls_cert_file and tls_key_file: PEM files this user may read",
            ) from error
        return pika.SSLOptions(context, server_hostname=node[0])


def parse_url(url: str) -> Address:
    """The parts of `url`. Raises ValueError naming it (password removed) and what is allowed."""
    try:
        return _parsed(url)
    except ValueError as error:
        raise ValueError(f"{redact_url(url)!r}: {error}; use {ALLOWED_URL}") from None


def _parsed(url: str) -> Address:
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("no such kind of address")
    if parts.query or parts.fragment:
        # The client library takes any of its options here, certificate checks off included.
        raise ValueError("options are not taken in the URL; they are settings of mq.rabbitmq")
    account, _, hosts = parts.netloc.rpartition("@")
    username, _, password = account.partition(":")
    nodes = tuple(_node(part, _DEFAULT_PORTS[parts.scheme]) for part in hosts.split(","))
    path = parts.path.removeprefix("/")
    if "/" in path:
        raise ValueError(f"{path!r} is no virtual host")
    vhost = unquote(path) or "/"
    shown_vhost = path if vhost != "/" else ""
    return Address(
        shown=f"{parts.scheme}://{','.join(map(_node_text, nodes))}/{shown_vhost}",
        nodes=nodes,
        vhost=vhost,
        username=unquote(username) or None,
        password=unquote(password) or None,
        tls=parts.scheme == "amqps",
    )


def _node(text: str, default_port: int) -> Node:
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif ":" in text:
        host, _, port = text.rpartition(":")
    if not host or (port and not (port.isdecimal() and 0 < int(port) < 65536)):
        raise ValueError(f"{redact_url(text)!r} is no host:port")
    return host, int(port) if port else default_port


def _node_text(node: Node) -> str:
    """`host:port`."""
    host, port = node
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
