"""Templates and expressions are compiled when a workflow loads, and never while it runs."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import Kit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

PARSERS = ("lang/templates/parser.py", "lang/expressions/parser.py")
EVERYTHING = """
  a: {type: for_each, items: '{{.inputs.items}}', max_iterations: '{{.inputs.limit}}', break_when: 'loop.Index > 7',
      body: [b, p], on_complete: w}
  b: {type: do, say: '{{.loop.Item}} {{escape .inputs.items}}', hooks: {pre: [{log: 'now {{.loop.Item}}'}]},
      transitions: [{when: 'states.b.ExitCode != 0', goto: fail}, {when: 'states.b.Output contains "x"', goto: p}]}
  p: {type: parallel, parallel: [c, d], on_success: a}
  c: {type: step, command: 'echo {{.inputs.items}}', dir: '{{.context.WorkingDir}}'}
  d: {type: do, say: '{{range .inputs}}{{.}}{{end}}'}
  w: {type: while, while: 'loop.Index < 3', body: [e], on_complete: done}
  e: {type: do, say: '{{.loop.Index}}', on_success: w}"""


@pytest.fixture
def parsed() -> Iterator[list[str]]:
    """Names of the functions of parsers that are called, on this thread and on those it starts."""
    calls: list[str] = []

    def watch(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.endswith(PARSERS):
            calls.append(frame.f_code.co_qualname)

    before = sys.getprofile(), threading.getprofile()
    threading.setprofile(watch)
    sys.setprofile(watch)
    yield calls
    sys.setprofile(before[0])
    threading.setprofile(before[1])  # type: ignore[arg-type]


def counted(calls: list[str], work: Callable[[], Any]) -> tuple[Any, int]:
    begin = len(calls)
    return work(), len(calls) - begin


def test_a_run_compiles_nothing_however_often_a_state_runs(tmp_path: Path, parsed: list[str]) -> None:
    kit = Kit(tmp_path)

    workflow, while_loading = counted(parsed, lambda: kit.workflow(EVERYTHING))
    run, while_running = counted(
        parsed, lambda: kit.run(workflow, is_real_time=True, inputs={"items": "x,y,xz", "limit": "10"})
    )

    assert run.status == "completed", run.error
    assert (run.path.count("b"), run.path.count("c"), run.path.count("e")) == (3, 3, 3)
    assert while_loading > 20
    assert while_running == 0
