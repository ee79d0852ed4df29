"""URLs of servers, parsed. Pure; called by `settings.py` to check them and by `pools.py` to connect.

No text made here for a log or an error holds a password.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from awf_core.errors import redact_url

REDIS_PORT = 6379
SENTINEL_PORT = 26379
ALLOWED = (
    "a URL such as redis://host:6379/0, rediss://user:password@host:6380/0 (TLS), unix:///run/redis.sock or "
    "redis+sentinel://host1:26379,host2:26379/mymaster/0"
)
_SCHEMES = {"redis": False, "rediss": True, "unix": False, "redis+sentinel": False, "rediss+sentinel": True}

Node = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A URL's parts. `service` is set for sentinels, `path` for a unix socket; `shown` is safe to print."""

    shown: str
    nodes: tuple[Node, ...] = ()
    path: str | None = None
    service: str | None = None
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False


def parse_url(url: str) -> Address:
    """The parts of `url`. Raises ValueError naming it (password removed) and what is allowed."""
    try:
        return _parsed(url)
    except ValueError as error:
        raise ValueError(f"{redact_url(url)!r}: {error}; use {ALLOWED}") from None


def parse_nodes(text: str, default_port: int) -> tuple[Node, ...]:
    """The nodes of `host:port,host:port`; IPv6 hosts are in brackets. Raises ValueError."""
    return tuple(_node(part, default_port) for part in text.split(","))


def node_text(node: Node) -> str:
    """`host:port`."""
    host, port = node
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _parsed(url: str) -> Address:
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise ValueError("unknown scheme")
    tls = _SCHEMES[parts.scheme]
    account, _, hosts = parts.netloc.rpartition("@")
    username, password = _account(account)
    db = _query_db(parts.query)
    if parts.scheme == "unix":
        if not parts.path or hosts:
            raise ValueError("a unix socket is an absolute path after three slashes")
        path = unquote(parts.path)
        return Address(shown=f"unix://{path}", path=path, db=db or 0, username=username, password=password)
    is_sentinel = parts.scheme.endswith("+sentinel")
    nodes = parse_nodes(hosts, SENTINEL_PORT if is_sentinel else REDIS_PORT)
    names = [unquote(name) for name in parts.path.split("/") if name]
    service = _service(names) if is_sentinel else None
    number = _path_db(names)
    shown_path = "/".join(filter(None, (service, str(db if db is not None else number))))
    return Address(
        shown=f"{parts.scheme}://{','.join(map(node_text, nodes))}/{shown_path}",
        nodes=nodes,
        service=service,
        db=db if db is not None else number,
        username=username,
        password=password,
        tls=tls,
    )


def _account(text: str) -> tuple[str | None, str | None]:
    username, separator, password = text.partition(":")
    return unquote(username) or None, (unquote(password) or None) if separator else None


def _service(names: list[str]) -> str:
    if not names:
        raise ValueError("the master's name is missing after the hosts")
    return names.pop(0)


def _path_db(names: list[str]) -> int:
    if not names:
        return 0
    if len(names) > 1 or not names[0].isdecimal():
        raise ValueError(f"{'/'.join(names)!r} is not the number of a database")
    return int(names[0])


def _query_db(query: str) -> int | None:
    number = None
    for name, value in parse_qsl(query, keep_blank_values=True):
        # redis-py would accept any of its options here, passwords and disabled certificate checks included.
        if name != "db" or not value.isdecimal():
            raise ValueError(f"option {name!r} is not allowed in the URL, only db; the rest are settings of mq.redis")
        number = int(value)
    return number


def _node(text: str, default_port: int) -> Node:
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif ":" in text:
        host, _, port = text.rpartition(":")
    if not host or (port and not (port.isdecimal() and 0 < int(port) < 65536)):
        raise ValueError(f"{redact_url(text)!r} is not a host:port")
    return host, int(port) if port else default_port
