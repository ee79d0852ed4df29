"""A stand-in for the original tool's `awf`: its command line, exit codes, error object and state files, as observed.

It runs nothing: a plan written beside it says what happens, by workflow. What it was called with is kept as well.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """#!{python} -IS
import json, os, signal, sys, time, uuid
here = os.path.dirname(os.path.abspath(__file__))
args = sys.argv[1:]
assert args[0] == "run", args
options, inputs, rest = {{}}, {{}}, args[1:]
while rest:
    word = rest.pop(0)
    if word == "--":
        name = rest.pop(0)
    elif word == "--input":
        key, _, value = rest.pop(0).partition("=")
        inputs[key] = value.strip()
    elif word == "--no-color":
        options[word] = True
    else:
        options[word] = rest.pop(0)
plan = json.load(open(os.path.join(here, "plan.json"))).get(name, {{}})
with open(os.path.join(here, "calls.jsonl"), "a") as file:
    shown = {{key: value for key, value in os.environ.items() if key.startswith(("AWF_", "XDG_", "GREETING", "OTHER", "SHELL"))}}
    plugins = os.path.join(options["--storage"], "plugins")
    file.write(json.dumps({{
        "name": name, "inputs": inputs, "options": options, "env": shown, "cwd": os.getcwd(),
        "plugins": sorted(os.listdir(plugins)) if os.path.isdir(plugins) else None,
    }}) + "\\n")
print("Running workflow: " + name)
states = os.path.join(options["--storage"], "states")
if "states" in plan:
    os.makedirs(states)
    run_id = str(uuid.uuid4())
    moment = "2026-01-02T03:04:%02d.123456789Z"
    document = {{
        "WorkflowID": run_id, "WorkflowName": name, "Status": plan.get("status", "completed"),
        "CurrentStep": plan.get("current", "done"), "ExitCode": plan.get("context_exit_code", 0), "Inputs": inputs,
        "States": {{
            state: {{"Name": state, "StartedAt": moment % number, "CompletedAt": moment % (number + 1), **fields}}
            for number, (state, fields) in enumerate(plan["states"].items())
        }},
        "StartedAt": moment % 0, "UpdatedAt": moment % 30, "CompletedAt": moment % 30,
    }}
    with open(os.path.join(states, run_id + ".json"), "w") as file:
        json.dump(document, file)
    child = dict(document, WorkflowID="00000000-child", ParentRunID=run_id, States={{}})
    with open(os.path.join(states, "00000000-child.json"), "w") as file:
        json.dump(child, file)
if plan.get("child"):
    if os.fork() == 0:
        os.setsid()
        time.sleep(120)
        os._exit(0)
if plan.get("hangs"):
    open(os.path.join(here, "hangs"), "w").close()
    time.sleep(120)
if "error" in plan:
    json.dump({{"error": plan["error"], "code": plan.get("exit_code", 3), "error_code": plan.get("code", "")}}, sys.stderr)
    sys.stderr.write("\\n")
sys.stderr.write(plan.get("stderr", ""))
sys.exit(plan.get("exit_code", 0))
"""


class OriginalAwf:
    """The stand-in, in a directory of its own; `path` is the program."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self.path = directory / "awf"
        self.path.write_text(PROGRAM.format(python=sys.executable))
        self.path.chmod(0o755)
        self._plan: dict[str, dict[str, Any]] = {}
        self.plans("nothing")

    def plans(self, workflow: str, **plan: Any) -> None:
        """Say what a run of `workflow` comes to: states, status, current, error, code, exit_code, stderr, hangs."""
        self._plan[workflow] = plan
        (self.directory / "plan.json").write_text(json.dumps(self._plan))

    @property
    def calls(self) -> list[dict[str, Any]]:
        """What it was called with, in order."""
        file = self.directory / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def hangs(self) -> bool:
        """Whether a run hangs now."""
        return (self.directory / "hangs").exists()
