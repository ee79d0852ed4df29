"""The example plugin, installed as pip leaves it, at work for messages of the embedded queue and for `awf run`."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awf_process
import pytest
from queue_project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[2] / "examples" / "awf-plugin-extras"


def install(site: Path) -> None:
    """The package and its dist-info, with the entry points its own pyproject names."""
    shutil.copytree(EXAMPLE / "src" / "awf_plugin_extras", site / "awf_plugin_extras")
    described = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    info = site / f"{described['name'].replace('-', '_')}-{described['version']}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {described['name']}\nVersion: {described['version']}\n"
    (info / "METADATA").write_text(head)
    groups = described["entry-points"].items()
    lines = [line for group, names in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in names.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    site = tmp_path / "site"
    site.mkdir()
    install(site)
    directory = tmp_path / "project"
    directory.mkdir()
    project = Project(directory).make_queue()
    project.workflow_text("extras", (EXAMPLE / "workflows" / "extras.yaml").read_text())
    (directory / "a.txt").write_text("content")
    with closing(sqlite3.connect(directory / "seen.db")) as connection:
        connection.execute("CREATE TABLE seen(id INTEGER PRIMARY KEY, path TEXT, checksum TEXT)")
    yield project
    awf_process.kill_all(directory)


def env(project: Project) -> dict[str, str]:
    return {"PYTHONPATH": str(project.directory.parent / "site")}


def run_json(project: Project, **inputs: str) -> dict[str, Any]:
    arguments = [part for name, value in inputs.items() for part in ("--input", f"{name}={value}")]
    shown = awf_process.awf(project.directory, "run", "extras", *arguments, "--format", "json", env=env(project))
    found: dict[str, Any] = json.loads(shown.stdout)
    return found


def test_a_message_runs_the_plugins_operation_step_type_and_agent(project: Project) -> None:
    project.put({"id": "m-1", "workflow": "extras", "inputs": {"path": "a.txt"}, "reply_to": "results"})

    worker = awf_process.awf(project.directory, "worker", "--burst", env=env(project))

    (result,) = project.results()
    assert worker.returncode == 0, worker.stderr
    assert (result["status"], result["output"]) == ("completed", "seen as 1 7 bytes")
    with closing(sqlite3.connect(project.directory / "seen.db")) as connection:
        assert connection.execute("SELECT path, checksum FROM seen").fetchall() == [
            ("a.txt", hashlib.sha256(b"content").hexdigest())
        ]


def test_the_run_command_knows_the_plugin_too(project: Project) -> None:
    completed = run_json(project, path="a.txt")
    failed = run_json(project, path="none.txt")

    assert completed["states"]["store"]["JSON"] == [{"id": 1}]
    assert failed["error"]["message"] == "step checksum: file.checksum: none.txt: No such file or directory"


def test_the_example_of_the_readme_is_the_workflow_that_is_tested() -> None:
    shown = (EXAMPLE / "README.md").read_text().split("```yaml\n")[1].split("```")[0]

    assert shown == (EXAMPLE / "workflows" / "extras.yaml").read_text()
