"""`awf dlq`: list, show, replay and remove dead-lettered messages."""

from __future__ import annotations

import base64
import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from queue_project import Project

    from .conftest import Ended

INSERT = (
    "INSERT INTO message(queue, body, source, reason, error, attempt, deliveries, dead_at, message_id, history)"
    " VALUES ('awf-dlq', ?, ?, ?, ?, 3, 3, ?, ?, ?)"
)
DEAD_AT_MS = 1_767_323_045_678  # 2026-01-02T03:04:05.678Z


@pytest.fixture
def dead_messages(project: Project) -> None:
    """Three dead-lettered messages of two queues; the body of one is not text."""
    history = json.dumps([{"attempt": 3, "error": "down"}])
    good = json.dumps({"id": "m-1", "workflow": "hello"})
    other = json.dumps({"id": "m-2", "workflow": "other"})
    project.sql(INSERT, good, "awf-workflows", "max_attempts", "down\nat host", DEAD_AT_MS, None, history)
    project.sql(INSERT, b"\xff", "awf-workflows", "malformed", "body is not UTF-8", DEAD_AT_MS, "b-1", None)
    project.sql(INSERT, other, "jobs", "max_attempts", "down", 4_000_000_000_000, None, None)


def is_dead_at(text: str) -> bool:
    """Whether `text` is DEAD_AT_MS in the documented form; the queue's clock and the wall clock differ by a little."""
    is_in_form = re.fullmatch(r"2026-01-02T03:04:0\d\.\d{3}Z", text) is not None
    return is_in_form and abs(datetime.fromisoformat(text).timestamp() * 1000 - DEAD_AT_MS) < 250


def listed(cli: Callable[..., Ended], *arguments: str) -> list[dict[str, Any]]:
    ended = cli("dlq", "list", "--format", "json", *arguments)
    assert (ended.exit_code, ended.stderr) == (0, "")
    return ended.data


@pytest.mark.usefixtures("dead_messages")
def test_the_list_has_exactly_the_documented_shape(cli: Callable[..., Ended]) -> None:
    first, second, _ = listed(cli)

    assert is_dead_at(first["dead_at"])
    assert second["dead_at"] == first["dead_at"]
    assert first == {
        "id": "1",
        "message_id": "m-1",
        "queue": "awf-workflows",
        "workflow": "hello",
        "reason": "max_attempts",
        "error": "down\nat host",
        "attempts": 3,
        "dead_at": first["dead_at"],
        "body": '{"id": "m-1", "workflow": "hello"}',
    }
    keys = ["id", "message_id", "queue", "workflow", "reason", "error", "attempts", "dead_at"]
    assert list(first) == [*keys, "body"]
    assert list(second) == [*keys, "body_base64"]
    assert base64.b64decode(second["body_base64"]) == b"\xff"
    assert (second["message_id"], second["workflow"]) == ("b-1", None)


@pytest.mark.usefixtures("dead_messages")
def test_the_table_has_one_line_for_each_dead_lettered_message(cli: Callable[..., Ended]) -> None:
    heading, *rows = cli("dlq", "list").stdout.splitlines()

    assert heading.split() == ["ID", "MESSAGE", "QUEUE", "WORKFLOW", "REASON", "ATTEMPTS", "DEAD_AT", "ERROR"]
    *before, dead_at, error = rows[0].split()
    assert before == ["1", "m-1", "awf-workflows", "hello", "max_attempts", "3"]
    assert is_dead_at(dead_at)
    assert error == "down"
    assert len(rows) == 3


@pytest.mark.usefixtures("dead_messages")
def test_the_list_is_filtered_by_reason_workflow_and_source(cli: Callable[..., Ended]) -> None:
    assert [message["id"] for message in listed(cli, "--reason", "malformed")] == ["2"]
    assert [message["id"] for message in listed(cli, "--workflow", "other")] == ["3"]
    assert [message["id"] for message in listed(cli, "--source", "awf-workflows")] == ["1", "2"]
    assert [message["id"] for message in listed(cli, "--reason", "max_attempts", "--limit", "1")] == ["1"]
    assert listed(cli, "--reason", "crash_loop") == []


def test_an_empty_dead_letter_queue_prints_nothing_on_stdout(cli: Callable[..., Ended]) -> None:
    ended = cli("dlq", "list")

    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "", "no dead-lettered messages\n")
    assert listed(cli) == []


@pytest.mark.usefixtures("dead_messages")
def test_one_message_is_shown_in_full_by_its_id_or_its_message_id(cli: Callable[..., Ended]) -> None:
    by_message = cli("dlq", "show", "m-1", "--format", "json").data

    assert by_message["history"] == [{"attempt": 3, "error": "down"}]
    by_id = cli("dlq", "show", "1", "--format", "json").data
    assert is_dead_at(by_id["dead_at"])
    assert is_dead_at(by_message["dead_at"])
    assert by_id == {**by_message, "dead_at": by_id["dead_at"]}
    assert "reason: max_attempts\n" in cli("dlq", "show", "m-1").stdout


@pytest.mark.parametrize("command", ["show", "replay"])
def test_an_unknown_id_is_an_error_that_names_it(cli: Callable[..., Ended], command: str) -> None:
    ended = cli("dlq", command, "nope")

    assert ended.exit_code == 1
    assert (
        ended.stderr == "Error: no dead-lettered message 'nope' in 'awf-dlq'\nHint: `awf dlq list` shows the messages\n"
    )


@pytest.mark.usefixtures("dead_messages")
def test_replay_moves_a_message_to_the_queue_it_came_from_and_resets_its_attempts(
    project: Project, cli: Callable[..., Ended]
) -> None:
    ended = cli("dlq", "replay", "m-1", "3")

    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "2\n", "replayed 2\n")
    assert project.bodies("awf-workflows") == ['{"id": "m-1", "workflow": "hello"}']
    row = project.row()
    assert row is not None
    assert (row["attempt"], row["deliveries"], row["owner"]) == (1, 0, None)
    assert project.count("jobs") == 1
    assert [message["id"] for message in listed(cli)] == ["2"]


@pytest.mark.usefixtures("dead_messages")
def test_replay_of_all_accepts_filters_and_another_target(project: Project, cli: Callable[..., Ended]) -> None:
    ended = cli("dlq", "replay", "--all", "--reason", "max_attempts", "--to", "again", "--format", "json")

    assert ended.data == {"replayed": 2}
    assert project.count("again") == 2
    assert len(listed(cli)) == 1


def test_replay_needs_ids_or_all_but_not_both(cli: Callable[..., Ended]) -> None:
    for arguments in ((), ("m-1", "--all")):
        ended = cli("dlq", "replay", *arguments)
        assert ended.exit_code == 1
        assert ended.stderr.startswith("Error: give the ids of the messages to replay, or --all\n")


def test_replay_of_a_message_without_a_source_queue_needs_a_target(project: Project, cli: Callable[..., Ended]) -> None:
    project.put("{}", queue="awf-dlq")

    ended = cli("dlq", "replay", "1")

    assert ended.exit_code == 1
    assert ended.stderr == "Error: message '1' does not record which queue it came from\nHint: give --to QUEUE\n"
    assert cli("dlq", "replay", "1", "--to", "jobs").stdout == "1\n"


@pytest.mark.usefixtures("dead_messages")
def test_purge_removes_messages_older_than_an_age_or_all(project: Project, cli: Callable[..., Ended]) -> None:
    old = cli("dlq", "purge", "--older-than", "1m", "--yes", "--format", "json")

    assert old.data == {"removed": 2}
    assert [message["id"] for message in listed(cli)] == ["3"]
    assert cli("dlq", "purge", stdin="n\n").exit_code == 130
    assert cli("dlq", "purge", "--yes").stdout == "1\n"
    assert project.sql("SELECT COUNT(*) FROM message") == [(0,)]


def test_an_invalid_age_is_rejected(cli: Callable[..., Ended]) -> None:
    ended = cli("dlq", "purge", "--older-than", "old", "--yes")

    assert ended.exit_code == 1
    assert ended.stderr.startswith("Error: --older-than: 'old' is not a duration")


def test_no_value_of_a_message_makes_a_column_wide_or_reaches_the_terminal(
    project: Project, cli: Callable[..., Ended]
) -> None:
    hostile = "\x1b]0;title\x07\u202e\u200b\U000e0041" + "x" * 200_000
    body = json.dumps({"id": hostile, "workflow": hostile})
    for _ in range(20):
        project.sql(INSERT, body, hostile, hostile, hostile, DEAD_AT_MS, hostile, None)

    table = cli("dlq", "list").stdout
    whole = cli("dlq", "show", "1").stdout
    document = cli("dlq", "show", "1", "--format", "json").stdout

    assert len(table) < 20_000
    for shown in (table, whole, document):
        assert not set(shown) & {"\x1b", "\x07", "\u202e", "\u200b", "\U000e0041"}
    assert json.loads(document)["workflow"] == hostile
