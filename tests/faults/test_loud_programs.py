"""Agents, `gh`, `notify-send` and the original tool may print without end: a worker keeps a little, and says so."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fault_project import status_kb

if TYPE_CHECKING:
    from embedded_faults import EmbeddedFaults

    from awf_core.testing.process import LoggedProcess

PRINTED_BYTES = 80_000_000
KEPT_BYTES = 20_000
GROWTH_KB = 24 * 1024
"""What a worker's peak may grow by: a fraction of what one program prints."""
LOUD = f"echo first; yes 0123456789 | head -c {PRINTED_BYTES}; echo; echo last"
OPERATIONS = {
    "gh": {"type": "operation", "operation": "github.get_issue", "inputs": {"number": 1, "repo": "o/r"}},
    "notify-send": {"type": "operation", "operation": "notify.send", "inputs": {"backend": "desktop", "message": "m"}},
}
AGENT = {"type": "agent", "provider": "claude", "prompt": "p", "options": {"output_format": "json"}}


def stand_in(project: EmbeddedFaults, program: str, text: str) -> None:
    """Put a shell program of that name on the worker's PATH."""
    path = project.directory / "bin" / program
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def worker(project: EmbeddedFaults) -> LoggedProcess:
    """A worker whose programs are all loud, and that has run a message."""
    for name, step in {**OPERATIONS, "claude": AGENT}.items():
        stand_in(project, name, LOUD)
        states = {"initial": "a", "a": {**step, "on_success": "done"}, "done": {"type": "terminal"}}
        (project.workflows / f"{name}.yaml").write_text(json.dumps({"name": name, "states": states}))
    result = {"type": "result", "result": "the answer", "session_id": "S"}
    stand_in(project, "claude", f"{LOUD}; echo '{json.dumps(result)}'")
    # As the original tool leaves the record of a run whose step printed as much.
    state = "$(echo \"$@\" | sed 's/.*--storage //; s/ .*//')/states"
    big = f"printf '{{\"output\": \"'; yes 0123456789 | tr -d '\\n' | head -c {PRINTED_BYTES}; printf '\"}}'"
    stand_in(project, "original", f"{LOUD}; {LOUD} >&2; mkdir -p {state}; ({big}) > {state}/r.json")
    project.nothing("external")
    config = project.embedded(max_output_bytes=KEPT_BYTES, workflows={"external": {"executor": "awf-cli"}})
    path = Path(config)
    document = {**json.loads(path.read_text()), "executor_path": str(project.directory / "bin" / "original")}
    path.write_text(json.dumps(document))
    started = project.worker(
        config,
        *("--concurrency", "1", "--log-level", "debug"),
        env={"PATH": f"{project.directory / 'bin'}{os.pathsep}{os.environ['PATH']}", "AWF_TEST_MODE": ""},
    )
    project.step("quiet", "echo quiet")
    project.put("quiet", workflow="quiet")
    project.await_results(1)
    return started


def test_what_programs_print_is_kept_in_memory_up_to_the_limit_and_each_cut_is_named(
    project: EmbeddedFaults, worker: LoggedProcess
) -> None:
    peak_kb = status_kb(worker.pid, "VmHWM")

    for number, name in enumerate((*OPERATIONS, "claude", "external"), start=2):
        project.put(name, workflow=name)
        project.await_results(number, within_s=40)
    grown_kb = status_kb(worker.pid, "VmHWM") - peak_kb

    results: dict[str, dict[str, Any]] = {result["message_id"]: result for result in project.results()}
    assert grown_kb < GROWTH_KB, f"{PRINTED_BYTES} bytes printed, {KEPT_BYTES} kept, peak grew by {grown_kb} KiB"
    for name in OPERATIONS:
        output = results[name]["output"]
        assert results[name]["status"] == "completed"
        assert "first\n0123456789" in output
        assert output.endswith("last") or "last\n" in output
        assert "bytes left out, see mq.max_output_bytes]" in output
        assert len(output) < 2 * KEPT_BYTES
    assert results["claude"]["output"] == "the answer"
    assert "are not read, see mq.max_output_bytes]" in results["external"]["output"]
    for name in (*OPERATIONS, "claude"):
        assert [line for line in list(worker.log) if f"{name}: " in str(line) and "left out" in str(line)], name
    assert worker.stop() == 0
