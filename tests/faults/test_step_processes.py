"""Processes that steps leave behind: reaped where the worker is process 1, ended where their step is cancelled."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fault_project import is_alive

from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from embedded_faults import EmbeddedFaults

ORPHANS = 20
CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def children(pid: int) -> list[int]:
    """The direct children of a process, of all its threads."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def zombies(pid: int) -> list[int]:
    """Its children that ended and were not reaped."""
    return [child for child in children(pid) if not is_alive(child)]


@pytest.fixture
def contained(project: EmbeddedFaults) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A worker that is process 1 of a container; the container's process, and the worker's id outside of it."""
    if os.geteuid() != 0:
        pytest.skip("a PID namespace of one's own needs root")
    config = project.embedded()
    process = subprocess.Popen(
        (*CONTAINER, *project.command()),
        cwd=project.directory,
        env=project.environment(config),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    eventually(lambda: project.queue_file.exists() and children(process.pid), 15, what="the worker is up")
    yield process, children(process.pid)[0]
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def test_as_process_1_a_worker_reaps_the_orphans_of_its_steps(
    project: EmbeddedFaults, contained: tuple[subprocess.Popen[bytes], int]
) -> None:
    container, worker = contained
    # Each orphan's parent is gone before it ends, so it becomes a child of process 1.
    # They hold none of the step's pipes, which would make it a failed one.
    project.workflow("orphans", f"for n in $(seq {ORPHANS}); do (sleep 0.3 >/dev/null 2>&1 & ) ; done")
    eventually(lambda: project.sql("SELECT 1 FROM sqlite_master WHERE name = 'message'"), 15)
    project.put("m", workflow="orphans")

    project.await_results(1)

    eventually(lambda: not _sleepers(worker), 10, what="the orphans ended")
    eventually(lambda: not zombies(worker), 5, what=f"no zombies are left of {ORPHANS}")
    # The exit code of a step is still the step's own.
    assert project.results()[0]["status"] == "completed"
    os.kill(worker, signal.SIGTERM)
    assert container.wait(15) == 0


def test_a_daemon_with_a_cleaned_environment_dies_with_its_cancelled_step(project: EmbeddedFaults) -> None:
    pid_file = project.directory / "daemon.pid"
    script = project.directory / "daemon.sh"
    script.write_text(f"echo $$ > '{pid_file}.new'; mv '{pid_file}.new' '{pid_file}'; exec sleep 600\n")
    # The shell between leaves at once, so no chain of parents leads from the daemon to the step.
    project.workflow("daemon", f"(env -i setsid sh '{script}' &); sleep 600")
    worker = project.worker(project.embedded(max_run="2s", retry={"max_attempts": 1}))
    project.put("m", workflow="daemon")
    eventually(pid_file.exists, 15, what="the daemon is up")
    daemon = int(pid_file.read_text())

    worker.await_line("run.finished", message_id="m")

    try:
        eventually(lambda: not is_alive(daemon), 5, what="the daemon is gone")
    finally:
        _kill(daemon)
    assert worker.stop() == 0


def test_a_daemon_with_a_cleaned_environment_dies_with_its_killed_worker(project: EmbeddedFaults) -> None:
    pid_file = project.directory / "daemon.pid"
    script = project.directory / "daemon.sh"
    script.write_text(f"echo $$ > '{pid_file}.new'; mv '{pid_file}.new' '{pid_file}'; exec sleep 600\n")
    project.workflow("daemon", f"(env -i setsid sh '{script}' &); sleep 600")
    worker = project.worker(project.embedded())
    project.put("m", workflow="daemon")
    eventually(pid_file.exists, 15, what="the daemon is up")
    daemon = int(pid_file.read_text())

    os.kill(worker.pid, signal.SIGKILL)

    try:
        eventually(lambda: not is_alive(daemon), 5, what="the daemon is gone")
    finally:
        _kill(daemon)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _sleepers(pid: int) -> list[int]:
    """Its children that are a `sleep` and run."""
    found = []
    for child in children(pid):
        with suppress(OSError):
            if is_alive(child) and "sleep" in Path(f"/proc/{child}/comm").read_text():
                found.append(child)
    return found
