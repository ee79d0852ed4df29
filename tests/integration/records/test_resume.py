"""`awf resume`: from where a run goes on, what of it still counts, what runs again, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from awf_core.cli.run_flow import Refused
from awf_core.engine.record import StateRecord
from awf_core.engine.records.state_json import RunState
from awf_core.engine.resume import resumption

if TYPE_CHECKING:
    from collections.abc import Callable

RUN_ID = "11111111-2222-4333-8444-555555555555"
AWF = Path(sys.executable).with_name("awf")
THREE = """
a: {type: step, command: 'echo a >> log; echo A', on_success: b}
  b: {type: step, command: 'echo b >> log; echo B', on_success: c}
  c: {type: step, command: 'echo "c {{.states.a.Output}}" >> log; test -f ok', on_success: done}
"""


def log_of(place: Any) -> str:
    return (place.directory / "log").read_text()


def test_a_failed_step_runs_again_and_sees_what_ran_before_it(place: Any) -> None:
    place.workflow(THREE)
    place.run()
    (place.directory / "ok").write_text("")

    run = place.resume()

    assert (run.run_id, run.status, run.path) == (RUN_ID, "completed", ("c", "done"))
    assert log_of(place) == "a\nb\nc A\n\nc A\n\n"


@pytest.mark.parametrize(
    ("origin", "path"), [("current", "c done"), ("previous", "b c done"), ("a", "a b c done"), ("c", "c done")]
)
def test_the_origin_says_from_where(place: Any, origin: str, path: str) -> None:
    place.workflow(THREE)
    place.run()
    (place.directory / "ok").write_text("")

    assert " ".join(place.resume(origin=origin).path) == path


def test_what_ended_after_the_origin_is_forgotten(place: Any) -> None:
    place.workflow(THREE.replace("echo B'", "test -f ok'"))
    place.run()
    place.workflow(THREE.replace("echo A'", "false'"))

    place.resume(origin="a")

    assert list(place.state()["States"]) == ["a"]


def test_an_input_that_is_given_replaces_the_runs_own_and_the_others_stay(place: Any) -> None:
    head = "inputs: [{name: x, type: integer, default: 7}]"
    place.workflow("a: {type: step, command: '[ {{.inputs.x}}{{.inputs.y}} = abc-1 ]', on_success: done}", head=head)
    place.run("y=-1")

    run = place.resume("x=abc")

    assert (run.status, dict(run.inputs)) == ("completed", {"x": "abc", "y": "-1"})


def test_the_workflow_is_loaded_as_it_is_now(place: Any) -> None:
    place.workflow(THREE)
    place.run()
    place.workflow(THREE.replace("test -f ok", "true"))

    assert place.resume().status == "completed"


def test_a_terminal_failure_fails_again_and_an_earlier_step_leads_past_it(place: Any) -> None:
    place.workflow("a: {type: step, command: 'test -f ok', on_success: done, on_failure: {message: not ok}}")
    place.run()
    (place.directory / "ok").write_text("")

    again, mended = place.resume(), place.resume(origin="a")

    assert (again.status, again.path) == ("failed", ("__inline_error_a",))
    assert (mended.status, mended.path) == ("completed", ("a", "done"))


def test_a_loop_starts_over(place: Any) -> None:
    place.workflow(
        "a: {type: for_each, items: '[1,2,3]', body: [b], on_complete: done}\n"
        "  b: {type: step, command: 'echo {{.loop.Item}} >> log; test {{.loop.Item}} != 2 || test -f ok', on_success: a}"
    )
    place.run()
    (place.directory / "ok").write_text("")

    run = place.resume()

    assert (run.status, log_of(place)) == ("completed", "1\n2\n1\n2\n3\n")


def test_start_hooks_run_again(place: Any) -> None:
    place.workflow(THREE, head="hooks: {workflow_start: [{command: 'echo start >> log'}]}")
    place.run()

    place.resume()

    assert log_of(place).count("start") == 2


def test_a_run_whose_start_hook_failed_begins_at_its_first_step(place: Any) -> None:
    place.workflow(THREE, head="hooks: {workflow_start: [{command: 'test -f ok'}]}")
    place.run()
    (place.directory / "ok").write_text("")

    assert place.resume().path == ("a", "b", "c", "done")


def test_a_run_whose_process_was_killed_goes_on_with_the_step_it_was_in(place: Any) -> None:
    place.workflow(THREE.replace("echo B'", "test -f ok || kill -9 $PPID; echo B'"))
    env = {**place.env, "PATH": os.environ["PATH"]}
    died = subprocess.run([AWF, "run", "w", "--run-id", RUN_ID], cwd=place.directory, env=env, timeout=30)
    state = place.state()
    (place.directory / "ok").write_text("")

    run = place.resume()

    assert died.returncode == -signal.SIGKILL
    assert (state["Status"], state["CurrentStep"]) == ("running", "b")
    assert (run.status, run.path) == ("completed", ("b", "c", "done"))
    assert log_of(place) == "a\nb\nb\nc A\n\n"


def test_a_cancelled_run_can_be_resumed(place: Any) -> None:
    place.workflow("a: {type: step, command: 'test -f ok || sleep 60', timeout: 1, on_success: done}")
    cancelled = place.run()
    (place.directory / "ok").write_text("")

    assert (cancelled.status, place.resume().status) == ("cancelled", "completed")


def test_a_conversation_goes_on_with_the_session_it_had(place: Any) -> None:
    place.workflow(THREE)
    place.run()
    file = place.records / f"states/{RUN_ID}.json"
    state = json.loads(file.read_text())
    state["States"]["a"]["Conversation"] = {"SessionID": "s-1", "Turns": [{"Role": "user", "Content": "hi"}]}
    file.write_text(json.dumps(state))

    run = place.resume()

    conversation = run.states["a"].conversation
    assert conversation is not None
    assert (conversation.session_id, conversation.turns[0].content) == ("s-1", "hi")


def test_a_step_template_is_not_applied_again_and_a_warning_says_so(place: Any) -> None:
    (place.directory / ".awf/templates").mkdir()
    template = "name: t\nstates: {t: {type: step, command: 'echo filled; exit 1'}}\n"
    (place.directory / ".awf/templates/t.yaml").write_text(template)
    place.workflow("a: {type: step, command: 'echo beside', use_template: t, on_success: done}")
    first = place.run()

    run = place.resume()

    assert (first.states["a"].output, run.states["a"].output) == ("filled\n", "beside\n")
    assert place.warnings == [
        "state 'a': a resumed run does not apply its template 't' again; it runs the command beside `use_template`"
    ]


def refusal(place: Any, **how: Any) -> tuple[int, str, str | None, str | None]:
    with pytest.raises(Refused) as caught:
        place.resume(**how)
    error = caught.value.error
    return caught.value.exit_code, error.message, error.hint, error.code


def test_a_completed_run_is_refused(place: Any) -> None:
    place.workflow(THREE.replace("test -f ok", "true"))
    place.run()

    code, message, hint, _ = refusal(place)

    assert code == 3
    assert message == f"workflow execution {RUN_ID} is completed, there is nothing to resume"
    assert hint == "Run it again with `awf run w`."


def test_an_unknown_run_is_refused(place: Any) -> None:
    code, message, hint, _ = refusal(place, run_id="nobody")

    assert (code, message) == (1, "workflow execution not found: nobody")
    assert hint is not None
    assert str(place.records / "states") in hint


def test_a_step_that_did_not_run_is_refused(place: Any) -> None:
    place.workflow(THREE)
    place.run()

    code, message, hint, structured = refusal(place, origin="nope")

    assert (code, structured) == (1, "USER.INPUT.VALIDATION_FAILED")
    assert message == f"step 'nope' not found in the recorded states of run {RUN_ID}"
    assert hint == "It has: a, b, c."


def test_there_is_nothing_previous_to_the_first_step(place: Any) -> None:
    place.workflow("a: {type: step, command: 'false', on_success: done}")
    place.run()

    code, message, hint, structured = refusal(place, origin="previous")

    assert (code, structured) == (1, "USER.INPUT.VALIDATION_FAILED")
    assert message == f"no prior step before 'a' is recorded for run {RUN_ID}"
    assert hint == "Resume with --from current."


def test_a_workflow_that_is_gone_is_refused(place: Any) -> None:
    place.workflow(THREE)
    place.run()
    (place.directory / ".awf/workflows/w.yaml").unlink()

    code, message, _, _ = refusal(place)

    assert code == 1
    assert "not found" in message


def test_of_steps_that_ended_together_the_last_by_name_is_the_previous_one() -> None:
    record = StateRecord(status="completed", finished_at=5.0)
    saved = RunState(
        run_id="r", workflow="w", status="failed", current="c", states={"b": record, "a": record, "c": record}
    )

    assert resumption(saved, origin="previous", overrides={}).state == "b"


def test_the_command_refuses_a_completed_run_with_3_as_text_and_as_json(place: Any, awf: Callable[..., Any]) -> None:
    place.workflow(THREE.replace("test -f ok", "true"))
    place.run()

    text, shown = awf("resume", RUN_ID), awf("resume", RUN_ID, "--format", "json")

    assert (text.exit_code, text.stdout, shown.exit_code) == (3, "", 3)
    assert text.stderr.startswith(
        f"Error: workflow execution {RUN_ID} is completed, there is nothing to resume\nHint: "
    )
    assert (shown.data["workflow_id"], shown.data["phase"], shown.data["exit_code"]) == (RUN_ID, "inputs", 3)


def test_the_command_shows_that_it_resumes_and_how_it_ended(place: Any, awf: Callable[..., Any]) -> None:
    place.workflow(THREE)
    place.run()

    ended = awf("resume", RUN_ID, "--from", "b", "--output", "buffered")

    assert (ended.exit_code, ended.stdout) == (3, "B\n")
    assert ended.stderr.startswith("info: resuming workflow\nw: failed at 'c' after ")
    assert ended.stderr.endswith(f" (run {RUN_ID})\nError: step c: exit code 1\n")
