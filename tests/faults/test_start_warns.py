"""What a worker says at its start of directories that can give it no workflow."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from fault_project import warnings_of

if TYPE_CHECKING:
    from embedded_faults import EmbeddedFaults


def test_a_worker_without_any_workflow_says_so_and_names_the_directories(project: EmbeddedFaults) -> None:
    for path in project.workflows.iterdir():
        path.unlink()

    worker = project.worker(project.embedded())

    found = warnings_of(worker, lambda line: str(project.workflows) in str(line) or ".awf/workflows" in str(line))
    assert found, worker.tail()
    assert "workflow" in str(found[0])
    assert worker.stop() == 0


def test_a_workflow_directory_that_does_not_exist_is_named_at_start(project: EmbeddedFaults) -> None:
    shutil.rmtree(project.workflows)

    worker = project.worker(project.embedded())

    found = warnings_of(worker, lambda line: str(project.workflows) in str(line) or ".awf/workflows" in str(line))
    assert found, worker.tail()
    assert worker.stop() == 0


def test_a_directory_with_workflows_is_no_reason_to_warn(project: EmbeddedFaults) -> None:
    worker = project.worker(project.embedded())

    assert warnings_of(worker, lambda line: "workflows" in str(line)) == []
    assert worker.stop() == 0
