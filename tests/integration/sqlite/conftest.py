"""What the tests of the embedded queue share: backends on a fresh file, a clock to set, a foreign SQLite client."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from awf_core.backends.sqlite.backend import Backend
from awf_core.backends.sqlite.settings import SqliteSettings
from awf_core.contract import BackendContext, Delivery, Outgoing

if TYPE_CHECKING:
    from pathlib import Path

MakeBackend = Callable[..., Backend]


class SetClock:
    """The time of the test's choosing. It starts a little ahead, so that rows of foreign clients are due."""

    def __init__(self) -> None:
        self.wall_s = time.time() + 10
        self.monotonic_s = 1000.0
        self.on_monotonic: Callable[[], None] | None = None

    def now(self) -> float:
        return self.wall_s

    def monotonic(self) -> float:
        if self.on_monotonic is not None:
            self.on_monotonic()
        return self.monotonic_s

    def advance(self, seconds: float) -> None:
        self.wall_s += seconds
        self.monotonic_s += seconds


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def make_backend(tmp_path: Path, clock: SetClock) -> Iterator[MakeBackend]:
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
def foreign(backend: Backend) -> Iterator[sqlite3.Connection]:
    """Somebody else's connection to the same file, in autocommit mode."""
    with closing(sqlite3.connect(backend.path, isolation_level=None, check_same_thread=False)) as connection:
        yield connection


@pytest.fixture
def take(backend: Backend) -> Callable[..., Delivery]:
    """Publish one message (unless told not to) and take it."""

    def run(queue: str = "work", *, publish: bool = True, **values: object) -> Delivery:
        if publish:
            assert backend.awf_mq_publish([Outgoing(queue=queue, body=b"{}", **values)]) == [None]
        deliveries = backend.awf_mq_consume(queue, 1, 0)
        assert len(deliveries) == 1
        return deliveries[0]

    return run
