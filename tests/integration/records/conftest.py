"""Workflows run as `awf run` runs them, with their records in a directory of the test; commands called in process."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from awf_core.cli.main import main
from awf_core.cli.resume import ResumeRequest, resume_here
from awf_core.cli.run_flow import RunRequest, run_here
from awf_core.engine.cancel import Cancel
from awf_core.engine.events import NoEvents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from awf_core.engine.record import Run

RUN_ID = "11111111-2222-4333-8444-555555555555"


class Place:
    """A project, the records of its runs, and what was warned of."""

    def __init__(self, directory: Path, data: Path) -> None:
        self.directory = directory
        self.records = data / "awf"
        self.env = {**os.environ, "XDG_DATA_HOME": str(data), "USER": "tester", "SHELL": "/bin/sh"}
        self.warnings: list[str] = []
        (directory / ".awf/workflows").mkdir(parents=True)

    def workflow(self, states: str, *, name: str = "w", head: str = "") -> None:
        text = f"name: {name}\n{head}\nstates:\n  initial: a\n  {states.strip()}\n  done: {{type: terminal}}\n"
        (self.directory / f".awf/workflows/{name}.yaml").write_text(text)

    def run(self, *pairs: str, name: str = "w", run_id: str = RUN_ID, cancel: Cancel | None = None) -> Run:
        asked = RunRequest(name=name, pairs=pairs, run_id=run_id)
        return run_here(asked, **self._how(cancel))

    def resume(self, *pairs: str, run_id: str = RUN_ID, origin: str = "current") -> Run:
        return resume_here(ResumeRequest(run_id=run_id, origin=origin, pairs=pairs), **self._how(None))

    def state(self, run_id: str = RUN_ID) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.records / f"states/{run_id}.json").read_text())
        return document

    def lines(self, path: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.records / path).read_text().splitlines()]

    def _how(self, cancel: Cancel | None) -> dict[str, Any]:
        return {
            "cwd": self.directory,
            "env": self.env,
            "cancel": cancel or Cancel(),
            "events": NoEvents(),
            "warn": self.warnings.append,
        }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "project", tmp_path / "data")


@dataclass(frozen=True)
class Ended:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def data(self) -> Any:
        return json.loads(self.stdout)


@pytest.fixture
def awf(place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Call `awf` in the project."""
    monkeypatch.chdir(place.directory)
    monkeypatch.setenv("XDG_DATA_HOME", place.env["XDG_DATA_HOME"])

    def call(*arguments: str) -> Ended:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, said.out, said.err)

    return call
