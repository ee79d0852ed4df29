"""What a step's process leaves behind after a timeout, a cancel, or the death of the worker: nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from awf_core.engine.process.guardian import Guardian
from awf_core.engine.process.run_process import run_process
from awf_core.engine.process.sweep import kill_marked
from awf_core.extensions.deadline import Cancel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ESCAPEES = "setsid sleep 613 & nohup sleep 613 >/dev/null 2>&1 & sleep 613"
ENV = {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}


def until(condition: Callable[[], bool], limit_s: float = 5.0) -> bool:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if condition():
            return True
        threading.Event().wait(0.01)
    return condition()


def open_descriptors() -> list[str]:
    return sorted(entry.name for entry in Path("/proc/self/fd").iterdir())


def carrying(text: str) -> list[int]:
    """Processes whose environment holds `text`, zombies left out."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and text.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


@pytest.fixture
def mark(request: pytest.FixtureRequest) -> Iterator[str]:
    """A text that every process of the test carries in its environment."""
    text = f"AWF_TEST_MARK={os.getpid()}-{request.node.name}"
    yield text
    for pid in carrying(text):
        os.kill(pid, signal.SIGKILL)


def marked_env(mark: str) -> dict[bytes, bytes]:
    name, _, value = mark.partition("=")
    return {**ENV, name.encode(): value.encode()}


def test_a_timeout_kills_what_left_the_process_group(mark: str) -> None:
    finished = run_process(
        ["/bin/sh", "-c", f"echo begun; {ESCAPEES}"],
        env=marked_env(mark),
        cwd=None,
        timeout_s=0.4,
        cancel=Cancel(),
    )

    assert (finished.end, finished.exit_code, finished.stdout) == ("timeout", -1, b"begun\n")
    assert until(lambda: not carrying(mark))


def test_a_cancel_kills_what_left_the_process_group(mark: str) -> None:
    cancel = Cancel()
    results = []
    command = ["/bin/sh", "-c", ESCAPEES]
    thread = threading.Thread(
        target=lambda: results.append(
            run_process(command, env=marked_env(mark), cwd=None, timeout_s=None, cancel=cancel)
        )
    )
    thread.start()
    assert until(lambda: len(carrying(mark)) >= 4)

    cancel.request("stop")
    thread.join(5)

    assert [finished.end for finished in results] == ["cancelled"]
    assert until(lambda: not carrying(mark))


def test_a_descendant_without_group_and_environment_is_killed_too(mark: str, tmp_path: Path) -> None:
    script = f"env -i setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 613' & sleep 613"

    finished = run_process(["/bin/sh", "-c", script], env=marked_env(mark), cwd=None, timeout_s=0.5, cancel=Cancel())

    assert finished.end == "timeout"
    pid = int((tmp_path / "pid").read_text())
    assert until(lambda: not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes())


PARENT = """
import os
from awf_core.extensions.deadline import Cancel
from awf_core.engine.process.run_process import run_process
env = {os.fsencode(k): os.fsencode(v) for k, v in os.environ.items()}
run_process(["/bin/sh", "-c", "sleep 613 >/dev/null 2>&1 & echo spared"],
            env=env | {b"AWF_TEST_PART": b"finished"}, cwd=None, timeout_s=None, cancel=Cancel())
print("ready", flush=True)
run_process(["/bin/sh", "-c", %r], env=env, cwd=None, timeout_s=None, cancel=Cancel())
"""


def test_the_death_of_the_worker_takes_its_running_steps_along_and_no_others(mark: str) -> None:
    name, _, value = mark.partition("=")
    worker = subprocess.Popen(
        [sys.executable, "-c", PARENT % ESCAPEES], env={**os.environ, name: value}, stdout=subprocess.PIPE
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"ready\n"
    assert until(lambda: len(carrying(mark)) >= 6)

    worker.kill()
    worker.wait()
    worker.stdout.close()

    assert until(lambda: len(carrying(mark)) == 1)
    assert carrying("AWF_TEST_PART=finished") == carrying(mark)


def test_an_outer_step_takes_the_steps_inside_it_along(mark: str) -> None:
    inner = f"import os; os.execv({sys.executable!r}, [{sys.executable!r}, '-c', {PARENT % ESCAPEES!r}])"

    finished = run_process(
        [sys.executable, "-c", inner], env=marked_env(mark), cwd=None, timeout_s=1.0, cancel=Cancel()
    )

    assert finished.end == "timeout"
    assert finished.stdout == b"ready\n"
    assert until(lambda: not carrying(mark))


def test_the_guardian_leaves_with_its_worker() -> None:
    script = (
        "from awf_core.engine.process.guardian import guardian\nguardian().open(b'not-a-token')\nprint(guardian().pid)"
    )

    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert until(lambda: not Path(f"/proc/{int(shown.stdout)}").exists())


def test_a_guardian_that_died_is_replaced() -> None:
    guard = Guardian()
    guard.close(guard.open(b"first"))
    first = guard.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)

    assert until(lambda: guard.open(b"again") >= 0 and guard.pid != first)

    guard.stop()


def test_steps_run_without_a_guardian_where_none_can_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    guard = Guardian()

    slots = [guard.open(b"one"), guard.open(b"two")]
    guard.close(slots[0])
    guard.stop()

    assert slots == [-1, -1]
    assert [record.getMessage() for record in caplog.records] == [
        (
            "no guardian process: [Errno 2] No such file or directory: '/no/such/python'; "
            "steps of a killed worker will keep running"
        )
    ]


def test_a_failed_start_leaves_no_descriptor_open() -> None:
    def start() -> str:
        return run_process(["/no/such/program"], env=ENV, cwd=None, timeout_s=None, cancel=Cancel()).problem

    start()
    before = open_descriptors()

    problem = start()

    assert problem == "fork/exec /no/such/program: no such file or directory"
    assert open_descriptors() == before


def test_running_processes_leaves_no_descriptor_open() -> None:
    def run() -> None:
        for script, timeout_s in (("true", None), ("sleep 613", 0.05), ("sleep 0.1; exec >&- 2>&-; sleep 0.05", 5)):
            run_process(["/bin/sh", "-c", script], env=ENV, cwd=None, timeout_s=timeout_s, cancel=Cancel())

    run()
    before = open_descriptors()

    run()

    assert open_descriptors() == before


def test_a_process_that_never_stops_writing_is_stopped_in_time() -> None:
    finished = run_process(["/bin/sh", "-c", "yes"], env=ENV, cwd=None, timeout_s=0.2, cancel=Cancel())

    assert finished.end == "timeout"
    assert finished.stdout.startswith(b"y\ny\n")


def test_a_process_is_waited_for_after_it_closed_its_output() -> None:
    script = "exec >&- 2>&-; sleep 0.1; exit 7"

    finished = run_process(["/bin/sh", "-c", script], env=ENV, cwd=None, timeout_s=5, cancel=Cancel())

    assert (finished.end, finished.exit_code) == ("exited", 7)


def test_who_watches_the_output_and_breaks_leaves_no_process(mark: str) -> None:
    def broken(stream: str, data: bytes) -> None:
        raise RuntimeError("watcher")

    with pytest.raises(RuntimeError, match="watcher"):
        run_process(
            ["/bin/sh", "-c", f"echo x; {ESCAPEES}"],
            env=marked_env(mark),
            cwd=None,
            timeout_s=None,
            cancel=Cancel(),
            on_output=broken,
        )

    assert until(lambda: not carrying(mark))


def test_the_guardian_ignores_what_a_terminal_sends() -> None:
    guard = Guardian()
    guard.open(b"token")
    assert guard.pid is not None
    ignored = (1 << (signal.SIGTERM - 1)) | (1 << (signal.SIGINT - 1))

    def ignores() -> bool:
        lines = Path(f"/proc/{guard.pid}/status").read_text().splitlines()
        mask = next(int(line.split()[1], 16) for line in lines if line.startswith("SigIgn"))
        return mask & ignored == ignored

    assert until(ignores)
    assert os.getsid(guard.pid) != os.getsid(0)

    guard.stop()


def test_sweeping_finds_a_process_by_its_token_only() -> None:
    token = f"tok-{os.getpid()}"
    marked = subprocess.Popen(["sleep", "613"], env={"AWF_STEP_TOKEN": f"outer,{token}"})
    other = subprocess.Popen(["sleep", "613"], env={"SOMETHING": token})

    kill_marked((token.encode(),))

    assert marked.wait(5) == -signal.SIGKILL
    assert other.poll() is None
    other.kill()
    other.wait()
