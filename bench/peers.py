"""Other task queues beside ours, measured by a folder that is no part of this project. Called by `__main__`.

`AWF_BENCH_PEERS` names the folder: it has a `run.py` with `throughput` and `command`, as its README describes.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.figure import BenchFailed, Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.plan import Plan

FOLDER = "AWF_BENCH_PEERS"
VENV = "BENCH_VENV"
VENV_FOR_OTHERS = "BENCH_VENV_COMPAT"
"""The folder's second environment: asked for its versions even where no contestant that is run needs it."""
CONTESTANTS = {
    "throughput": ("huey-sqlite", "huey-redis", "dramatiq-redis-pf128"),
    "command": ("dramatiq-redis-cmd", "taskiq-stream-cmd"),
}
TIMEOUT_S = 1800.0


def measure(plan: Plan) -> list[Figure]:
    """The peers' rates; nothing when no folder is named. Raises BenchFailed with what to set or install."""
    named = os.environ.get(FOLDER)
    if not named:
        print(f"left out: {FOLDER} is not set to a folder with other workers' adapters")
        return []
    folder = Path(named).resolve()
    python = interpreter(folder, os.environ)
    runs: list[dict[str, Any]] = []
    for kind, names in CONTESTANTS.items():
        runs += run(folder, python, kind, names, plan)
    return figures(runs)


def interpreter(folder: Path, env: os._Environ[str] | dict[str, str]) -> Path:
    """The Python that has the peers installed. Raises BenchFailed."""
    if not (folder / "run.py").is_file():
        raise BenchFailed(f"{FOLDER}={folder}: there is no run.py in it")
    python = Path(env.get(VENV) or folder / ".venv-bench") / "bin" / "python"
    if not python.is_file():
        raise BenchFailed(
            f"{python} is not there: make a virtual environment with the packages that {folder}/README.md lists, "
            f"and set {VENV} to it"
        )
    return python


def figures(runs: Sequence[dict[str, Any]]) -> list[Figure]:
    """A rate and a CPU figure per contestant, from the records of its results file. Pure."""
    rates: dict[str, list[float]] = defaultdict(list)
    cpu: dict[str, list[float]] = defaultdict(list)
    found = []
    for run in runs:
        if run.get("failed"):
            print(f"{run.get('contestant', run.get('name'))} failed: {run['failed']}")
        elif run.get("kind") in CONTESTANTS:
            rates[run["contestant"]].append(float(run["rate"]))
            cpu[run["contestant"]].append(float(run["cpu_s_per_1k"]))
    for name, values in rates.items():
        found.append(Figure(name=f"peer {name}", unit="/s", rounds=tuple(values), is_awf=False))
        found.append(Figure(name="  its CPU", unit="s/1k", rounds=tuple(cpu[name]), is_awf=False))
    return found


def run(folder: Path, python: Path, kind: str, names: Sequence[str], plan: Plan) -> list[dict[str, Any]]:
    """The records of `plan.rounds` rounds of these contestants. Raises BenchFailed."""
    with tempfile.TemporaryDirectory(prefix="awf-bench-peers-", dir=plan.directory) as directory:
        out = Path(directory) / "results.json"
        count = plan.messages if kind == "throughput" else plan.commands
        options = ["--only", ",".join(names), "--rounds", str(plan.rounds), "-n", str(count), "--out", str(out)]
        ended = subprocess.run(
            [str(python), "run.py", kind, *options],
            cwd=folder,
            env=_environment(python.parent.parent, directory),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        if ended.returncode or not out.exists():
            raise BenchFailed(f"{folder}/run.py {kind} ended with {ended.returncode}:\n{ended.stderr[-2000:]}")
        runs: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))["runs"]
        return runs


def _environment(venv: Path, scratch: str) -> dict[str, str]:
    # Bytecode goes elsewhere: the folder may be read-only, and stays as it was.
    return {VENV_FOR_OTHERS: str(venv), **os.environ, VENV: str(venv), "PYTHONPYCACHEPREFIX": scratch}
