"""`python -m bench --guard`: four ratios that a change must not multiply. The last step of `make test`.

Each figure is CPU time over the CPU time of a reference that runs at the same moment, so a busy machine changes both.
The limits are generous: they catch a cost that doubled, not one that grew by a tenth.
"""

from __future__ import annotations

import resource
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from awf_core.testing.brokers import redis_program
from bench import noise
from bench.project import Project
from bench.redis_worker import RedisProject
from bench.worker import AWF, clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.worker import InFolder

NOOPS, COMMANDS, CONCURRENCY = 1_000, 200, 5
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Guarded:
    """A ratio and the most it may be."""

    name: str
    limit: float
    measure: Callable[[Path], float]


def main(directory: Path) -> int:
    """Print the four ratios; 0, or 1 where one is over its limit in two attempts. Left out: Redis without a server."""
    over = []
    with tempfile.TemporaryDirectory(prefix="awf-guard-", dir=directory) as scratch:
        for guarded in GUARDED:
            if guarded.measure is redis_noops and redis_program() is None:
                print(f"left out  {guarded.name}: no redis-server is installed")
                continue
            ratio = guarded.measure(Path(scratch))
            if ratio > guarded.limit:
                ratio = min(ratio, guarded.measure(Path(scratch)))
            print(f"{'ok' if ratio <= guarded.limit else 'OVER':9} {ratio:6.1f} of {guarded.limit:g} × {guarded.name}")
            if ratio > guarded.limit:
                over.append(guarded.name)
    if over:
        print("over the limit twice; profile the change, or raise the limit in bench/guard.py with its reason")
    return 1 if over else 0


def start(directory: Path) -> float:
    """A worker that runs one message, over the raw loop."""
    with Project(directory) as project:
        project.fill("noop", 1)
        return _in_raw_loops(project)


def embedded_noops(directory: Path) -> float:
    """A worker that runs 1,000 no-op messages on the embedded queue, its start included, over the raw loop."""
    with Project(directory) as project:
        project.fill("noop", NOOPS)
        ratio = _in_raw_loops(project)
        project.check_all_completed(NOOPS)
    return ratio


def redis_noops(directory: Path) -> float:
    """The same on Redis; the server's CPU is not in it."""
    with RedisProject(directory) as project:
        project.fill(NOOPS)
        ratio = _in_raw_loops(project)
        project.check_all_completed(NOOPS)
    return ratio


def commands(directory: Path) -> float:
    """Command steps, start apart, over `xargs -P5 -n1 sh -c true`: both as CPU with all children."""
    with Project(directory) as project:
        project.fill("noop", 1)
        once = _worker_cpu_s(project)
    with Project(directory) as project:
        project.fill("shell", COMMANDS)
        many = _worker_cpu_s(project)
        project.check_all_completed(COMMANDS)
    numbers = "\n".join(map(str, range(COMMANDS)))
    xargs = ["xargs", f"-P{CONCURRENCY}", "-n1", "sh", "-c", "true"]
    return max(many - once, 0.0) / _children_cpu_s(lambda: subprocess.run(xargs, input=numbers, text=True, check=True))


def _in_raw_loops(project: InFolder) -> float:
    before_s = noise.raw_cpu_s()
    used_s = _worker_cpu_s(project)
    return used_s / max(before_s, noise.raw_cpu_s())


def _worker_cpu_s(project: InFolder) -> float:
    argv = [AWF, "worker", "--burst", "--log-level", "error", "--concurrency", str(CONCURRENCY)]
    environment = clean_environment(project.path) | {"SHELL": "/bin/sh"}
    return _children_cpu_s(
        lambda: subprocess.run(argv, cwd=project.path, env=environment, check=True, timeout=TIMEOUT_S)
    )


def _children_cpu_s(run: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


GUARDED = (
    Guarded("raw loops: CPU of a worker's start, one message included", 120, start),
    Guarded("raw loops: CPU of a start and 1,000 no-op messages, embedded queue", 250, embedded_noops),
    Guarded("raw loops: CPU of a start and 1,000 no-op messages, Redis", 200, redis_noops),
    Guarded("xargs: CPU of command steps over xargs -P5 -n1 sh -c true", 6, commands),
)
