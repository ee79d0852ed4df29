"""Parallel steps: strategies, what is stopped and what of it is left, how many run at once."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from engine_kit import Kit, branch_threads, failing, until

from awf_core.engine.run.branches import Branches
from awf_core.extensions.conversation import Tokens
from awf_core.extensions.deadline import Cancel
from awf_core.extensions.steps import StepContext, StepResult

if TYPE_CHECKING:
    from collections.abc import Iterator

    from awf_core.extensions.results import Run

MEET_S = 10.0
"""How long branches wait for each other; only a failing test takes that long."""


class Crowd:
    """Counts who is in at the same time. `together` waits until that many are."""

    def __init__(self, together: int) -> None:
        self._lock = threading.Lock()
        self._barrier = threading.Barrier(together)
        self._inside = 0
        self.most = 0

    def __call__(self, _: StepContext) -> None:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
        self._barrier.wait(MEET_S)
        with self._lock:
            self._inside -= 1


def wait_for_stop(context: StepContext) -> StepResult:
    assert context.deadline.cancel.wait(MEET_S)
    return failing("command execution: context canceled", cause="cancelled", exit_code=-1, output="so far")


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path, fail=lambda _: failing(exit_code=5, output="out", stderr="err"), stop=wait_for_stop)


def records(run: Run, *names: str) -> list[tuple[str, int, str, str]]:
    return [
        (record.status, record.exit_code, record.output, record.error)
        for record in (run.states[name] for name in names)
    ]


@pytest.mark.parametrize(("limit", "together", "most"), [(3, 3, 3), (1, 1, 1), (0, 6, 6), (9, 6, 6), (-1, 6, 6)])
def test_as_many_branches_run_at_once_as_max_concurrent_says(
    tmp_path: Path, limit: int, together: int, most: int
) -> None:
    crowd = Crowd(together)
    kit = Kit(tmp_path, meet=crowd)
    names = [f"b{number}" for number in range(6)]
    branches = "\n  ".join(f"{name}: {{type: do, do: meet}}" for name in names)

    run = kit.run(
        f"a: {{type: parallel, parallel: [{', '.join(names)}], max_concurrent: {limit}, on_success: done}}\n  {branches}"
    )

    assert run.status == "completed"
    assert crowd.most == most
    assert branch_threads() == []


def test_all_succeed_stops_the_rest_at_the_first_failure_and_keeps_nothing_of_them_but_errors(kit: Kit) -> None:
    run = kit.run(
        """
  a: {type: parallel, parallel: [b, c, late], max_concurrent: 2, on_success: done, on_failure: after}
  b: {type: do, do: stop, on_failure: after}
  c: {type: do, do: fail}
  late: {type: do}
  after: {type: step, command: 'echo {{.states.c.ExitCode}}', on_success: done}"""
    )

    assert records(run, "a", "b", "c") == [
        ("failed", 0, "", "parallel execution: step c: no"),
        ("failed", 0, "", "step b: command execution: context canceled"),
        ("failed", 0, "", "step c: no"),
    ]
    assert "late" not in run.states
    assert "w.late" not in kit.events.started
    assert run.status == "completed"


def test_any_succeed_stops_the_rest_at_the_first_success_and_keeps_what_they_had(kit: Kit) -> None:
    run = kit.run(
        """
  a: {type: parallel, parallel: [b, c], strategy: any_succeed, on_success: done}
  b: {type: do, do: stop}
  c: {type: do, say: first}"""
    )

    assert records(run, "a", "b", "c") == [
        ("completed", 0, "", ""),
        ("failed", -1, "so far", "step b: command execution: context canceled"),
        ("completed", 0, "first", ""),
    ]


def test_any_succeed_fails_with_the_first_error_when_every_branch_does(kit: Kit) -> None:
    run = kit.run(
        """
  a: {type: parallel, parallel: [b, c], strategy: any_succeed, max_concurrent: 1, on_success: done}
  b: {type: do, do: fail}
  c: {type: do, do: fail, on_failure: done}"""
    )

    assert run.error is not None
    assert run.error.message == "parallel step a: step b: no"
    assert records(run, "b", "c") == [("failed", 5, "out", "step b: no"), ("failed", 5, "out", "no")]


def test_best_effort_runs_every_branch_and_succeeds(kit: Kit) -> None:
    run = kit.run(
        """
  a: {type: parallel, parallel: [b, nope, c], strategy: best_effort, on_success: done}
  b: {type: do, do: fail}
  c: {type: do, say: c}"""
    )

    assert run.status == "completed"
    assert records(run, "a", "b", "c", "nope") == [
        ("completed", 0, "", ""),
        ("failed", 0, "", "step b: no"),
        ("completed", 0, "c", ""),
        ("failed", 0, "", "step not found: nope"),
    ]


@pytest.mark.parametrize(
    "handler", ["on_failure: done", "continue_on_error: true, on_success: done", "transitions: [{goto: done}]"]
)
def test_a_branch_that_has_somewhere_to_go_fails_all_the_same_but_keeps_its_record(kit: Kit, handler: str) -> None:
    run = kit.run(
        f"""
  a: {{type: parallel, parallel: [b], on_success: done, on_failure: fail}}
  b: {{type: do, do: fail, {handler}}}"""
    )

    assert run.final_state == "fail"
    assert records(run, "a", "b") == [
        ("failed", 0, "", "parallel execution: branch b failed with exit code 5"),
        ("failed", 5, "out", "no"),
    ]


def test_answers_and_tokens_of_branches_are_lost_after_the_step(tmp_path: Path) -> None:
    def answer(_: StepContext) -> StepResult:
        return StepResult(
            status="completed", output="o", json={"k": 1}, response={"k": 1}, tokens=Tokens(used=3), attempt=2
        )

    run = Kit(tmp_path, answer=answer).run(
        "a: {type: parallel, parallel: [b], on_success: done}\n  b: {type: do, do: answer}"
    )

    record = run.states["b"]
    assert (record.output, record.json, record.response, record.tokens, record.attempt) == ("o", None, None, None, 1)


@pytest.mark.parametrize(("at_once", "begun"), [(3, ["x", "y", "z"]), (2, ["x", "y"]), (1, ["x"])])
def test_as_many_branches_as_may_run_at_once_begin_however_fast_the_first_decides(
    at_once: int, begun: list[str]
) -> None:
    for _ in range(50):
        seen: list[str] = []
        branches = Branches[str](run=lambda name, _, seen=seen: seen.append(name) or name, decides=lambda _: True)

        outcomes = branches.run_all(["x", "y", "z"], at_once=at_once, parent=Cancel(), label="awf-branch-t")

        assert sorted(seen) == begun
        assert sorted(name for name, _ in outcomes) == begun


@pytest.mark.parametrize("started", [1, 2])
def test_every_branch_runs_on_a_machine_that_has_no_more_threads(started: int, monkeypatch: pytest.MonkeyPatch) -> None:
    start, count = threading.Thread.start, [0]

    def start_few(thread: threading.Thread) -> None:
        count[0] += 1
        if count[0] > started:
            raise RuntimeError("can't start new thread")
        start(thread)
        thread.join()  # it has ended, and found nothing to do, before the next one could not be started

    monkeypatch.setattr(threading.Thread, "start", start_few)
    branches = Branches[str](run=lambda name, _: name, decides=lambda _: False)

    outcomes = branches.run_all(["x", "y", "z"], at_once=3, parent=Cancel(), label="awf-branch-t")

    assert sorted(name for name, _ in outcomes) == ["x", "y", "z"]


def test_a_terminal_as_a_branch_starts_and_fails(kit: Kit) -> None:
    run = kit.run("a: {type: parallel, parallel: [done], on_success: done}")

    assert run.path == ("a", "done")
    assert run.states["done"].status == "failed"
    assert run.error is not None
    assert run.error.message == "parallel step a: parallel execution: step done: step type provider not configured"


def test_a_branch_whose_template_fails_is_a_failed_branch(kit: Kit) -> None:
    run = kit.run(
        """
  a: {type: parallel, parallel: [b, c], strategy: best_effort, on_success: done}
  b: {type: step, command: 'echo {{.inputs.nope}}'}
  c: {type: do, transitions: [{when: 'inputs.n + 1 > 2', goto: done}], on_success: done}""",
        inputs={"n": "x"},
    )

    assert run.status == "completed"
    assert run.states["b"].error.startswith("interpolate command: undefined variable: ")
    assert run.states["c"].error.startswith("evaluate transitions: evaluate condition 'inputs.n + 1 > 2': ")


def test_loops_in_branches_have_a_loop_context_each(tmp_path: Path) -> None:
    seen: dict[str, list[str]] = {"x": [], "y": []}
    barrier = threading.Barrier(2)

    def note(context: StepContext) -> None:
        loop = context.scope.loop
        assert loop is not None
        barrier.wait(MEET_S)
        seen[loop["Parent"]["Item"]].append(f"{loop['Item']}{loop['Index']}/{loop['Length']}")

    run = Kit(tmp_path, note=note).run(
        """
  a: {type: parallel, parallel: [x, y], on_success: done}
  x: {type: for_each, items: 'x', body: [i]}
  i: {type: for_each, items: 'p,q,r', body: [b1], on_complete: x}
  b1: {type: do, do: note, on_success: i}
  y: {type: for_each, items: 'y', body: [j]}
  j: {type: for_each, items: 's,t,u', body: [b2], on_complete: y}
  b2: {type: do, do: note, on_success: j}"""
    )

    assert run.status == "completed"
    assert seen == {"x": ["p0/3", "q1/3", "r2/3"], "y": ["s0/3", "t1/3", "u2/3"]}


def test_branches_inside_a_loop_see_its_item(kit: Kit) -> None:
    run = kit.run(
        """
  a: {type: for_each, items: 'p,q', body: [p], on_complete: done}
  p: {type: parallel, parallel: [b, c], on_success: a}
  b: {type: do, say: 'b{{.loop.Item}}'}
  c: {type: do, say: 'c{{.loop.Index}}'}"""
    )

    assert (run.states["b"].output, run.states["c"].output) == ("bq", "c1")


def test_branches_that_go_through_all_states_are_not_disturbed_by_those_that_add_some(tmp_path: Path) -> None:
    kit = Kit(tmp_path)
    names = [f"b{number}" for number in range(40)]
    say = "{{range $i := .inputs.rounds}}{{range $n, $s := $.states}}{{$s.Status}}{{end}}{{end}}"
    branches = "\n  ".join(f"{name}: {{type: do, say: '{say}'}}" for name in names)

    run = kit.run(
        f"a: {{type: parallel, parallel: [{', '.join(names)}], on_success: done}}\n  {branches}",
        inputs={"rounds": list(range(20))},
    )

    assert run.status == "completed"


def test_the_time_limit_of_the_step_is_that_of_every_branch(tmp_path: Path) -> None:
    limits: list[float | None] = []

    def work(context: StepContext) -> StepResult:
        limits.append(context.deadline.left_s())
        kit.clock.seconds += 6
        return failing(f"work: {context.deadline.stop_reason()}", cause="timeout")

    kit = Kit(tmp_path, work=work)
    states = """
  a: {type: parallel, parallel: [b], timeout: 5, on_success: done %s}
  b: {type: do, do: work, timeout: 60, on_failure: done}"""

    handled, unhandled = kit.run(states % ", on_failure: fail"), kit.run(states % "")

    assert limits == [5, 5]
    assert handled.states["a"].error == "parallel execution: step b: work: context deadline exceeded"
    assert handled.final_state == "fail"
    assert (unhandled.status, unhandled.cancel_reason) == ("cancelled", "timeout")


def test_an_internal_error_in_one_branch_ends_the_run_and_all_branches(tmp_path: Path) -> None:
    class Fragile(Exception):
        pass

    kit = Kit(tmp_path, stop=wait_for_stop)

    def started(run_id: str, workflow: str, state: str, step_type: str) -> None:
        if state == "c":
            raise Fragile("broken observer")

    kit.events.step_started = started  # type: ignore[method-assign]

    run = kit.run("a: {type: parallel, parallel: [b, c], on_success: done}\n  b: {type: do, do: stop}\n  c: {type: do}")

    assert run.error is not None
    assert run.error.message == "step a: step type 'parallel' broke: Fragile: broken observer"
    assert branch_threads() == []


@pytest.mark.parametrize("strategy", ["all_succeed", "any_succeed", "best_effort"])
def test_a_cancelled_run_stops_its_branches_and_starts_no_more(tmp_path: Path, strategy: str) -> None:
    def stop(_: StepContext) -> StepResult:
        cancel.request("SIGINT")
        return failing("command execution: context canceled", cause="cancelled")

    kit, cancel = Kit(tmp_path, stop=stop), Cancel()

    run = kit.run(
        f"""
  a: {{type: parallel, parallel: [b, c], strategy: {strategy}, max_concurrent: 1, on_success: done, on_failure: done}}
  b: {{type: do, do: stop}}
  c: {{type: do}}""",
        cancel=cancel,
    )

    assert (run.status, run.cancel_reason) == ("cancelled", "SIGINT")
    assert kit.events.started == ["w.a", "w.b"]


def carrying(text: str) -> list[int]:
    """Processes whose environment holds `text`, this one left out."""
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
    """A text that every process of the test's runs carries in its environment."""
    text = f"{os.getpid()}-{request.node.name}"
    yield text
    for pid in carrying(text):
        os.kill(pid, signal.SIGKILL)


SPAWNING = """
  b:
    type: step
    command: 'trap "" TERM; setsid sleep 613 & nohup sleep 613 >/dev/null 2>&1 & (sleep 613 &) ; touch begun; sleep 613'
  c: {type: step, command: 'while [ ! -e begun ]; do sleep 0.01; done; %s', on_success: a}
  l: {type: for_each, items: 'x', body: [n]}
  n: {type: parallel, parallel: [m], on_success: l}
  m: {type: step, command: 'setsid sleep 613 & touch nested; sleep 613'}
"""


@pytest.mark.parametrize(
    ("strategy", "deciding", "status"), [("all_succeed", "exit 5", "failed"), ("any_succeed", "true", "completed")]
)
def test_stopped_branches_leave_no_process_of_any_kind(
    tmp_path: Path, mark: str, strategy: str, deciding: str, status: str
) -> None:
    kit = Kit(tmp_path)
    wait = f"while [ ! -e nested ]; do sleep 0.01; done; {deciding}"

    run = kit.run(
        f"a: {{type: parallel, parallel: [b, c, l], strategy: {strategy}, on_success: done}}{SPAWNING % wait}",
        is_real_time=True,
        extra_env={"AWF_TEST_MARK": mark},
    )

    assert run.status == status
    assert run.duration_ms < 20_000
    assert until(lambda: carrying(mark) == [])
    assert branch_threads() == []


def test_a_cancelled_run_leaves_no_process_of_its_branches(tmp_path: Path, mark: str) -> None:
    kit, cancel = Kit(tmp_path), Cancel()
    watcher = threading.Thread(
        target=lambda: (until((tmp_path / "nested").exists), cancel.request("SIGTERM")), daemon=True
    )
    watcher.start()

    run = kit.run(
        f"a: {{type: parallel, parallel: [b, l], strategy: best_effort, on_success: done}}{SPAWNING % 'true'}",
        is_real_time=True,
        cancel=cancel,
        extra_env={"AWF_TEST_MARK": mark},
    )
    watcher.join()

    assert (run.status, run.cancel_reason) == ("cancelled", "SIGTERM")
    assert until(lambda: carrying(mark) == [])
    assert branch_threads() == []
