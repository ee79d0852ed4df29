"""The file of a run's state: what is in it, when it is written, who may read it, and that it is never half of one."""

from __future__ import annotations

import json
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest

from awf_core.engine.records import timestamps
from awf_core.engine.records.paths import check_run_id, record_paths
from awf_core.engine.records.state_file import _state, read_state, run_state, write_state
from awf_core.errors import SystemFailure, UsageError
from awf_core.extensions.conversation import Tokens, begin, extend
from awf_core.extensions.results import StateRecord

if TYPE_CHECKING:
    from pathlib import Path

RUN_ID = "11111111-2222-4333-8444-555555555555"
KEYS = [
    "WorkflowID",
    "WorkflowName",
    "ParentRunID",
    "Status",
    "CurrentStep",
    "ExitCode",
    "Inputs",
    "States",
    "Env",
    "StartedAt",
    "UpdatedAt",
    "CompletedAt",
    "CurrentLoop",
    "CallStack",
]
STATE_KEYS = [
    "Name",
    "Status",
    "Output",
    "Stderr",
    "ExitCode",
    "Attempt",
    "Error",
    "StartedAt",
    "CompletedAt",
    "Response",
    "JSON",
    "Conversation",
    "TokensUsed",
    "TokensInput",
    "TokensOutput",
    "TokensEstimated",
    "OutputPath",
    "StderrPath",
    "Truncated",
    "Data",
]
TWO = "a: {type: step, command: 'echo {{.inputs.x}}', on_success: b}\n  b: {type: step, command: 'exit 3', on_success: done}"


def test_a_completed_run_is_written_with_the_names_and_the_order_of_the_original_tool(place: Any) -> None:
    place.workflow(TWO.replace("exit 3", "true"))

    place.run("x=1")

    state = place.state()
    assert list(state) == KEYS
    assert list(state["States"]["a"]) == STATE_KEYS
    assert (state["WorkflowID"], state["WorkflowName"], state["Status"]) == (RUN_ID, "w", "completed")
    assert (state["CurrentStep"], state["Inputs"], state["States"]["a"]["Output"]) == ("done", {"x": "1"}, "1\n")
    assert state["CompletedAt"] == state["UpdatedAt"] > state["StartedAt"] > "2000"


def test_a_failed_run_stays_at_the_failing_step_and_is_not_completed(place: Any) -> None:
    place.workflow(TWO)

    place.run("x=1")

    state = place.state()
    assert (state["Status"], state["CurrentStep"], state["CompletedAt"]) == ("failed", "b", "0001-01-01T00:00:00Z")
    assert (state["States"]["b"]["Status"], state["States"]["b"]["ExitCode"]) == ("failed", 3)


def test_the_file_says_after_each_step_where_the_run_goes_on(place: Any) -> None:
    file = place.records / f"states/{RUN_ID}.json"
    place.workflow(
        f"a: {{type: step, command: 'cat {file}', on_success: b}}\n"
        f"  b: {{type: step, command: 'cat {file}', on_success: done}}"
    )

    run = place.run()

    first, second = (json.loads(run.states[name].output) for name in "ab")
    assert (first["Status"], first["CurrentStep"], first["States"]) == ("running", "", {})
    assert (second["Status"], second["CurrentStep"], list(second["States"])) == ("running", "b", ["a"])


def test_only_the_owner_may_read_it_and_nothing_else_is_left_beside_it(place: Any) -> None:
    place.workflow(TWO)

    place.run("x=1")

    (file,) = (place.records / "states").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_run_that_a_step_starts_has_a_file_of_its_own_that_names_its_parent(place: Any) -> None:
    place.workflow("a: {type: step, command: 'exit 4', on_success: done}", name="child")
    place.workflow("a: {type: call_workflow, workflow: child, on_success: done}")

    place.run()

    (child,) = [file for file in (place.records / "states").iterdir() if RUN_ID not in file.name]
    state = json.loads(child.read_text())
    assert (state["ParentRunID"], state["WorkflowName"], state["CallStack"]) == (RUN_ID, "child", ["w"])
    assert place.state()["CallStack"] is None


def test_bytes_that_are_no_text_become_replacement_characters(place: Any) -> None:
    place.workflow("a: {type: step, command: \"printf 'x\\\\377y'\", on_success: done}")

    place.run()

    assert place.state()["States"]["a"]["Output"] == "x\ufffdy"


def test_a_run_whose_inputs_are_refused_leaves_nothing(place: Any) -> None:
    place.workflow(TWO, head="inputs: [{name: x, type: integer}]")

    run = place.run("x=abc")

    assert run.status == "failed"
    assert not (place.records / "states").exists()


def test_a_reader_never_sees_half_of_a_state(tmp_path: Path) -> None:
    path = tmp_path / "states" / "r.json"
    write_state(path, {"n": 0, "fill": "x" * 100_000})
    writer = threading.Thread(
        target=lambda: [write_state(path, {"n": number, "fill": "x" * 100_000}) for number in range(100)]
    )

    writer.start()
    seen = []
    while writer.is_alive():
        seen.append(len(json.loads(path.read_text())["fill"]))
    writer.join()

    assert set(seen) == {100_000}


def test_a_state_that_can_not_be_written_leaves_the_earlier_one_and_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    write_state(path, {"n": 1})

    with pytest.raises(ValueError, match="Circular"):
        write_state(path, _circle())

    assert json.loads(path.read_text()) == {"n": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["r.json"]


def _circle() -> dict[str, Any]:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    return circle


def test_records_that_can_not_be_written_are_warned_of_once_each_and_the_run_goes_on(place: Any) -> None:
    place.records.parent.mkdir()
    place.records.write_text("a file where a directory should be")
    place.workflow(TWO.replace("exit 3", "true"))

    run = place.run("x=1")

    assert run.status == "completed"
    assert sorted(warning.partition(": ")[2].partition(":")[0] for warning in place.warnings) == [
        "AuditLog",
        "History",
        "StateFiles",
        "Transcripts",
    ]
    assert all(w.startswith("records are incomplete: ") and str(place.records) in w for w in place.warnings)


def test_everything_a_state_holds_is_read_back_as_it_was() -> None:
    record = StateRecord(
        status="failed",
        output="out",
        stderr="err",
        exit_code=4,
        attempt=2,
        error="why",
        started_at=1700000000.25,
        finished_at=1700000001.5,
        response={"a": 1},
        json=[1, 2],
        tokens=Tokens(used=3, input=1, output=2, estimated=True),
        conversation=extend(begin("be"), prompt="p", answer="q", tokens=2, session_id="s"),
    )
    document = {"WorkflowID": "r", "WorkflowName": "w", "Status": "failed", "States": {"a": _state("a", record)}}

    assert run_state(json.loads(json.dumps(document))).states == {"a": record}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2023-11-14T22:13:20.123456789Z", 1700000000.123456),
        ("2023-11-14T23:13:20.5+01:00", 1700000000.5),
        ("2023-11-14T22:13:20Z", 1700000000.0),
        ("0001-01-01T00:00:00Z", 0.0),
    ],
)
def test_moments_the_original_tool_wrote_can_be_read(text: str, seconds: float) -> None:
    assert timestamps.read(text) == seconds


@pytest.mark.parametrize("content", ["{", "[]", '{"WorkflowID": "r"}', '{"WorkflowID": 1, "States": 3}'])
def test_a_file_that_is_no_state_is_named_with_the_reason(tmp_path: Path, content: str) -> None:
    found = record_paths({}, storage=tmp_path)
    found.states.mkdir()
    found.state_file("r").write_text(content)

    with pytest.raises(SystemFailure) as caught:
        read_state(found, "r")

    assert caught.value.message.startswith(f"state file {found.state_file('r')}: not the state of a run: ")
    assert caught.value.hint == "Remove the file; the run can't be resumed."


def test_a_state_file_that_may_not_be_read_says_why(tmp_path: Path) -> None:
    found = record_paths({}, storage=tmp_path)
    found.state_file("r").mkdir(parents=True)

    with pytest.raises(SystemFailure) as caught:
        read_state(found, "r")

    assert caught.value.message == f"state file {found.state_file('r')}: Is a directory"


@pytest.mark.parametrize("run_id", ["", "../x", "a/b", ".hidden", "a" * 129, "a\nb"])
def test_what_can_not_be_the_name_of_a_file_is_no_id_of_a_run(run_id: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_run_id(run_id)

    assert caught.value.message == f"{run_id!r} is not the id of a run"
    assert "letters, digits" in str(caught.value.hint)


def test_the_places_follow_the_environment_and_the_option(tmp_path: Path) -> None:
    assert str(record_paths({"HOME": "/h"}).storage) == "/h/.local/share/awf"
    assert str(record_paths({"HOME": "/h"}).audit) == "/h/.local/share/awf/audit.jsonl"
    assert str(record_paths({"HOME": "/h", "XDG_DATA_HOME": "/d"}).history) == "/d/awf/history.db"
    assert record_paths({"HOME": "/h", "AWF_AUDIT_LOG": "off"}).audit is None
    assert str(record_paths({"HOME": "/h", "AWF_AUDIT_LOG": "/log"}).audit) == "/log"
    assert record_paths({"HOME": "/h"}, storage=tmp_path).states == tmp_path / "states"
