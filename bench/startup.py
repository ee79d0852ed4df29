"""How soon a worker settles its first message, and `awf --help` answers. Called by `__main__`."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from bench.figure import Figure
from bench.project import Project
from bench.worker import AWF, Worker, clean_environment

if TYPE_CHECKING:
    from bench.plan import Plan

AIM_FIRST_MESSAGE_S = 0.5
AIM_HELP_S = 0.25
TIMEOUT_S = 30.0


def measure(plan: Plan) -> list[Figure]:
    """Both, in turns; each has one start before that doesn't count, which fills the caches of files and bytecode."""
    first_message_s(plan)
    help_s(plan)
    pairs = [(first_message_s(plan), help_s(plan), _bare_python_s()) for _ in range(plan.starts)]
    first, helped, bare = (tuple(values) for values in zip(*pairs, strict=True))
    return [
        Figure(
            name="worker start to first message settled",
            unit="s",
            rounds=first,
            aim=AIM_FIRST_MESSAGE_S,
            better="less",
            note="from before the process is made to the result's time in the queue file",
        ),
        Figure(name="awf --help", unit="s", rounds=helped, aim=AIM_HELP_S, better="less"),
        Figure(name="  a bare `python -c pass`", unit="s", rounds=bare, is_awf=False),
    ]


def first_message_s(plan: Plan) -> float:
    """One cold process, one message waiting."""
    with Project(plan.directory) as project:
        project.fill("noop", 1)
        with Worker(project, "--max-messages", "1") as worker:
            worker.watch_to_end(timeout_s=TIMEOUT_S)
        return project.settled_at_s()[0] - worker.spawned_at_s


def help_s(plan: Plan) -> float:
    """One `awf --help`, from start to end."""
    return _wall_s([AWF, "--help"], clean_environment(plan.directory))


def _bare_python_s() -> float:
    import sys

    return _wall_s([sys.executable, "-c", "pass"], None)


def _wall_s(argv: list[str], env: dict[str, str] | None) -> float:
    started_s = time.perf_counter()
    subprocess.run(argv, env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started_s
