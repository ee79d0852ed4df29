"""A workflow file that can't be loaded for a moment costs no message, and what becomes of a message is never silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fault_project import DEFER_UNKNOWN, SETTLED, warnings_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from embedded_faults import EmbeddedFaults

    from awf_core.testing.process import LoggedProcess

DEFER = {DEFER_UNKNOWN: "24s"}
IDS = [f"m-{number:02}" for number in range(20)]


def _truncated(path: Path) -> None:
    path.write_text(path.read_text()[:40])


def _emptied(path: Path) -> None:
    path.write_text("")


def _without_states(path: Path) -> None:
    path.write_text("name: short\n")


def _no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00name")


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.fixture(params=[_truncated, _emptied, _without_states, _no_text, _directory])
def corrupt(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    """Make a workflow file what a deployment may leave there for a moment."""
    return request.param


def restore(path: Path, text: str) -> None:
    """Put the good file there, as a deployment does."""
    if path.is_dir():
        path.rmdir()
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def about(message_id: str, *, holds: str) -> Callable[[dict[str, Any]], bool]:
    """A line about that message whose text has `holds`."""
    return lambda line: line.get("message_id") == message_id and holds in str(line)


def test_messages_of_a_workflow_that_can_not_be_loaded_wait_for_it(
    project: EmbeddedFaults, corrupt: Callable[[Path], None]
) -> None:
    path = project.workflows / "short.yaml"
    good = path.read_text()
    corrupt(path)
    worker = project.worker(project.embedded(retry=DEFER))
    project.put(*IDS, workflow="short")
    worker.await_line(SETTLED, count=len(IDS))

    dead_meanwhile = project.dead()
    restore(path, good)

    assert dead_meanwhile == []
    assert project.await_results(len(IDS), within_s=40) == IDS
    project.assert_ran_once(*IDS)
    assert worker.stop() == 0
    for message_id in IDS:
        assert warnings_of(worker, about(message_id, holds="workflow")), f"{message_id} was deferred without a warning"


def test_the_last_good_version_of_a_workflow_runs_where_the_configuration_says_so(
    project: EmbeddedFaults, corrupt: Callable[[Path], None]
) -> None:
    worker = project.worker(project.embedded(reload="last_good", retry=DEFER))
    project.put("first", workflow="short")
    project.await_results(1)

    corrupt(project.workflows / "short.yaml")
    project.put(*IDS, workflow="short")

    assert project.await_results(len(IDS) + 1) == ["first", *IDS]
    project.assert_ran_once(*IDS)
    assert warnings_of(worker, lambda line: "short" in str(line)), "the bad file is named"
    assert worker.stop() == 0


def test_every_dead_lettered_message_is_a_warning_with_worker_message_and_reason(project: EmbeddedFaults) -> None:
    project.workflow("fails", "exit 1")
    retry = {"max_attempts": 1}
    worker = project.worker(project.embedded(retry=retry), "--name", "w-1", "--log-level", "warning", is_awaited=False)

    _put_when_ready(project, "m", workflow="fails")

    line = _warning(worker, "m")
    assert (line["worker"], line["reason"]) == ("w-1", "max_attempts")
    assert project.dead() == ["max_attempts"]


def test_every_deferred_message_is_a_warning_with_worker_message_and_reason(project: EmbeddedFaults) -> None:
    config = project.embedded(retry=DEFER)
    worker = project.worker(config, "--name", "w-1", "--log-level", "warning", is_awaited=False)

    _put_when_ready(project, "m", workflow="nowhere")

    line = _warning(worker, "m")
    assert (line["worker"], line["reason"]) == ("w-1", "unknown_workflow")
    assert project.dead() == []


def _put_when_ready(project: EmbeddedFaults, message_id: str, *, workflow: str) -> None:
    """At this level a worker says nothing when it is ready: one that ends by itself makes the queue first."""
    assert project.worker(project.embedded("other"), "--burst").end() == 0
    project.put(message_id, workflow=workflow)


def _warning(worker: LoggedProcess, message_id: str) -> dict[str, Any]:
    from awf_core.testing.eventually import eventually

    def found() -> list[dict[str, Any]]:
        return warnings_of(worker, lambda line: line.get("message_id") == message_id and "reason" in line)

    return eventually(found, 15, what=f"a warning about {message_id}")[0]
