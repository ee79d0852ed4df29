"""What has ended is killed no second time, and what a plugin started is left to the plugin."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest
from eventually import eventually

from awf_core.engine.process import orphans
from awf_core.engine.process.sweep import is_of_a_step, kill_marked, limit_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
TOKEN = b"0123456789abcdef0123456789abcdef"


def ended_child(*, of_step: bool) -> subprocess.Popen[bytes]:
    """A child that has ended with code 3 and has not been waited for."""

    def mark() -> None:
        resource.setrlimit(resource.RLIMIT_RTTIME, (limit_of(TOKEN), resource.RLIM_INFINITY))

    child = subprocess.Popen(["sh", "-c", "exit 3"], preexec_fn=mark if of_step else None)  # noqa: PLW1509
    eventually(lambda: orphans._is_zombie(str(child.pid)), what="the end of the child")
    return child


def test_a_step_process_that_has_ended_is_killed_no_second_time():
    child = ended_child(of_step=True)

    assert is_of_a_step(child.pid)
    assert kill_marked((TOKEN,)) == 0

    child.wait()


def test_the_reaper_takes_what_steps_left_and_leaves_a_plugins_child_its_exit_code():
    of_step, of_plugin = ended_child(of_step=True), ended_child(of_step=False)

    orphans.reap(orphans.reap(frozenset()))

    assert of_plugin.wait() == 3
    with pytest.raises(ChildProcessError):
        os.waitpid(of_step.pid, os.WNOHANG)
    of_step.returncode = 3
