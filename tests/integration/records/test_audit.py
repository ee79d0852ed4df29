"""The audit log: two lines a run, short enough never to mix, and free of secrets."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from awf_core.engine.records.audit import MAX_LINE_BYTES, line_of

if TYPE_CHECKING:
    from pathlib import Path

RUN_ID = "11111111-2222-4333-8444-555555555555"
OK = "a: {type: step, command: 'true', on_success: done}"


def test_a_completed_run_has_two_lines_with_their_keys_in_order(place: Any) -> None:
    place.workflow(OK)

    place.run("x=1")

    started, completed = place.lines("audit.jsonl")
    assert list(started) == ["event", "execution_id", "timestamp", "user", "workflow_name", "inputs", "schema_version"]
    assert list(completed) == (
        [
            "event",
            "execution_id",
            "timestamp",
            "user",
            "workflow_name",
            "status",
            "exit_code",
            "duration_ms",
            "schema_version",
        ]
    )
    assert (started["event"], started["execution_id"], started["user"]) == ("workflow.started", RUN_ID, "tester")
    assert (started["inputs"], started["schema_version"]) == ({"x": "1"}, 1)
    assert (completed["event"], completed["status"], completed["exit_code"]) == ("workflow.completed", "success", 0)
    assert len(started["timestamp"]) == len("2026-01-02T03:04:05.678Z")


def test_a_failed_run_says_so_with_the_exit_code_of_its_context_and_the_error(place: Any) -> None:
    place.workflow("a: {type: step, command: 'exit 9', on_success: done, on_failure: {message: so, status: 4}}")

    place.run()

    completed = place.lines("audit.jsonl")[1]
    assert (completed["status"], completed["exit_code"], completed["error"]) == ("failure", 4, "so")


@pytest.mark.parametrize("name", ["TOKEN", "api_key_x", "Password", "secret_y"])
def test_values_of_secret_inputs_are_masked(place: Any, name: str) -> None:
    place.workflow(OK)

    place.run(f"{name}=hidden", "plain=shown", "x_token=shown")

    text = (place.records / "audit.jsonl").read_text()
    assert "hidden" not in text
    assert json.loads(text.splitlines()[0])["inputs"] == {name: "***", "plain": "shown", "x_token": "shown"}


def test_it_goes_where_the_variable_says_readable_by_its_owner_only(place: Any, tmp_path: Path) -> None:
    log = tmp_path / "deep" / "audit.log"
    place.env["AWF_AUDIT_LOG"] = str(log)
    place.workflow(OK)

    place.run()

    assert len(log.read_text().splitlines()) == 2
    assert log.stat().st_mode & 0o777 == 0o600
    assert not (place.records / "audit.jsonl").exists()


def test_off_keeps_none(place: Any) -> None:
    place.env["AWF_AUDIT_LOG"] = "off"
    place.workflow(OK)

    place.run()

    assert not (place.records / "audit.jsonl").exists()
    assert (place.records / "history.db").exists()


def started_with(inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"event": "workflow.started", "workflow_name": "w", "inputs": inputs, **more, "schema_version": 1}


def test_the_longest_inputs_are_shortened_until_the_line_is_short_enough() -> None:
    line = line_of(started_with({"long": "x" * 5000, "longer": "y" * 9000, "short": "z"}))

    shown = json.loads(line)
    assert len(line) <= MAX_LINE_BYTES
    assert shown["inputs"] == {"long": "…", "longer": "…", "short": "z"}
    assert list(shown) == ["event", "workflow_name", "inputs", "inputs_truncated", "schema_version"]


@pytest.mark.parametrize(
    "event",
    [
        started_with({f"name{number}": "v" for number in range(2000)}),
        started_with({"é" * 3000: "ü" * 3000}),
        {"event": "workflow.completed", "error": "é" * 9000, "schema_version": 1},
        {"event": "workflow.started", "workflow_name": "n" * 9000, "inputs": {"a": 1}, "schema_version": 1},
        started_with({"nested": {"list": ["x" * 3000, "y" * 3000]}}),
    ],
)
def test_no_line_is_ever_longer_than_a_write_that_does_not_mix(event: dict[str, Any]) -> None:
    line = line_of(event)

    assert len(line) <= MAX_LINE_BYTES
    assert line.count(b"\n") == 1
    assert json.loads(line)["schema_version"] == 1


def test_a_line_that_is_short_enough_stays_as_it_is() -> None:
    event = started_with({"x": "y" * 3000})

    assert json.loads(line_of(event)) == event


def test_lines_of_runs_at_once_never_mix(place: Any) -> None:
    place.workflow(OK)
    runs = [threading.Thread(target=place.run, args=("x=" + "y" * 3000,), kwargs={"run_id": f"r{n}"}) for n in range(8)]

    for run in runs:
        run.start()
    for run in runs:
        run.join()

    assert len(place.lines("audit.jsonl")) == 16
