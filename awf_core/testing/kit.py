"""What a conformance case works with: connections to the backend under test, unique queues, and processes.

The `kit` fixture makes one for each test; so does `Kit(target, directory)`. Connections are made as every command makes
them: configuration file, `assemble`, pluggy. Not thread-safe; the connections are.
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
from awf_core.contract import Ack
from awf_core.errors import BrokerError
from awf_core.message import encode
from awf_core.plugin.assemble import assemble
from awf_core.plugin.checks import is_marked
from awf_core.plugin.loader import load_backend
from awf_core.testing.actions import ack, browse_all, finish, take_one
from awf_core.testing.eventually import eventually
from awf_core.testing.needs import LARGEST_BODY_TRIED
from awf_core.testing.process import LoggedProcess, Project, awf_command
from awf_core.testing.proxy import Proxy
from awf_core.worker.decide import CRASH_CAP

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Self

    from awf_core.clock import Clock
    from awf_core.contract import Capabilities, Declare, Delivery, QueueItem
    from awf_core.mq import Mq
    from awf_core.plugin.assemble import Assembly
    from awf_core.testing.target import MqTarget

LONG_LEASE_S = 60.0
RESULT_WAIT_S = 1.0
MOST_DEATHS = 20
EXPECTED_EXITS = (None, 0, 3, 5, -signal.SIGKILL)
# Short waits and few attempts; a retry has no delay, so that no case waits for it.
WORKER_RULES: dict[str, object] = {
    "concurrency": 4,
    "max_body_bytes": LARGEST_BODY_TRIED,
    "grace": "5s",
    "retry": {"max_attempts": 2, "initial_delay": "0s", "jitter": 0, "defer_unknown": "0s"},
}


def _name(purpose: str) -> str:
    return f"awf-kit-{secrets.token_hex(4)}-{purpose}"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueNames:
    """Unique queue names, of characters that every broker accepts."""

    work: str = field(default_factory=lambda: _name("work"))
    other: str = field(default_factory=lambda: _name("other"))
    dead: str = field(default_factory=lambda: _name("dead"))
    replies: str = field(default_factory=lambda: _name("replies"))
    undeliverable: str = field(default_factory=lambda: _name("undeliverable"))


class Losable:
    """A connection whose deliveries can be lost: their lease ends, or the connection that holds them is cut."""

    def __init__(self, mq: Mq, proxy: Proxy | None) -> None:
        self.mq = mq
        self._proxy = proxy

    def lose(self) -> None:
        """Lose its deliveries. The broker redelivers them to others, at the latest after the short lease."""
        if self._proxy is not None:
            self._proxy.cut()


class Kit:
    """The backend under test, for one test. `scale` multiplies the number of messages of the heavier cases."""

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
        self._more_queues: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill the processes, close all connections, and remove the test's queues, or empty them first."""
        for process in self._processes:
            process.kill()
        for proxy in self._proxies:
            proxy.restore()
        if self._ensured and self.target.remove_queues is None:
            self._purge()
        for mq in self._open:
            with suppress(BrokerError):
                mq.close()
        # Not before: a consumer would declare its queue again.
        if self._ensured and self.target.remove_queues is not None:
            self.target.remove_queues(self.queues)
        for proxy in self._proxies:
            proxy.close()

    @cached_property
    def capabilities(self) -> Capabilities:
        """The capabilities of the backend as most cases configure it."""
        return self.assembly().mq.capabilities

    @property
    def short_lease_s(self) -> float:
        """The lease of `mq(is_short=True)`, in seconds; 0 where deliveries are bound to the connection."""
        return 0.0 if self.capabilities.lease_s is None else self.target.short_lease_s

    @property
    def late_s(self) -> float:
        """Within how many seconds a lost delivery is redelivered to another consumer."""
        return self.short_lease_s + self.target.late_s

    def queue(self, suffix: str) -> str:
        """The name of one more work queue, emptied at the end of the test."""
        self._more_queues.append(f"{self.names.work}-{suffix}")
        return self._more_queues[-1]

    def has_hook(self, name: str) -> bool:
        """Whether the backend implements this optional hook."""
        return is_marked(getattr(self._backend, name, None))

    def count(self, number: int, *, least: int = 1) -> int:
        """`number` times the scale, at least `least`."""
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
        rules: Mapping[str, object] | None = None,
    ) -> Mq:
        """A new connection of another process, closed at the end of the test.

        `is_short`: with the short lease. `rules`: other keys under `mq:`.
        """
        assembly = self.assembly(
            worker=worker, is_short=is_short, clock=clock, proxy=proxy, declare=declare, settings=settings, rules=rules
        )
        self._open.append(assembly.mq)
        if is_open:
            assembly.mq.open()
            if declare == "auto":
                self._ensure(assembly.mq)
        return assembly.mq

    def losable(self) -> Losable:
        """A connection whose deliveries the test can lose."""
        if self.capabilities.lease_s is not None:
            return Losable(self.mq(worker="kit-loser", is_short=True), None)
        proxy = self.proxy()
        return Losable(self.mq(worker="kit-loser", proxy=proxy), proxy)

    def message(self, workflow: str, message_id: str, *, reply_to: str | None = None) -> bytes:
        """The body of a message, with the test's reply queue unless `reply_to` is given."""
        return encode(workflow, message_id=message_id, reply_to=reply_to or self.names.replies)

    def results(self, mq: Mq, count: int, *, queue: str | None = None, within_s: float = 30.0) -> list[dict[str, Any]]:
        """Consume and acknowledge the next `count` results."""
        found: list[Delivery] = []
        end = time.monotonic() + within_s
        while len(found) < count:
            self._assert_none_failed()
            assert time.monotonic() < end, f"{len(found)} of {count} results in {within_s} s; logs: {self._tails()}"
            found += mq.consume(queue or self.names.replies, limit=count - len(found), wait_s=RESULT_WAIT_S)
        ack(mq, *found)
        return [json.loads(delivery.body) for delivery in found]

    def dead_messages(self, mq: Mq, count: int = 0) -> list[bytes]:
        """The bodies of the dead-lettered messages, sorted, once there are `count`.

        Browses them where the backend can, since a dead-letter queue need not be consumable; else consumes them.
        """
        if not self.has_hook("awf_mq_browse"):
            return finish(mq, self.names.dead, count)

        def browsed() -> list[QueueItem]:
            return browse_all(mq, self.names.dead)

        eventually(lambda: len(browsed()) >= count, self.late_s, what=f"{count} dead-lettered messages")
        return sorted(item.body for item in browsed())

    def crash_deliveries(self, mq: Mq) -> None:
        """Lose the message of the work queue as often as makes it a crash loop: each time in another process."""
        if self.capabilities.lease_s is None:
            self._kill_holders()
            return
        for number in range(MOST_DEATHS):
            loser = self.mq(worker=f"kit-loser-{number}", is_short=True)
            if take_one(loser, self.names.work, within_s=self.late_s).crashes >= CRASH_CAP - 1:
                break
        eventually(lambda: mq.stats(self.names.work).ready != 0, self.late_s, what="the end of the last lease")

    def _kill_holders(self) -> None:
        """Kill processes that have the message, until it was delivered with all but one of the crashes it may have."""
        for _ in range(MOST_DEATHS):
            holder = self.child("hold", self.names.work)
            held = holder.await_line("held", within_s=self.late_s)
            holder.kill()
            if held["crashes"] >= CRASH_CAP - 1:
                return
        raise AssertionError(f"expected a crash loop after at most {MOST_DEATHS} deaths, got {held['crashes']} crashes")

    def assembly(self, *, worker: str = "kit", clock: Clock | None = None, **variant: Any) -> Assembly:
        """The backend and its configuration, not connected; the kit doesn't close it."""
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
        """Write a configuration for the broker; returns its path. `rules`: other keys under `mq:`."""
        target = self.target
        section = dict(target.settings if settings is None else settings)
        if proxy is not None:
            section[target.url_key] = proxy.through(str(section[target.url_key]))
        if "lease" not in section and "lease" in fields_by_key(self._backend.Settings):
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
        """A new fault proxy to the broker."""
        address = self.target.address
        assert address is not None, "an embedded broker has no address for a proxy"
        proxy = Proxy(*address)
        self._proxies.append(proxy)
        return proxy

    def restart_broker(self) -> None:
        """Restart the broker. For cases that need `restart`."""
        assert self.target.control is not None, "this case needs a broker that can be restarted"
        self.target.control.restart()

    def worker(
        self, *arguments: str, env: Mapping[str, str] | None = None, queue: str | None = None, **variant: Any
    ) -> LoggedProcess:
        """Start `awf worker` on the test's work queue, with a JSON log. `variant` as for `config`."""
        queues = ("--queue", queue or self.names.work)
        command = awf_command("worker", *queues, "--log-format", "json", *arguments)
        return self._started(command, self.config(**variant), env)

    def child(self, action: str, *arguments: str, **variant: Any) -> LoggedProcess:
        """Start another process on the same broker, see `child.py`."""
        command = (sys.executable, "-m", "awf_core.testing.child", action, *arguments)
        return self._started(command, self.config(**variant), None)

    @cached_property
    def _backend(self) -> Any:
        return load_backend(self.target.type)

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

    @property
    def queues(self) -> tuple[str, ...]:
        """The names of all queues of the test."""
        names = self.names
        return (names.work, names.other, names.dead, names.replies, names.undeliverable, *self._more_queues)

    def _purge(self) -> None:
        """Leave no messages of the test in a shared broker."""
        with suppress(Exception):
            mq = self.assembly().mq
            mq.open()
            for queue in self.queues:
                with suppress(Exception):
                    self._empty(mq, queue)
            mq.close()

    def _empty(self, mq: Mq, queue: str) -> None:
        if self.has_hook("awf_mq_purge"):
            mq.purge(queue)
            return
        while deliveries := mq.consume(queue, limit=100, wait_s=0.0):
            mq.ack([Ack(delivery=delivery) for delivery in deliveries])
