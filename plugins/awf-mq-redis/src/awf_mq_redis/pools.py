"""Pools of connections to one server, or to the current master. Called by `connection.py`.

Turns off what redis-py does by default and is wrong for a queue: it repeats commands whose answer was lost, repeats
refused logins, and ends reads before a blocking command returns.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from awf_core.errors import BrokerMisconfigured
from awf_mq_redis.address import SENTINEL_PORT, Address, Node, node_text, parse_nodes, parse_url

if TYPE_CHECKING:
    from awf_mq_redis.settings import RedisSettings

BLOCK_MARGIN_S = 2.0
"""How long after a blocking command's own end its answer may take. Then the connection counts as broken."""

# CLIENT SETINFO would be one more right to grant; the option that turns it off has changed its name.
_NO_LIBRARY_NAME: dict[str, None] = (
    {"driver_info": None}
    if "driver_info" in inspect.signature(AbstractConnection).parameters
    else {"lib_name": None, "lib_version": None}
)
_NOT_IN_A_NAME = re.compile(r"[^!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to connect and how. `options` are redis-py's, without addresses and timeouts; never printed."""

    address: Address
    shown: str
    options: dict[str, Any] = field(repr=False)
    sentinels: tuple[Node, ...] = ()
    service: str | None = None
    sentinel_options: dict[str, Any] = field(default_factory=dict, repr=False)
    connect_timeout_s: float
    socket_timeout_s: float
    block_timeout_s: float
    max_connections: int


def target_of(settings: RedisSettings, *, worker: str, directory: str) -> Target:
    """The connection part of the settings; relative file names start at `directory`. No I/O."""
    address = parse_url(settings.url)
    sentinels, service = _sentinels(settings, address)
    tls = _tls_options(settings, directory) if address.tls else {}
    options = {
        **tls,
        "username": settings.username or address.username,
        "password": settings.password or address.password,
        "db": address.db,
        "client_name": f"awf:{_NOT_IN_A_NAME.sub('-', worker)}"[:100],
    }
    own = settings.sentinel
    login = {"username": own.username, "password": own.password} if own is not None else {}
    return Target(
        address=address,
        shown=address.shown if own is None else _shown(sentinels, service, address.db),
        options=_common(options),
        sentinels=sentinels,
        service=service,
        sentinel_options=_common({**tls, **login}),
        connect_timeout_s=settings.connect_timeout_s,
        socket_timeout_s=settings.socket_timeout_s,
        block_timeout_s=settings.block_s + min(settings.socket_timeout_s, BLOCK_MARGIN_S),
        max_connections=settings.max_connections,
    )


def make_pool(target: Target, *, read_timeout_s: float, node: Node | None = None) -> ConnectionPool:
    """A pool for `node`, the URL's own where None; it connects at the first use, on both sides of a fork."""
    options = {
        **target.options,
        "max_connections": target.max_connections,
        "socket_timeout": read_timeout_s,
        "socket_connect_timeout": target.connect_timeout_s,
    }
    if target.service is not None:
        return SentinelConnectionPool(  # type: ignore[no-untyped-call]
            target.service, _sentinel_client(target), ssl=target.address.tls, **options
        )
    if target.address.path is not None:
        return ConnectionPool(connection_class=UnixDomainSocketConnection, path=target.address.path, **options)
    host, port = node or target.address.nodes[0]
    kind = SSLConnection if target.address.tls else Connection
    return ConnectionPool(connection_class=kind, host=host, port=port, **options)


def refuse_missing_files(target: Target) -> None:
    """Raise BrokerMisconfigured for a certificate file that can't be read."""
    for setting, option in (("ca", "ssl_ca_certs"), ("cert", "ssl_certfile"), ("key", "ssl_keyfile")):
        name = target.options.get(option)
        if name is None:
            continue
        try:
            Path(name).read_bytes()
        except OSError as error:
            raise BrokerMisconfigured(
                f"{target.shown}: mq.redis.tls_{setting}_file {name}: {error.strerror}",
                hint="name a PEM file this user may read; relative names start at the configuration's directory",
            ) from error


def _common(options: dict[str, Any]) -> dict[str, Any]:
    """`options` with those of every connection."""
    return {
        **{name: value for name, value in options.items() if value is not None},
        # A repeated LPUSH publishes a message twice. A repeated refused login may lock the account.
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "decode_responses": False,
        "protocol": 2,
        **_NO_LIBRARY_NAME,
    }


def _sentinels(settings: RedisSettings, address: Address) -> tuple[tuple[Node, ...], str | None]:
    if settings.sentinel is not None:
        return parse_nodes(",".join(settings.sentinel.nodes), SENTINEL_PORT), settings.sentinel.service
    return (address.nodes, address.service) if address.service is not None else ((), None)


def _shown(sentinels: tuple[Node, ...], service: str | None, db: int) -> str:
    return f"redis+sentinel://{','.join(map(node_text, sentinels))}/{service}/{db}"


def _tls_options(settings: RedisSettings, directory: str) -> dict[str, Any]:
    def located(name: str | None) -> str | None:
        return None if name is None else str(Path(directory) / Path(name).expanduser())

    return {
        "ssl_ca_certs": located(settings.tls_ca_file),
        "ssl_certfile": located(settings.tls_cert_file),
        "ssl_keyfile": located(settings.tls_key_file),
        "ssl_check_hostname": settings.tls_check_hostname,
    }


def _sentinel_client(target: Target) -> Sentinel:
    options = {
        **target.sentinel_options,
        "socket_timeout": min(target.socket_timeout_s, 2.0),
        "socket_connect_timeout": min(target.connect_timeout_s, 2.0),
        "ssl": target.address.tls,
    }
    return Sentinel(target.sentinels, sentinel_kwargs=options)  # type: ignore[no-untyped-call]
