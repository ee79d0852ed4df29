"""Run a workflow in this process with every installed plugin, as `awf run` does. For the tests of plugins."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from awf_core.cli.run_flow import Refused, RunRequest, run_here
from awf_core.engine.run.events import NoEvents
from awf_core.extensions.deadline import Cancel
from awf_core.extensions.results import Run

_NAME = re.compile(r"^name:\s*[\"']?([\w-]+)", re.MULTILINE)


def run_workflow(
    text: str,
    inputs: Mapping[str, Any] | None = None,
    *,
    cwd: Path,
    config: str = "",
    env: Mapping[str, str] | None = None,
) -> Run:
    """Run the workflow of the YAML `text` in the directory `cwd`, and wait until it ends.

    inputs    keep their types; they must be what JSON can hold
    config    the text of `.awf/config.yaml`, for instance to choose an executor; empty = none
    env       the environment, None = this process's

    Writes below `cwd/.awf` only, records of the run included. Raises the AwfError that keeps the run from starting;
    what the workflow does is never an exception.
    """
    found = _NAME.search(text)
    assert found is not None, "the workflow has no `name:`"
    awf = cwd / ".awf"
    (awf / "workflows").mkdir(parents=True, exist_ok=True)
    (awf / "workflows" / f"{found[1]}.yaml").write_text(text, encoding="utf-8")
    (awf / "inputs.json").write_text(json.dumps(dict(inputs or {})), encoding="utf-8")
    if config:
        (awf / "config.yaml").write_text(config, encoding="utf-8")
    request = RunRequest(name=found[1], inputs_file=awf / "inputs.json", storage=awf / "records")
    environment = {**(os.environ if env is None else env), "AWF_AUDIT_LOG": "off"}
    try:
        return run_here(request, cwd=cwd, env=environment, cancel=Cancel(), events=NoEvents(), warn=lambda _: None)
    except Refused as refused:
        raise refused.error from refused
