"""A private Redis from the system's `redis-server` (or `valkey-server`). Used through `brokers.py` and directly.

Speaks just enough of the protocol to know that the server is up; needs no client library.
"""

from __future__ import annotations

import shutil
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import quote

from awf_core.testing.server_process import LOCAL, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from awf_core.testing.certificates import TlsFiles

PROGRAMS = ("redis-server", "valkey-server")
PROBE_S = 1.0


def redis_program() -> str | None:
    """The installed server program, None without one."""
    return next((path for path in map(shutil.which, PROGRAMS) if path), None)


class PrivateRedis(ServerProcess):
    """A Redis of one's own on a free local port.

    password     of the default user, None = none is asked for
    tls          serve TLS only (`url` is `rediss://`), with these files
    append_only  keep every write over a kill (fsync always), which is what durability tests need
    extra        more command line options, e.g. `("--maxmemory", "2mb")`
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        password: str | None = None,
        tls: TlsFiles | None = None,
        append_only: bool = True,
        extra: Sequence[str] = (),
    ) -> None:
        super().__init__(directory, port=port)
        self.password = password
        self.tls = tls
        self._append_only = append_only
        self._extra = tuple(extra)

    @property
    def url(self) -> str:
        """`redis://` or, with TLS, `rediss://`; the password is in it."""
        account = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"{'rediss' if self.tls else 'redis'}://{account}{LOCAL}:{self.port}/0"

    def command(self) -> Sequence[str]:
        """The server with everything it writes in its own directory."""
        program = redis_program()
        if program is None:
            raise FileNotFoundError(f"none of {', '.join(PROGRAMS)} is installed")
        options = ["--bind", LOCAL, "--dir", str(self.directory), "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "always"] if self._append_only else ["--appendonly", "no"]
        if self.password:
            options += ["--requirepass", self.password]
        return (program, *options, *self._ports(), *self._extra)

    def is_answering(self) -> bool:
        """Whether PING is answered with PONG; no while it loads its data."""
        with self._connected() as connection:
            if self.password:
                connection.sendall(_command("AUTH", self.password))
                connection.recv(4096)
            connection.sendall(_command("PING"))
            return connection.recv(4096).startswith(b"+PONG")

    def _ports(self) -> list[str]:
        if self.tls is None:
            return ["--port", str(self.port)]
        files = ["--tls-cert-file", str(self.tls.certificate), "--tls-key-file", str(self.tls.key)]
        authority = ["--tls-ca-cert-file", str(self.tls.authority), "--tls-auth-clients", "optional"]
        return ["--port", "0", "--tls-port", str(self.port), *files, *authority]

    def _connected(self) -> socket.socket:
        plain = socket.create_connection((LOCAL, self.port), timeout=PROBE_S)
        if self.tls is None:
            return plain
        context = ssl.create_default_context(cafile=str(self.tls.authority))
        return context.wrap_socket(plain, server_hostname=LOCAL)


def _command(*words: str) -> bytes:
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
