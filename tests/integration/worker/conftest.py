"""A whole worker in this process: built as `awf worker` builds it, on a real queue file, until the queue is empty."""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from plugin_package import install_plugin
from queue_project import Project

from awf_core.config.load import load_config
from awf_core.observe.log import configure_logging
from awf_core.worker.build import WorkerOptions, build_worker
from awf_core.worker.startup import log_started

if TYPE_CHECKING:
    from pathlib import Path

_NUMBERS = count()


@dataclass(frozen=True)
class Served:
    """What came of a worker's life: its exit code and its log."""

    exit_code: int
    log: list[dict[str, Any]]

    def lines(self, event: str, **fields: object) -> list[dict[str, Any]]:
        return [
            line
            for line in self.log
            if line["event"] == event and all(line.get(name) == value for name, value in fields.items())
        ]


Work = Callable[..., Served]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    directory = tmp_path / "project"
    directory.mkdir()
    return Project(directory).make_queue()


@pytest.fixture
def work(project: Project) -> Iterator[Work]:
    """Serve the project's queue until it is empty (`burst=True`) or until another option ends it."""

    def run(*, env: dict[str, str] | None = None, level: str = "info", **options: Any) -> Served:
        log = io.StringIO()
        configure_logging("json", level, log)
        environment = {**os.environ, **(env or {})}
        config = load_config(cwd=project.directory, env=environment)
        chosen = WorkerOptions(**{"name": "tester", "burst": True, **options})
        worker, assembly = build_worker(config, chosen, cwd=project.directory, env=environment)
        log_started(config, assembly, burst=chosen.burst)
        exit_code = worker.serve()
        return Served(exit_code, [json.loads(line) for line in log.getvalue().splitlines()])

    yield run
    configure_logging(None, "info")


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Install a plugin of this source for the rest of the test."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    modules: list[str] = []

    def install(source: str) -> None:
        modules.append(f"worker_test_plugin_{next(_NUMBERS)}")
        install_plugin(site, modules[-1], source)
        importlib.invalidate_caches()

    yield install
    for module in modules:
        sys.modules.pop(module, None)
