"""`awf history` and `awf status`: what they show of runs, as text and as JSON."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from awf_core.engine.records.history import Selection, read_history, read_statistics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUN_ID = "11111111-2222-4333-8444-555555555555"
OK = "a: {type: step, command: 'echo hi', on_success: done}"
BAD = "a: {type: step, command: 'echo so >&2; exit 3', on_success: done, on_failure: {message: m}}"


def test_the_table_is_the_one_of_the_original_tool(place: Any) -> None:
    place.workflow(OK)
    place.run()

    with closing(sqlite3.connect(place.records / "history.db")) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(execution_records)")]
        row = connection.execute(
            "SELECT workflow_id, status, started_at, completed_at FROM execution_records"
        ).fetchone()

    assert columns == [
        "id",
        "workflow_id",
        "workflow_name",
        "status",
        "exit_code",
        "started_at",
        "completed_at",
        "duration_ms",
        "error_message",
    ]
    assert row[:2] == (RUN_ID, "completed")
    assert 1.6e18 < row[2] < row[3]
    assert (place.records / "history.db").stat().st_mode & 0o777 == 0o600


def test_a_run_that_a_step_started_comes_before_the_run_it_belongs_to(place: Any) -> None:
    place.workflow(BAD, name="child")
    place.workflow("a: {type: call_workflow, workflow: child, on_success: done}")
    place.run()

    rows = read_history(place.records / "history.db", Selection(), limit=10)

    assert [(row.workflow, row.status, row.error, row.exit_code) for row in reversed(rows)] == [
        ("child", "failed", "so\n", 3),
        ("w", "failed", "m", 0),
    ]


def test_a_resumed_run_has_a_row_for_each_time_it_ended(place: Any) -> None:
    place.workflow(BAD)
    place.run()
    place.workflow(OK)
    place.resume(origin="a")

    rows = read_history(place.records / "history.db", Selection(), limit=10)

    assert [(row.run_id, row.status) for row in rows] == [(RUN_ID, "completed"), (RUN_ID, "failed")]


def test_a_cancelled_run_has_one_row(place: Any) -> None:
    place.workflow("a: {type: step, command: 'sleep 60', timeout: 1, on_success: done}")
    place.run()

    (row,) = read_history(place.records / "history.db", Selection(), limit=10)

    error = "command execution: context deadline exceeded"
    assert (row.status, row.exit_code, row.error) == ("cancelled", -1, error)


def test_processes_and_threads_may_write_at_once(place: Any) -> None:
    place.workflow(OK)
    runs = [threading.Thread(target=place.run, kwargs={"run_id": f"r{number}"}) for number in range(8)]

    for run in runs:
        run.start()
    for run in runs:
        run.join()

    assert read_statistics(place.records / "history.db", Selection()).completed == 8
    assert place.warnings == []


def many(place: Any) -> None:
    place.workflow(OK, name="good")
    place.workflow(BAD, name="bad")
    for name, run_id in (("good", "g1"), ("bad", "b1"), ("good", "g2")):
        place.run(name=name, run_id=run_id)


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        ([], ["g2", "b1", "g1"]),
        (["--limit", "2"], ["g2", "b1"]),
        (["--workflow", "bad"], ["b1"]),
        (["--status", "completed"], ["g2", "g1"]),
        (["--since", "2999-01-01"], []),
        (["--since", "2000-01-01"], ["g2", "b1", "g1"]),
    ],
)
def test_history_lists_the_latest_first_and_what_is_asked_for(
    place: Any, awf: Callable[..., Any], options: list[str], runs: list[str]
) -> None:
    many(place)

    listed = awf("history", "--format", "json", *options)

    assert listed.exit_code == 0
    assert [row["workflow_id"] for row in listed.data] == runs


def test_history_shows_every_key_as_json_and_a_line_a_run_as_text(place: Any, awf: Callable[..., Any]) -> None:
    many(place)

    row = awf("history", "--format", "json").data[1]
    lines = awf("history").stdout.splitlines()

    assert (row["workflow_name"], row["status"], row["exit_code"], row["error_message"]) == ("bad", "failed", 3, "so\n")
    assert list(row) == (
        [
            "id",
            "workflow_id",
            "workflow_name",
            "status",
            "exit_code",
            "started_at",
            "completed_at",
            "duration_ms",
            "error_message",
        ]
    )
    assert lines[0].split() == ["RUN", "WORKFLOW", "STATUS", "EXIT", "TOOK", "ENDED", "ERROR"]
    assert lines[2].split()[:4] == ["b1", "bad", "failed", "3"]
    assert lines[2].endswith("so")


def test_history_counts(place: Any, awf: Callable[..., Any]) -> None:
    many(place)

    counted = awf("history", "--stats", "--format", "json").data
    text = awf("history", "--stats", "--workflow", "good").stdout

    assert {key: counted[key] for key in ("total", "completed", "failed", "cancelled")} == {
        "total": 3,
        "completed": 2,
        "failed": 1,
        "cancelled": 0,
    }
    assert text.startswith("total: 2\ncompleted: 2\nfailed: 0\n")


def test_without_any_history_that_is_said_and_nothing_is_made(place: Any, awf: Callable[..., Any]) -> None:
    ended = awf("history")

    assert (ended.exit_code, ended.stdout) == (0, "")
    assert ended.stderr == f"no runs are recorded in {place.records / 'history.db'}\n"
    assert awf("history", "--format", "json").data == []
    assert awf("history", "--stats", "--format", "json").data["total"] == 0
    assert not place.records.exists()


def test_a_day_that_is_none_is_refused(place: Any, awf: Callable[..., Any]) -> None:
    ended = awf("history", "--since", "yesterday")

    assert ended.exit_code == 1
    assert ended.stderr == "Error: --since 'yesterday' is not a date\nHint: Write it as 2026-01-31.\n"


def test_a_history_that_is_none_is_named(place: Any, awf: Callable[..., Any]) -> None:
    place.records.mkdir(parents=True)
    (place.records / "history.db").write_text("no database at all, but long enough to be taken for one" * 30)

    ended = awf("history")

    assert ended.exit_code == 4
    assert ended.stderr.startswith(f"Error: history {place.records / 'history.db'}: file is not a database\nHint: Move")


def test_storage_names_another_directory(place: Any, awf: Callable[..., Any], tmp_path: Path) -> None:
    place.workflow(OK)

    awf("run", "w", "--storage", str(tmp_path / "s"), "--run-id", "mine")

    assert awf("status", "mine", "--storage", str(tmp_path / "s")).exit_code == 0
    assert len(awf("history", "--storage", str(tmp_path / "s"), "--format", "json").data) == 1
    assert (tmp_path / "s/states/mine.json").exists()
    assert awf("status", "mine").exit_code == 1


def test_status_shows_a_failed_run_with_its_steps(place: Any, awf: Callable[..., Any]) -> None:
    place.workflow(
        "a: {type: step, command: 'echo hi', on_success: b}\n  b: {type: step, command: 'exit 3', on_success: done}"
    )
    place.run()

    shown, text = awf("status", RUN_ID, "--format", "json").data, awf("status", RUN_ID).stdout

    assert (shown["workflow_id"], shown["workflow_name"], shown["status"]) == (RUN_ID, "w", "failed")
    assert (shown["current_step"], shown["error"], "completed_at" in shown) == ("b", "exit code 3", False)
    assert [(step["name"], step["status"]) for step in shown["steps"]] == [("a", "completed"), ("b", "failed")]
    assert (shown["steps"][0]["output"], shown["steps"][1]["exit_code"]) == ("hi\n", 3)
    assert "exit_code" not in shown["steps"][0]
    assert text.startswith(f"Workflow: w\nID:       {RUN_ID}\nStatus:   failed\nCurrent:  b\n")
    assert text.splitlines()[-1].split(maxsplit=3) == ["b", "failed", "3", "exit code 3"]


def test_status_shows_a_completed_run(place: Any, awf: Callable[..., Any]) -> None:
    place.workflow(OK)
    place.run()

    shown = awf("status", RUN_ID, "--format", "json").data

    assert (shown["status"], shown["current_step"], "error" in shown) == ("completed", "done", False)
    assert shown["completed_at"] > shown["started_at"]


def test_status_of_an_unknown_run_is_a_users_error(awf: Callable[..., Any]) -> None:
    ended = awf("status", "unknown")

    assert ended.exit_code == 1
    assert ended.stderr.startswith("Error: workflow execution not found: unknown\nHint: No file of it in ")


def test_run_refuses_an_id_that_is_no_name_of_a_file(place: Any, awf: Callable[..., Any]) -> None:
    place.workflow(OK)

    ended = awf("run", "w", "--run-id", "../up")

    assert ended.exit_code == 1
    assert ended.stderr.startswith("Error: '../up' is not the id of a run\n")
