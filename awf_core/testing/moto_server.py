"""A private SQS: moto's server (`pip install 'moto[server]'`) as a process of our own. Used through `brokers.py`.

Keeps its queues in memory only: a kill loses them, so it tests reconnecting, not durability.
"""

from __future__ import annotations

import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from awf_core.testing.server_process import LOCAL, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "moto_server"
PROBE_S = 5.0


def moto_program() -> str | None:
    """The installed program: the one beside this Python first; None without one."""
    beside = Path(sys.executable).parent / PROGRAM
    return str(beside) if beside.is_file() else shutil.which(PROGRAM)


class PrivateMoto(ServerProcess):
    """An SQS endpoint on a free local port; any credentials, region us-east-1."""

    start_s: ClassVar[float] = 30.0

    @property
    def url(self) -> str:
        """The endpoint: `http://127.0.0.1:PORT`."""
        return f"http://{LOCAL}:{self.port}"

    def command(self) -> Sequence[str]:
        """The server, on the loopback interface only."""
        program = moto_program()
        if program is None:
            raise FileNotFoundError("moto_server is not installed: pip install 'moto[server]'")
        return (program, "-H", LOCAL, "-p", str(self.port))

    def is_answering(self) -> bool:
        """Whether it answers a request with an HTTP status line."""
        with socket.create_connection((LOCAL, self.port), timeout=PROBE_S) as connection:
            connection.sendall(b"GET /moto-api/ HTTP/1.0\r\n\r\n")
            return connection.recv(5) == b"HTTP/"
