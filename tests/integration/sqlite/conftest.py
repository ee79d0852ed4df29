"""What the tests of the embedded queue share: backends on a new file, a clock to set, an external SQLite client."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pluggy
import pytest

from awf_core.backends.sqlite.backend import Backend, SqliteSettings
from awf_core.contract import BackendContext, Delivery, Outgoing
from awf_core.hookspecs import PROJECT, BackendSpecs
from awf_core.mq import Mq
from awf_core.testing.clocks import SetClock

if TYPE_CHECKING:
    from pathlib import Path

MakeBackend = Callable[..., Backend]


class HookedClock(SetClock):
    """Calls `on_monotonic` whenever the monotonic time is read."""

    on_monotonic: Callable[[], None] | None = None

    def monotonic(self) -> float:
        if self.on_monotonic is not None:
            self.on_monotonic()
        return super().monotonic()


@pytest.fixture
def clock() -> HookedClock:
    # A little ahead, so that rows of external clients are due.
    return HookedClock(time.time() + 10)


@pytest.fixture
def make_backend(tmp_path: Path, clock: HookedClock) -> Iterator[MakeBackend]:
    """Make (and open) a backend on the test's directory; all are closed at the end."""
    made: list[Backend] = []

    def make(*, is_open: bool = True, context: dict[str, object] | None = None, **settings: object) -> Backend:
        values = {"worker": "tester", "clock": clock, "directory": str(tmp_path), **(context or {})}
        backend = Backend(SqliteSettings.model_validate(settings), BackendContext(**values))
        made.append(backend)
        if is_open:
            backend.awf_mq_open()
        return backend

    yield make
    for backend in made:
        backend.awf_mq_close()


@pytest.fixture
def backend(make_backend: MakeBackend) -> Backend:
    return make_backend()


@pytest.fixture
def mq(backend: Backend) -> Mq:
    """The backend as the core calls it."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(BackendSpecs)
    manager.register(backend)
    return Mq(manager.hook, backend.capabilities, backend="sqlite")


@pytest.fixture
def external(backend: Backend) -> Iterator[sqlite3.Connection]:
    """Another program's connection to the same file, in autocommit mode."""
    with closing(sqlite3.connect(backend.path, isolation_level=None, check_same_thread=False)) as connection:
        yield connection


@pytest.fixture
def take(backend: Backend) -> Callable[..., Delivery]:
    """Publish one message, unless `publish` is false, and consume it."""

    def run(queue: str = "work", *, publish: bool = True, **values: object) -> Delivery:
        if publish:
            assert backend.awf_mq_publish([Outgoing(queue=queue, body=b"{}", **values)]) == [None]
        deliveries = backend.awf_mq_consume(queue, 1, 0)
        assert len(deliveries) == 1
        return deliveries[0]

    return run
