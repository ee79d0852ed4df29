"""A private RabbitMQ from the system's package, run directly and without its service. Used through `brokers.py`.

Owns its Erlang port mapper too: started by the server, that daemon would leave the process group and stay behind.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from awf_core.testing.eventually import eventually
from awf_core.testing.server_process import LOCAL, STOP_S, ServerFailed, ServerProcess, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

# Debian's wrapper in the path switches to the service's user, who can't write here.
SCRIPT_DIRECTORIES = ("/usr/lib/rabbitmq/bin", "/usr/local/sbin", "/opt/rabbitmq/sbin", "/usr/local/opt/rabbitmq/sbin")
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME = b"\x01"
PROBE_S = 1.0
# Busy waiting of idle schedulers would starve the tests on a small machine.
SCHEDULERS = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
# What the broker says of a replicated queue's size is up to five seconds old otherwise, and older on a busy machine.
COUNTED_OFTEN = "-rabbit quorum_tick_interval 500"
LOCAL_ONLY = "-kernel inet_dist_use_interface {127,0,0,1}"


def rabbitmq_script(name: str = "rabbitmq-server") -> str | None:
    """The path of one of the package's own scripts, None when it isn't installed or Erlang's `epmd` isn't."""
    if shutil.which("epmd") is None:
        return None
    candidates = (Path(directory) / name for directory in SCRIPT_DIRECTORIES)
    return next((str(path) for path in candidates if path.is_file()), None)


class PrivateRabbitMq(ServerProcess):
    """A RabbitMQ node of one's own on free local ports; user guest, virtual host `/`. About 3 s to start, 140 MB.

    `settings` are further lines of rabbitmq.conf, e.g. `{"consumer_timeout": "5000"}`.
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
        """Run the port mapper, then the node, and wait until it speaks AMQP. Raises ServerFailed."""
        self._start_epmd()
        self._write_configuration()
        try:
            return super().start()
        except ServerFailed:
            self._end_epmd()
            raise

    def stop(self) -> None:
        """Ask the node to end, then end its port mapper. Idempotent."""
        super().stop()
        self._end_epmd()

    def command(self) -> Sequence[str]:
        """The package's server script."""
        script = rabbitmq_script()
        if script is None:
            raise FileNotFoundError("rabbitmq-server (and epmd) are not installed")
        return (script,)

    def is_answering(self) -> bool:
        """Whether an AMQP header is answered with a method frame (Connection.Start)."""
        with socket.create_connection((LOCAL, self.port), timeout=PROBE_S) as connection:
            connection.settimeout(PROBE_S)
            connection.sendall(PROTOCOL_HEADER)
            return connection.recv(1) == METHOD_FRAME

    def environment(self) -> Mapping[str, str]:
        """Everything the node reads or writes, in its own directory."""
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
