"""Run a few states of a workflow in this process, with stand-ins for the programs they start."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from awf_core.engine.run.engine import Engine
from awf_core.engine.run.events import NoEvents
from awf_core.engine.steps import builtin_step_types
from awf_core.extensions.agents import AgentAnswer, AgentFailed, AgentRequest
from awf_core.extensions.conversation import Tokens
from awf_core.lang.load import parse_workflow
from awf_core.plugin.manager import build_plugins

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from awf_core.extensions.deadline import Cancel
    from awf_core.extensions.outward import OutwardContext
    from awf_core.extensions.results import Run
    from awf_core.lang.step_types import StepTypes

STAND_IN = """#!{python} -SE
import json, os, sys
here = os.path.dirname(os.path.abspath(sys.argv[0]))
name = os.path.basename(sys.argv[0])
seen = {{"argv": [name, *sys.argv[1:]], "cwd": os.getcwd(), "env": dict(os.environ)}}
with open(os.path.join(here, "calls"), "a") as calls:
    calls.write(json.dumps(seen) + "\\n")
{body}
"""


def step_types_with(
    operations: Mapping[str, Any] | None = None, agent_providers: Mapping[str, Any] | None = None, **settings: Any
) -> StepTypes:
    """Every step type, with the built-in integrations and what a test adds to them."""
    registered = build_plugins(None, None, env={"AWF_DISABLE_PLUGINS": "*"}).registered
    return builtin_step_types(
        operations={**registered.operations(), **(operations or {})},
        agent_providers={**registered.agent_providers(), **(agent_providers or {})},
        **settings,
    )


class Heard(NoEvents):
    """Keeps a run's log and the output of its steps."""

    watches_output = True

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.output = b""

    def run_logged(self, run_id: str, workflow: str, level: str, text: str) -> None:
        self.lines.append(f"{level}: {text}")

    def step_output(self, run_id: str, state: str, stream: str, data: bytes) -> None:
        self.output += data


@dataclass
class Place:
    """A project of one workflow, with its own `bin` on PATH and its own home."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    heard: Heard = field(default_factory=Heard)

    def __post_init__(self) -> None:
        for name in ("work/.awf/workflows", "work/bin", "home"):
            (self.root / name).mkdir(parents=True)
        self.env = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.root),
        } | self.env

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def bin(self) -> Path:
        return self.work / "bin"

    def stand_in(self, name: str, *says: object, body: str = "", exit_code: int = 0) -> None:
        """A program that records how it is called, prints `says` (objects as JSON lines), and exits."""
        lines = [say if isinstance(say, str) else json.dumps(say) + "\n" for say in says]
        program = f"{body}\nsys.stdout.write({''.join(lines)!r})\nsys.exit({exit_code})"
        path = self.bin / name
        path.write_text(STAND_IN.format(python=sys.executable, body=program))
        path.chmod(0o755)

    def calls(self) -> list[dict[str, Any]]:
        """How the stand-ins were called, in order."""
        path = self.bin / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def argvs(self) -> list[list[str]]:
        return [call["argv"] for call in self.calls()]

    def write(self, name: str, text: str) -> None:
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(
        self,
        states: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        step_types: StepTypes | None = None,
        cancel: Cancel | None = None,
        **builtin: Any,
    ) -> Run:
        """Run `states` (YAML of `states:` without `initial`, which is `a`; `done` and `failed` are there)."""
        types = step_types or step_types_with(**builtin)
        text = f"name: w\nstates:\n  initial: a\n  done: {{type: terminal}}\n  failed: {{type: terminal, status: failure}}\n{states}"
        source = self.work / ".awf" / "workflows" / "w.yaml"
        workflow = parse_workflow(text.encode(), source=source, step_types=types)
        engine = Engine(step_types=types, env=self.env, events=self.heard)
        return engine.execute(workflow, inputs or {}, cwd=self.work, cancel=cancel)


def one_state(kind: str, **keys: Any) -> str:
    """A state `a` of that type that leads to `done`, or `failed`."""
    return f"  a: {json.dumps({'type': kind, 'on_success': 'done', 'on_failure': 'failed'} | keys)}\n"


class Parrot:
    """A provider of the kind a plugin brings."""

    def __init__(self, output: str = "", failure: AgentFailed | None = None) -> None:
        self.output = output
        self.failure = failure
        self.requests: list[AgentRequest] = []

    def run(self, request: AgentRequest, context: OutwardContext) -> AgentAnswer:
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        return AgentAnswer(output=self.output or request.prompt, tokens=Tokens(used=1), session_id="p-1")
