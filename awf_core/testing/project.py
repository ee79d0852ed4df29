"""A project directory for tests: `.awf/` with a configuration and workflows. The kit's workers run in it.

A workflow appends a line to a mark file at each run, so that a test can count the runs.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DONE = "kit-done"
FAIL = "kit-fail"
SLOW = "kit-slow"


class Project:
    """A project in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.awf = directory / ".awf"
        (self.awf / "workflows").mkdir(parents=True, exist_ok=True)
        self.marks = directory / "marks"
        self.marks.mkdir(exist_ok=True)
        self.gate = directory / "gate"
        self._add_workflows()

    def workflow(self, name: str, command: str) -> None:
        """Add a workflow of one shell command; `$AWF_MESSAGE_ID` is in its environment."""
        document = {
            "name": name,
            "states": {
                "initial": "work",
                "work": {"type": "step", "command": command, "on_success": "done", "on_failure": "failed"},
                "done": {"type": "terminal"},
                "failed": {"type": "terminal", "status": "failure"},
            },
        }
        (self.awf / "workflows" / f"{name}.yaml").write_text(json.dumps(document))

    def configure(self, name: str, mq: Mapping[str, object]) -> str:
        """Write the configuration file `name`.yaml (JSON is YAML); returns the value for AWF_CONFIG_PATH."""
        path = self.awf / f"{name}.yaml"
        path.write_text(json.dumps({"mq": mq}))
        return str(path)

    def environment(self, config_path: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of a process in this project, without the developer's AWF variables."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWF_")}
        return {**own, "AWF_CONFIG_PATH": config_path, **(extra or {})}

    def runs(self, workflow: str) -> list[str]:
        """The message ids of all runs of `workflow`."""
        path = self.marks / workflow
        return path.read_text().splitlines() if path.exists() else []

    def open_gate(self) -> None:
        """Let the runs of the slow workflow end."""
        self.gate.touch()

    def _add_workflows(self) -> None:
        self.workflow(DONE, self._marked(DONE, "true"))
        self.workflow(FAIL, self._marked(FAIL, "false"))
        # It ends after 30 s, so that a failed test leaves no process behind.
        waiting = f"n=0; while [ ! -e '{self.gate}' ] && [ $n -lt 600 ]; do sleep 0.05; n=$((n+1)); done"
        self.workflow(SLOW, self._marked(SLOW, waiting))

    def _marked(self, name: str, command: str) -> str:
        return f"echo \"$AWF_MESSAGE_ID\" >> '{self.marks / name}'; {command}"
