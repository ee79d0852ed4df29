"""Private brokers for tests: servers of this machine on free ports. They need no client library.

Used by the broker fixtures of `pytest_plugin.py`, and directly. A server ends with the `with` block.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from awf_core.testing.eventually import eventually
from awf_core.testing.server_process import LOCAL, STOP_S, ServerFailed, ServerProcess, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

PROBE_S = 1.0
REDIS_PROGRAMS = ("redis-server", "valkey-server")
MOTO_PROGRAM = "moto_server"
MOTO_PROBE_S = 5.0
# moto takes no lock between reading a queue and marking what it delivers, so that threads that are switched in between
# deliver a message twice, as SQS would not. With a long interval they are only switched where one of them waits.
MOTO_CODE = "import sys; sys.setswitchinterval(1.0); from moto.server import main; main()"
# Debian's wrapper on the PATH switches to the service's user, who can't write here.
SCRIPT_DIRECTORIES = ("/usr/lib/rabbitmq/bin", "/usr/local/sbin", "/opt/rabbitmq/sbin", "/usr/local/opt/rabbitmq/sbin")
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME = b"\x01"
# Idle schedulers that wait busily would slow down the tests on a small machine.
SCHEDULERS = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
# Without this the size of a quorum queue is up to five seconds old, and older on a busy machine.
COUNTED_OFTEN = "-rabbit quorum_tick_interval 500"
LOCAL_ONLY = "-kernel inet_dist_use_interface {127,0,0,1}"


def redis_program() -> str | None:
    """The path of `redis-server` or `valkey-server`; None where neither is installed."""
    return next((path for path in map(shutil.which, REDIS_PROGRAMS) if path), None)


class PrivateRedis(ServerProcess):
    """A Redis on a free local port.

    password     of the default user; None = no password
    tls          serve TLS only (`url` is `rediss://`), with these files
    append_only  every write survives a kill (fsync always), for tests of durability
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
        """The server, with all its files in its own directory."""
        program = redis_program()
        if program is None:
            raise FileNotFoundError(f"none of {', '.join(REDIS_PROGRAMS)} is installed")
        options = ["--bind", LOCAL, "--dir", str(self.directory), "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "always"] if self._append_only else ["--appendonly", "no"]
        if self.password:
            options += ["--requirepass", self.password]
        return (program, *options, *self._ports(), *self._extra)

    def is_answering(self) -> bool:
        """Whether it answers PING with PONG. While it loads its data it doesn't."""
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


def rabbitmq_script(name: str = "rabbitmq-server") -> str | None:
    """The path of a script of the RabbitMQ package; None where it or Erlang's `epmd` is not installed."""
    if shutil.which("epmd") is None:
        return None
    candidates = (Path(directory) / name for directory in SCRIPT_DIRECTORIES)
    return next((str(path) for path in candidates if path.is_file()), None)


class PrivateRabbitMq(ServerProcess):
    """A RabbitMQ node on free local ports; user guest, virtual host `/`. It takes about 3 s to start, and 140 MB.

    `settings` are more lines of rabbitmq.conf, e.g. `{"consumer_timeout": "5000"}`. It starts its own Erlang port
    mapper: one that the server starts would leave the process group and stay behind.
    """

    start_s: ClassVar[float] = 60.0

    def __init__(self, directory: Path, *, port: int | None = None, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(directory, port=port)
        self.settings = dict(settings or {})
        self.epmd_port = free_port()
        self._distribution_port = free_port()
        self._epmd: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """`amqp://guest:guest@127.0.0.1:PORT/%2F`."""
        return f"amqp://guest:guest@{LOCAL}:{self.port}/%2F"

    def start(self) -> Self:
        """Start the port mapper and the node, and wait until the node speaks AMQP. Raises ServerFailed."""
        self._start_epmd()
        self._write_configuration()
        try:
            return super().start()
        except ServerFailed:
            self._end_epmd()
            raise

    def stop(self) -> None:
        """Stop the node, then its port mapper. Idempotent."""
        super().stop()
        self._end_epmd()

    def command(self) -> Sequence[str]:
        """The package's server script."""
        script = rabbitmq_script()
        if script is None:
            raise FileNotFoundError("rabbitmq-server (and epmd) are not installed")
        return (script,)

    def is_answering(self) -> bool:
        """Whether it answers an AMQP header with a method frame (Connection.Start)."""
        with socket.create_connection((LOCAL, self.port), timeout=PROBE_S) as connection:
            connection.settimeout(PROBE_S)
            connection.sendall(PROTOCOL_HEADER)
            return connection.recv(1) == METHOD_FRAME

    def environment(self) -> Mapping[str, str]:
        """Variables that put all files of the node into its own directory."""
        directory = self.directory
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")},
            "HOME": str(directory),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": LOCAL,
            "RABBITMQ_NODENAME": f"awf{self.epmd_port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(directory / "data"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            "RABBITMQ_PID_FILE": str(directory / "pid"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-start_epmd false {SCHEDULERS} {LOCAL_ONLY} {COUNTED_OFTEN}",
        }

    def control(self, *arguments: str, timeout_s: float = 30.0) -> str:
        """Run `rabbitmqctl` against this node; its output. Takes about a second. Raises CalledProcessError."""
        program = rabbitmq_script("rabbitmqctl")
        assert program is not None, "rabbitmqctl is not installed"
        command = (program, "-q", "-n", f"awf{self.epmd_port}@localhost", *arguments)
        done = subprocess.run(
            command, env=dict(self.environment()), capture_output=True, text=True, timeout=timeout_s, check=True
        )
        return done.stdout

    def _write_configuration(self) -> None:
        lines = {"listeners.tcp.1": f"{LOCAL}:{self.port}", **self.settings}
        text = "".join(f"{key} = {value}\n" for key, value in lines.items())
        (self.directory / "rabbitmq.conf").write_text(text)
        (self.directory / "plugins").write_text("[].\n")

    def _start_once(self) -> None:
        self._write_configuration()
        super()._start_once()

    def _start_epmd(self) -> None:
        if self._epmd is not None and self._epmd.poll() is None:
            return
        program = shutil.which("epmd")
        if program is None:
            raise FileNotFoundError("epmd is not installed")
        self._epmd = subprocess.Popen(
            (program, "-port", str(self.epmd_port), "-address", LOCAL),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        eventually(self._is_epmd_there, 10.0, what=f"epmd on port {self.epmd_port}")

    def _is_epmd_there(self) -> bool:
        with suppress(OSError), socket.create_connection((LOCAL, self.epmd_port), timeout=PROBE_S):
            return True
        return False

    def _end_epmd(self) -> None:
        if self._epmd is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._epmd.pid, signal.SIGKILL)
            self._epmd.wait(STOP_S)
            self._epmd = None


def moto_program() -> str | None:
    """The path of `moto_server`, the one beside this Python first; None where it is not installed."""
    beside = Path(sys.executable).parent / MOTO_PROGRAM
    return str(beside) if beside.is_file() else shutil.which(MOTO_PROGRAM)


class PrivateMoto(ServerProcess):
    """An SQS endpoint (moto) on a free local port; any credentials, region us-east-1.

    Its queues are in memory, and a kill loses them: for tests of reconnecting, not of durability.
    """

    start_s: ClassVar[float] = 30.0

    @property
    def url(self) -> str:
        """The endpoint: `http://127.0.0.1:PORT`."""
        return f"http://{LOCAL}:{self.port}"

    def command(self) -> Sequence[str]:
        """The server, on the loopback interface."""
        options = ("-H", LOCAL, "-p", str(self.port))
        if find_spec("moto") is not None:
            return (sys.executable, "-c", MOTO_CODE, *options)
        program = moto_program()
        if program is None:
            raise FileNotFoundError("moto_server is not installed: pip install 'moto[server]'")
        return (program, *options)

    def is_answering(self) -> bool:
        """Whether it answers a request with an HTTP status line."""
        with socket.create_connection((LOCAL, self.port), timeout=MOTO_PROBE_S) as connection:
            connection.sendall(b"GET /moto-api/ HTTP/1.0\r\n\r\n")
            return connection.recv(5) == b"HTTP/"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files. Clients trust `authority`; `certificate` and `key` are for the server, and for a client."""

    authority: Path
    certificate: Path
    key: Path
