"""Crash points: named, complete, deadly only when armed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from awf_core import crash_points

CORE = Path(crash_points.__file__).parent
NAME = re.compile(r'"((?:pipeline|settle)\.\w+)"')
PROGRAM = """
from awf_core.crash_points import crash_point
for number in range(5):
    print(number, flush=True)
    crash_point("settle.acked")
"""


def run(armed: str | None) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != crash_points.VARIABLE}
    if armed is not None:
        env[crash_points.VARIABLE] = armed
    return subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, timeout=30)


def test_every_crash_point_is_passed_by_the_worker_and_every_one_passed_is_listed():
    sources = [path.read_text() for path in (CORE / "worker").glob("*.py")]

    named = {name for source in sources for name in NAME.findall(source)}

    assert named == set(crash_points.CRASH_POINTS)
    assert all(crash_points.CRASH_POINTS.values())


def test_an_unarmed_process_lives():
    assert run(None).stdout.split() == ["0", "1", "2", "3", "4"]


def test_a_process_armed_for_another_point_lives():
    assert run("settle.nacked").returncode == 0


@pytest.mark.parametrize(("armed", "survived"), [("settle.acked", ["0"]), ("settle.acked:3", ["0", "1", "2"])])
def test_an_armed_process_dies_at_the_named_visit_without_a_word(armed, survived):
    ended = run(armed)

    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split() == survived
    assert ended.stderr == ""
