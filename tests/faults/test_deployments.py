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
MESSAGES = 6
"""Of each workflow."""


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


CORRUPT = (_truncated, _emptied, _without_states, _no_text, _directory)
"""Each makes a workflow file what a deployment may leave there for a moment."""


@pytest.fixture
def workflows(project: EmbeddedFaults) -> dict[str, list[str]]:
    """A good workflow for each of these to corrupt, and the ids of its messages."""
    names = [corrupt.__name__.strip("_") for corrupt in CORRUPT]
    for name in names:
        project.step(name, "true")
    return {name: [f"{name}-{number}" for number in range(MESSAGES)] for name in names}


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


def corrupt_all(project: EmbeddedFaults, workflows: dict[str, list[str]]) -> dict[Path, str]:
    """Corrupt each workflow in its own way; the files and what they were."""
    paths = [project.workflows / f"{name}.yaml" for name in workflows]
    good = {path: path.read_text() for path in paths}
    for corrupt, path in zip(CORRUPT, paths, strict=True):
        corrupt(path)
    return good


def put_all(project: EmbeddedFaults, workflows: dict[str, list[str]]) -> list[str]:
    """Put the messages of each workflow; all their ids, sorted."""
    for name, message_ids in workflows.items():
        project.put(*message_ids, workflow=name)
    return sorted(message_id for message_ids in workflows.values() for message_id in message_ids)


def test_messages_of_a_workflow_that_can_not_be_loaded_wait_for_it(
    project: EmbeddedFaults, workflows: dict[str, list[str]]
) -> None:
    good = corrupt_all(project, workflows)
    worker = project.worker(project.embedded(retry=DEFER))
    ids = put_all(project, workflows)
    worker.await_line(SETTLED, count=len(ids))

    dead_meanwhile = project.dead()
    for path, text in good.items():
        restore(path, text)

    assert dead_meanwhile == []
    assert project.await_results(len(ids), within_s=40) == ids
    project.assert_ran_once(*ids)
    assert worker.stop() == 0
    for message_id in ids:
        assert warnings_of(worker, about(message_id, holds="workflow")), f"{message_id} was deferred without a warning"


def test_the_last_good_version_of_a_workflow_runs_where_the_configuration_says_so(
    project: EmbeddedFaults, workflows: dict[str, list[str]]
) -> None:
    worker = project.worker(project.embedded(reload="last_good", retry=DEFER))
    first = [f"first-{name}" for name in workflows]
    for message_id, name in zip(first, workflows, strict=True):
        project.put(message_id, workflow=name)
    project.await_results(len(first))

    corrupt_all(project, workflows)
    ids = put_all(project, workflows)

    assert project.await_results(len(first) + len(ids)) == sorted([*first, *ids])
    project.assert_ran_once(*ids)
    for name in workflows:
        assert warnings_of(worker, lambda line, name=name: name in str(line)), f"{name}: the bad file is named"
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
