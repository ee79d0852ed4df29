"""The rules of the language, each with a whole workflow of our own: what `rules.yaml` says comes of it.

The corpus holds what was observed; these hold what follows from the rules. All run through the flow of `awf run` in
this process, some through the installed command as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from awf_core.cli.run_flow import RunRequest, run_here
from awf_core.cli.run_report import RunReport
from awf_core.engine.agents.user_input import NoInput
from awf_core.engine.cancel import Cancel

if TYPE_CHECKING:
    from collections.abc import Iterator

AWF = Path(sys.executable).with_name("awf")
RULES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "rules.yaml").read_text(encoding="utf-8"))
THROUGH_THE_COMMAND = RULES[::9]


def id_of(rule: dict[str, Any]) -> str:
    return str(rule["id"]).replace(" ", "-")


class Project:
    """The directory a rule's workflow runs in, laid out, and its environment."""

    def __init__(self, rule: dict[str, Any], root: Path) -> None:
        self.rule = rule
        self.work = root / "work"
        for directory in (self.work / ".awf/workflows", root / "home", root / "tmp"):
            directory.mkdir(parents=True)
        files = {".awf/workflows/w.yaml": workflow_text(rule), **rule.get("files", {})}
        for name, text in files.items():
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).write_text(text, encoding="utf-8")
        self.env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(root / "home"),
            "USER": "tester",
            "SHELL": "/bin/bash",
            "LANG": "C.UTF-8",
            "AWF_AUDIT_LOG": "off",
            "TMPDIR": str(root / "tmp"),
            **rule.get("env", {}),
        }
        self.pairs = [f"{name}={value}" for name, value in rule.get("inputs", {}).items()]

    def differences(self, shown: dict[str, Any]) -> list[str]:
        """Where `shown`, the object `awf run --format json` prints, is not what the rule expects."""
        seen = {**shown, "error": (shown["error"] or {}).get("message")}
        seen["files"] = {name: self.content(name) for name in self.rule["expect"].get("files", {})}
        if self.rule.get("unordered"):
            seen["path"] = sorted(seen["path"])
        return list(differences(self.rule["expect"], seen, "run"))

    def content(self, name: str) -> str | None:
        path = self.work / name
        return path.read_text(encoding="utf-8") if path.exists() else None


def workflow_text(rule: dict[str, Any]) -> str:
    ends = {"done": {"type": "terminal"}, "fail": {"type": "terminal", "status": "failure"}}
    states = {"initial": next(iter(rule["states"])), **rule["states"], **ends}
    return yaml.safe_dump({"name": "w", "states": states, "hooks": rule.get("hooks", {})}, sort_keys=False)


def differences(expected: Any, seen: Any, place: str) -> Iterator[str]:
    """What of `expected` is not in `seen`; an empty mapping expects nothing to be there."""
    if isinstance(expected, dict) and expected and isinstance(seen, dict):
        for key, value in expected.items():
            yield from differences(value, seen.get(key, "(absent)"), f"{place}.{key}")
    elif expected != seen:
        yield f"{place}: expected {expected!r}, got {seen!r}"


@pytest.mark.parametrize("rule", RULES, ids=id_of)
def test_a_workflow_does_what_the_rules_say(rule: dict[str, Any], tmp_path: Path) -> None:
    project = Project(rule, tmp_path)
    cancel = Cancel()

    run = run_here(
        RunRequest(name="w", pairs=project.pairs),
        cwd=project.work,
        env=project.env,
        cancel=cancel,
        events=RunReport("silent", cancel),
        warn=lambda _: None,
        user_input=NoInput(),
    )

    assert project.differences(run.as_json()) == []


@pytest.mark.parametrize("rule", THROUGH_THE_COMMAND, ids=id_of)
def test_the_command_does_what_the_rules_say(rule: dict[str, Any], tmp_path: Path) -> None:
    project = Project(rule, tmp_path)
    given = [f"--input={pair}" for pair in project.pairs]

    process = subprocess.run(
        [AWF, "run", "--format", "json", "w", *given],
        cwd=project.work,
        env=project.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )

    shown = json.loads(process.stdout)
    assert process.returncode == shown["exit_code"], process.stderr.decode()
    assert project.differences(shown) == []


def test_a_rule_that_does_not_hold_is_reported_with_its_place() -> None:
    seen = {"status": "failed", "states": {"a": {"ExitCode": 1}}}

    found = list(differences({"status": "completed", "states": {"a": {"ExitCode": 1}, "b": {}}}, seen, "run"))

    assert found == ["run.status: expected 'completed', got 'failed'", "run.states.b: expected {}, got '(absent)'"]
