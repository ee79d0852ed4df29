"""Settings as the client library's connection parameters, one set a host. Called when a backend is made.

Does no network I/O; certificates are read when connecting, so that renewed ones are taken up.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pika

from awf_core.errors import BrokerMisconfigured
from awf_mq_rabbitmq.address import Address, node_text, parse_url

if TYPE_CHECKING:
    from awf_mq_rabbitmq.address import Node
    from awf_mq_rabbitmq.settings import RabbitMqSettings

DEFAULT_ACCOUNT = "guest"
# Room for the probe of a whole retry of the operating system's, yet an answer while a person waits.
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The broker: where, as whom, and how patiently. `where` is safe to print."""

    settings: RabbitMqSettings
    address: Address
    worker: str
    directory: str

    @property
    def where(self) -> str:
        """The address without account."""
        return self.address.shown

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Hosts to try, in order."""
        return self.address.nodes

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
            # Ours to watch: a connection that is only blocked is alive, and what it holds will be accepted.
            blocked_connection_timeout=None,
            socket_timeout=settings.connect_timeout_s,
            stack_timeout=settings.connect_timeout_s,
            connection_attempts=1,
            client_properties={"connection_name": f"{name} {purpose}", "product": "awf-mq-rabbitmq"},
            tcp_options=KEEPALIVE,
            ssl_options=self._tls(node) if self.address.tls else None,
        )

    def _credentials(self) -> Any:
        settings, address = self.settings, self.address
        username = settings.username or address.username or DEFAULT_ACCOUNT
        password = settings.password or address.password
        return pika.PlainCredentials(username, password if password is not None else DEFAULT_ACCOUNT)

    def _tls(self, node: Node) -> Any:
        settings = self.settings
        try:
            context = ssl.create_default_context(cafile=self._path(settings.tls_ca_file))
            context.check_hostname = settings.tls_check_hostname
            if settings.tls_cert_file is not None:
                context.load_cert_chain(str(self._path(settings.tls_cert_file)), self._path(settings.tls_key_file))
        except (OSError, ssl.SSLError, ValueError) as error:
            files = (settings.tls_ca_file, settings.tls_cert_file, settings.tls_key_file)
            raise BrokerMisconfigured(
                f"{node_text(node)}: can't use the TLS files {', '.join(f for f in files if f)}: {error}",
                hint="check mq.rabbitmq.tls_ca_file, tls_cert_file and tls_key_file: PEM files this user may read",
            ) from error
        return pika.SSLOptions(context, server_hostname=node[0])

    def _path(self, file: str | None) -> str | None:
        return None if file is None else str(Path(self.directory) / Path(file).expanduser())


def target_of(settings: RabbitMqSettings, *, worker: str, directory: str) -> Target:
    """The broker that `settings` name; relative files start at `directory`."""
    return Target(settings=settings, address=parse_url(settings.url), worker=worker, directory=directory)
