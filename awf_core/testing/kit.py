"""What a conformance case is given: connections to the backend under test, queues of its own, and processes.

Made per test by the `kit` fixture, or by hand with `Kit(target, directory)`; used by every case. Connections go the
way of every command: configuration file, `assemble`, pluggy. Not thread-safe itself; what it returns is.
"""

from __future__ import annotations

import json
import secrets
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from awf_core.config.keys import fields_by_key
from awf_core.config.load import load_config
from awf_core.errors import BrokerError
from awf_core.message import encode
from awf_core.plugin.assemble import assemble
from awf_core.plugin.checks import is_marked
from awf_core.plugin.loader import load_backend
from awf_core.testing.actions import ack, browse_all, finish, nack, take_one
from awf_core.testing.eventually import eventually
from awf_core.testing.process import LoggedProcess, awf_command
from awf_core.testing.project import Project
from awf_core.testing.proxy import Proxy
from awf_core.worker.decide import CRASH_CAP, CRASH_CAP_WHERE_RELEASES_COUNT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from awf_core.clock import Clock
    from awf_core.contract import Capabilities, Declare, Delivery
    from awf_core.mq import Mq
    from awf_core.plugin.assemble import Assembly
    from awf_core.testing.target import MqTarget

LONG_LEASE_S = 60.0
RESULT_LOOK_S = 1.0
EXPECTED_EXITS = (None, 0, 3, 5, -signal.SIGKILL)
# Short waits and few attempts; retries come back at once, so that no case waits for a backoff.
WORKER_RULES: dict[str, object] = {
    "concurrency": 4,
    "grace": "5s",
    "retry": {"max_attempts": 2, "initial_delay": "0s", "jitter": 0, "defer_unknown": "0s"},
}


def _name(purpose: str) -> str:
    return f"awf-kit-{secrets.token_hex(4)}-{purpose}"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueNames:
    """Queues nobody else uses. Letters, digits and hyphens: what every broker takes."""

    work: str = field(default_factory=lambda: _name("work"))
    other: str = field(default_factory=lambda: _name("other"))
    dead: str = field(default_factory=lambda: _name("dead"))
    replies: str = field(default_factory=lambda: _name("replies"))
    undeliverable: str = field(default_factory=lambda: _name("undeliverable"))


class Losable:
    """A connection, and what makes its deliveries go to others: time, or a cut where they hang on the connection."""

    def __init__(self, mq: Mq, proxy: Proxy | None) -> None:
        self.mq = mq
        self._proxy = proxy

    def lose(self) -> None:
        """From here on its deliveries come to others, at the latest when the short lease is over."""
        if self._proxy is not None:
            self._proxy.cut()


class Kit:
    """One test's view of the backend. `scale` multiplies how much the heavier cases do."""

    def __init__(self, target: MqTarget, directory: Path, *, scale: float = 1.0) -> None:
        self.target = target
        self.scale = scale
        self.names = QueueNames()
        self.project = Project(directory)
        self._configs = 0
        self._open: list[Mq] = []
        self._processes: list[LoggedProcess] = []
        self._proxies: list[Proxy] = []
        self._ensured: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End processes, remove what is left in the test's queues where the backend can, close everything."""
        for process in self._processes:
            process.kill()
        for proxy in self._proxies:
            proxy.restore()
        self._purge()
        for mq in self._open:
            with suppress(BrokerError):
                mq.close()
        for proxy in self._proxies:
            proxy.close()

    @cached_property
    def capabilities(self) -> Capabilities:
        """What the backend, configured as for most cases, says it can do."""
        return self.assembly().mq.capabilities

    @property
    def short_lease_s(self) -> float:
        """The lease that `mq(is_short=True)` has; 0 where deliveries are bound to the connection."""
        return 0.0 if self.capabilities.lease_s is None else self.target.short_lease_s

    @property
    def late_s(self) -> float:
        """Within how many seconds a lost delivery comes to somebody else."""
        return self.short_lease_s + self.target.late_s

    def has_hook(self, name: str) -> bool:
        """Whether the backend implements this optional hook."""
        return is_marked(getattr(self._backend, name, None))

    def count(self, number: int, *, least: int = 1) -> int:
        """`number`, scaled."""
        return max(least, round(number * self.scale))

    def mq(
        self,
        *,
        worker: str = "kit",
        is_short: bool = False,
        is_open: bool = True,
        clock: Clock | None = None,
        proxy: Proxy | None = None,
        declare: Declare = "auto",
        settings: Mapping[str, object] | None = None,
    ) -> Mq:
        """A connection of its own, closed at the end of the test. `is_short`: with a lease that soon runs out."""
        assembly = self.assembly(
            worker=worker, is_short=is_short, clock=clock, proxy=proxy, declare=declare, settings=settings
        )
        self._open.append(assembly.mq)
        if is_open:
            assembly.mq.open()
            if declare == "auto":
                self._ensure(assembly.mq)
        return assembly.mq

    def losable(self) -> Losable:
        """A connection whose deliveries can be lost on command."""
        if self.capabilities.lease_s is not None:
            return Losable(self.mq(worker="kit-loser", is_short=True), None)
        proxy = self.proxy()
        return Losable(self.mq(worker="kit-loser", proxy=proxy), proxy)

    def message(self, workflow: str, message_id: str, *, reply_to: str | None = None) -> bytes:
        """The body of a message, answered to the test's reply queue unless told otherwise."""
        return encode(workflow, message_id=message_id, reply_to=reply_to or self.names.replies)

    def results(self, mq: Mq, count: int, *, queue: str | None = None, within_s: float = 30.0) -> list[dict[str, Any]]:
        """The next `count` results, taken and acknowledged."""
        found: list[Delivery] = []
        end = time.monotonic() + within_s
        while len(found) < count:
            self._assert_none_failed()
            assert time.monotonic() < end, f"{len(found)} of {count} results in {within_s} s; logs: {self._tails()}"
            found += mq.consume(queue or self.names.replies, limit=count - len(found), wait_s=RESULT_LOOK_S)
        ack(mq, *found)
        return [json.loads(delivery.body) for delivery in found]

    def letters(self, mq: Mq, count: int = 0) -> list[bytes]:
        """The bodies of the dead letters, sorted, once there are `count`; looked at where the backend can, else taken.

        Letters need not be consumable: a backend may keep them in a place of another kind.
        """
        if not self.has_hook("awf_mq_browse"):
            return finish(mq, self.names.dead, count)
        eventually(lambda: len(browse_all(mq, self.names.dead)) >= count, self.late_s, what=f"{count} letters")
        return sorted(item.body for item in browse_all(mq, self.names.dead))

    def crash_deliveries(self, mq: Mq) -> None:
        """Have the message of the work queue handed out and lost as often as makes it a crash loop."""
        if self.capabilities.release_counts:
            for _ in range(CRASH_CAP_WHERE_RELEASES_COUNT):
                nack(mq, take_one(mq, self.names.work), is_counted=False)
            return
        loser = self.losable()
        for _ in range(CRASH_CAP):
            take_one(loser.mq, self.names.work, within_s=self.late_s)
            loser.lose()
        eventually(lambda: mq.stats(self.names.work).ready != 0, self.late_s, what="the last lease ran out")

    def assembly(self, *, worker: str = "kit", clock: Clock | None = None, **variant: Any) -> Assembly:
        """The same, not connected and not closed by the kit."""
        path = self.config(**variant)
        config = load_config(cwd=self.project.directory, env=self.project.environment(path))
        return assemble(config, worker=worker, clock=clock)

    def config(
        self,
        *,
        is_short: bool = False,
        proxy: Proxy | None = None,
        declare: Declare = "auto",
        settings: Mapping[str, object] | None = None,
        rules: Mapping[str, object] | None = None,
    ) -> str:
        """Write a configuration that reaches the broker; returns its path. `rules`: other keys under `mq:`."""
        target = self.target
        section = dict(target.settings if settings is None else settings)
        if proxy is not None:
            section[target.url_key] = proxy.through(str(section[target.url_key]))
        if "lease" not in section and self._takes_lease:
            section["lease"] = f"{target.short_lease_s if is_short else LONG_LEASE_S}s"
        names = self.names
        self._configs += 1
        return self.project.configure(
            f"kit-{self._configs}",
            {
                **WORKER_RULES,
                "type": target.type,
                target.type: section,
                "declare": declare,
                "dead_letter": {"queue": names.dead},
                "undeliverable": {"queue": names.undeliverable},
                **(rules or {}),
            },
        )

    def proxy(self) -> Proxy:
        """A fault proxy before the broker."""
        address = self.target.address
        assert address is not None, "an embedded broker has no address to put a proxy before"
        proxy = Proxy(*address)
        self._proxies.append(proxy)
        return proxy

    def worker(
        self, *arguments: str, env: Mapping[str, str] | None = None, queue: str | None = None, **variant: Any
    ) -> LoggedProcess:
        """An `awf worker` on the test's work queue, its log JSON. `variant` as for `config`."""
        queues = ("--queue", queue or self.names.work)
        command = awf_command("worker", *queues, "--log-format", "json", *arguments)
        return self._started(command, self.config(**variant), env)

    def child(self, action: str, *arguments: str, **variant: Any) -> LoggedProcess:
        """Another process on the same broker, see `child.py`; it has said `ready` when this returns."""
        command = (sys.executable, "-m", "awf_core.testing.child", action, *arguments)
        return self._started(command, self.config(**variant), None)

    @cached_property
    def _backend(self) -> Any:
        return load_backend(self.target.type)

    @cached_property
    def _takes_lease(self) -> bool:
        return "lease" in fields_by_key(self._backend.Settings)

    def _assert_none_failed(self) -> None:
        for process in self._processes:
            assert process.exit_code in EXPECTED_EXITS, f"ended with {process.exit_code}\nlog: {process.tail()}"

    def _tails(self) -> str:
        return "\n".join(f"{process.pid}: {process.tail()}" for process in self._processes)

    def _started(self, command: tuple[str, ...], config_path: str, env: Mapping[str, str] | None) -> LoggedProcess:
        environment = self.project.environment(config_path, env)
        process = LoggedProcess(command, directory=self.project.directory, env=environment)
        self._processes.append(process)
        return process

    def _ensure(self, mq: Mq) -> None:
        names = self.names
        if names.work in self._ensured:
            return
        self._ensured.add(names.work)
        for queue in (names.work, names.other):
            mq.ensure(queue, "work", dead_letter=names.dead)
        mq.ensure(names.dead, "dead")
        mq.ensure(names.undeliverable, "dead")
        mq.ensure(names.replies, "reply")

    def _purge(self) -> None:
        """Leave a shared broker as it was found, as far as an operator could."""
        if not self._ensured or self.target.address is None:
            return
        names = self.names
        with suppress(Exception):
            mq = self.assembly().mq
            mq.open()
            for queue in (names.work, names.other, names.dead, names.replies, names.undeliverable):
                with suppress(Exception):
                    mq.purge(queue)
            mq.close()
