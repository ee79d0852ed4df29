"""A project, the `awf` command in it, and workers as real processes that never outlive their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import awf_process
import pytest
from awf_process import WorkerProcess
from queue_project import Project

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

Awf = Callable[..., "subprocess.CompletedProcess[str]"]
StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project whose queue exists; its processes are gone when the test is over."""
    directory = tmp_path / "project"
    directory.mkdir()
    yield Project(directory).make_queue()
    awf_process.kill_all(directory)


@pytest.fixture
def awf(project: Project) -> Awf:
    """Run the installed command in the project to its end."""

    def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        return awf_process.awf(project.directory, *arguments, **options)

    return run


@pytest.fixture
def start_worker(project: Project) -> Iterator[StartWorker]:
    """Start `awf worker` in the project; killed at the end of the test."""
    started: list[WorkerProcess] = []

    def start(*arguments: str, env: dict[str, str] | None = None) -> WorkerProcess:
        started.append(awf_process.start_worker(project.directory, *arguments, env=env))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()
