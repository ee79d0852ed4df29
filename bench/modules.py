"""What a worker imports, and the resident memory of each top-level package. Called by `__main__`.

A fresh interpreter imports what a running worker has in `sys.modules`, in the worker's order, and reads
`/proc/self/statm` after each: memory that two packages share counts for the first of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from bench.figure import BenchFailed, Figure
from bench.plan import Plan

SHOWN = 15
LOADED = """
import json, os, sys
page = os.sysconf("SC_PAGE_SIZE")
def rss():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * page
start = rss()
used, nested = {}, []
import importlib._bootstrap as bootstrap
original = bootstrap._load_unlocked
def load(spec):
    before = rss()
    nested.append(0)
    try:
        return original(spec)
    finally:
        whole = rss() - before
        below = nested.pop()
        if nested:
            nested[-1] += whole
        top = spec.name.partition(".")[0]
        size, count = used.get(top, (0, 0))
        used[top] = (size + whole - below, count + 1)
bootstrap._load_unlocked = load
import awf_core.cli.main
import awf_core.cli.worker
import awf_core.worker.build
import awf_core.backends.sqlite.backend
print(json.dumps({"start": start, "end": rss(), "used": used}))
"""


def measure(plan: Plan) -> list[Figure]:  # noqa: ARG001  (every section has the same face)
    """The whole, and the packages that take most."""
    ended = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True)
    if ended.returncode:
        raise BenchFailed(f"what a worker imports could not be imported:\n{ended.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(ended.stdout)
    used = sorted(found["used"].items(), key=lambda item: -item[1][0])
    figures = [
        Figure(name="RSS of a bare interpreter", unit="MB", rounds=(found["start"] / 1e6,), is_awf=False),
        Figure(name="RSS with all that a worker imports", unit="MB", rounds=(found["end"] / 1e6,)),
    ]
    return figures + [
        Figure(name=f"  {name}", unit="MB", rounds=(max(size, 0) / 1e6,), note=f"{count} modules")
        for name, (size, count) in used[:SHOWN]
    ]
