"""Where the broker is: URLs taken apart. Pure; called by `settings.py` to check them and by `parameters.py` to connect.

A text made here for a log or an error never holds a password.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from awf_core.errors import redact_url

AMQP_PORT = 5672
AMQPS_PORT = 5671
ALLOWED = (
    "a URL such as amqp://user:password@host:5672/vhost, amqps://host (TLS), or several hosts with commas between "
    "them; a `/` in a virtual host's name is written %2F"
)
_SCHEMES = {"amqp": AMQP_PORT, "amqps": AMQPS_PORT}

Node = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A URL's parts. `shown` is safe to print; without a path, or with an empty one, the virtual host is `/`."""

    shown: str
    nodes: tuple[Node, ...]
    vhost: str = "/"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False


def parse_url(url: str) -> Address:
    """The parts of `url`. Raises ValueError naming it (password removed) and what is allowed."""
    try:
        return _parsed(url)
    except ValueError as error:
        raise ValueError(f"{redact_url(url)!r}: {error}; use {ALLOWED}") from None


def node_text(node: Node) -> str:
    """`host:port`."""
    host, port = node
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _parsed(url: str) -> Address:
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise ValueError("no such kind of address")
    if parts.query or parts.fragment:
        # The client library takes any of its options here, certificate checks off included.
        raise ValueError("options are not taken in the URL; they are settings of mq.rabbitmq")
    account, _, hosts = parts.netloc.rpartition("@")
    username, _, password = account.partition(":")
    nodes = tuple(_node(part, _SCHEMES[parts.scheme]) for part in hosts.split(","))
    path = parts.path.removeprefix("/")
    if "/" in path:
        raise ValueError(f"{path!r} is no virtual host")
    vhost = unquote(path) or "/"
    shown_vhost = path if vhost != "/" else ""
    return Address(
        shown=f"{parts.scheme}://{','.join(map(node_text, nodes))}/{shown_vhost}",
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
