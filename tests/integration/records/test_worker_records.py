"""What a worker keeps of its runs: nothing, unless it is asked to."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING

import pytest
from queue_project import QUEUE, Project

from awf_core.config.load import load_config
from awf_core.observe.log import configure_logging
from awf_core.worker.build import WorkerOptions, build_worker

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    directory = tmp_path / "project"
    directory.mkdir()
    project = Project(directory).make_queue()
    project.workflow("greet", "echo hi")
    return project


def serve(project: Project, data: Path, **env: str) -> int:
    project.put({"workflow": "greet", "id": "m-1"})
    environment = {**os.environ, "XDG_DATA_HOME": str(data), **env}
    config = load_config(cwd=project.directory, env=environment)
    options = WorkerOptions(queues=[QUEUE], name="tester", burst=True)
    worker, _ = build_worker(config, options, cwd=project.directory, env=environment)
    return worker.serve()


def kept(data: Path) -> list[str]:
    return sorted(str(path.relative_to(data)) for path in data.rglob("*") if path.is_file())


def test_a_worker_writes_no_file_for_a_message_by_default(project: Project, tmp_path: Path) -> None:
    assert serve(project, tmp_path / "data") == 0

    assert not (tmp_path / "data").exists()


def test_records_are_kept_where_the_configuration_asks_for_them(project: Project, tmp_path: Path) -> None:
    project.mq(records=True)

    assert serve(project, tmp_path / "data") == 0

    names = {path.split("/")[1] for path in kept(tmp_path / "data")}
    assert {"audit.jsonl", "states", "transcripts"} < names
    (state,) = (tmp_path / "data/awf/states").iterdir()
    assert json.loads(state.read_text())["States"]["work"]["Output"] == "hi\n"


@pytest.mark.parametrize("name", ["off", ""])
def test_the_variable_of_the_audit_log_asks_for_nothing_when_it_is_off(
    project: Project, tmp_path: Path, name: str
) -> None:
    serve(project, tmp_path / "data", AWF_AUDIT_LOG=name)

    assert not (tmp_path / "data").exists()


def test_a_path_for_the_audit_log_asks_for_that_alone(project: Project, tmp_path: Path) -> None:
    serve(project, tmp_path / "data", AWF_AUDIT_LOG=str(tmp_path / "audit.jsonl"))

    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["workflow.started", "workflow.completed"]
    assert not (tmp_path / "data").exists()


def test_records_that_can_not_be_written_are_warned_of_and_the_message_is_done(
    project: Project, tmp_path: Path
) -> None:
    log = io.StringIO()
    configure_logging("json", "info", log)
    project.mq(records=True)
    (tmp_path / "data").write_text("no directory")

    code = serve(project, tmp_path / "data")

    configure_logging(None, "info")
    warned = [line for line in map(json.loads, log.getvalue().splitlines()) if line["event"] == "records.incomplete"]
    assert code == 0
    assert len(warned) == 4
    assert all(line["level"] == "warning" and "records are incomplete: " in line["error"] for line in warned)
