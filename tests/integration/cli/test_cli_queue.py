"""`awf queue`: count, browse, move, purge, create."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from queue_project import Project

    from .conftest import Ended


def test_stats_count_the_messages_of_queues_by_state(project: Project, cli: Callable[..., Ended]) -> None:
    project.put("one", "two")
    project.put("three", queue="other")
    project.sql("UPDATE message SET due = due + 3600000 WHERE body = 'two'")

    rows = cli("queue", "stats", "awf-workflows", "other", "--format", "json").data

    assert [list(row) for row in rows] == [["queue", "ready", "delayed", "in_flight", "dead", "oldest_age_s"]] * 2
    assert [(row["queue"], row["ready"], row["delayed"], row["in_flight"]) for row in rows] == [
        ("awf-workflows", 1, 1, 0),
        ("other", 1, 0, 0),
    ]
    heading, *lines = cli("queue", "stats").stdout.splitlines()
    assert heading.split() == ["QUEUE", "READY", "DELAYED", "IN_FLIGHT", "DEAD", "OLDEST_S"]
    assert lines[0].split()[:5] == ["awf-workflows", "1", "1", "0", "0"]


def test_browse_shows_messages_oldest_first_and_consumes_none(project: Project, cli: Callable[..., Ended]) -> None:
    project.put({"id": "m-1", "workflow": "hello"}, b"\xff\x00", "plain")

    items = cli("queue", "browse", "awf-workflows", "--format", "json").data

    assert next(item["message_id"] for item in items) == "m-1"
    assert items[0]["body"] == '{"id": "m-1", "workflow": "hello"}'
    assert base64.b64decode(items[1]["body_base64"]) == b"\xff\x00"
    assert items[2]["body"] == "plain"
    assert {item["state"] for item in items} == {"ready"}
    assert project.count() == 3
    assert len(cli("queue", "browse", "awf-workflows", "--limit", "2").stdout.splitlines()) == 3
    assert cli("queue", "browse", "empty").stderr == "'empty' is empty\n"


def test_control_characters_of_a_body_do_not_reach_the_terminal(project: Project, cli: Callable[..., Ended]) -> None:
    project.put("\x1b[31mred\u202e")

    shown = cli("queue", "browse", "awf-workflows").stdout

    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "red" in shown


def test_messages_are_moved_by_id_by_number_or_all(project: Project, cli: Callable[..., Ended]) -> None:
    project.put("one", "two", "three", "four")
    first = cli("queue", "browse", "awf-workflows", "--format", "json").data[0]["id"]

    by_id = cli("queue", "move", "awf-workflows", "other", "--id", first)
    by_number = cli("queue", "move", "awf-workflows", "other", "--limit", "2", "--format", "json")

    assert (by_id.stdout, by_id.stderr) == ("1\n", "moved 1 from 'awf-workflows' to 'other'\n")
    assert by_number.data == {"moved": 2}
    assert sorted(project.bodies("other")) == ["one", "three", "two"]
    assert cli("queue", "move", "awf-workflows", "other").stdout == "1\n"


def test_moving_a_queue_to_itself_is_rejected(project: Project, cli: Callable[..., Ended]) -> None:
    ended = cli("queue", "move", "a", "a")

    assert ended.exit_code == 1
    assert ended.stderr == "Error: source and target are both 'a'\n"


def test_purge_asks_on_stderr_and_removes_only_after_yes(project: Project, cli: Callable[..., Ended]) -> None:
    project.put("one", "two")

    no = cli("queue", "purge", "awf-workflows", stdin="n\n")
    assert (no.exit_code, no.stdout, project.count()) == (130, "", 2)
    assert "Remove 2 ready and 0 delayed messages of 'awf-workflows'? [y/N]" in no.stderr
    yes = cli("queue", "purge", "awf-workflows", stdin="y\n")
    assert (yes.exit_code, yes.stdout, project.count()) == (0, "2\n", 0)
    project.put("three")
    assert cli("queue", "purge", "awf-workflows", "--yes", "--format", "json").data == {"removed": 1}


def test_purge_keeps_messages_in_flight(project: Project, cli: Callable[..., Ended]) -> None:
    project.put("held", "free")
    project.sql("UPDATE message SET owner = 'w', deliveries = 1, due = due + 60000 WHERE body = 'held'")

    cli("queue", "purge", "awf-workflows", "--yes")

    assert project.bodies("awf-workflows") == ["held"]


def test_ensure_creates_the_queue_file_and_names_each_queue(project: Project, cli: Callable[..., Ended]) -> None:
    project.queue_file.unlink()

    ended = cli("queue", "ensure")

    assert ended.exit_code == 0
    assert ended.stderr.splitlines() == [
        "'awf-workflows' exists",
        "'awf-dlq' exists",
        "'awf-undeliverable' exists",
    ]
    assert project.queue_file.exists()
    assert cli("queue", "ensure", "results", "--role", "reply").stderr == "'results' exists\n"


def test_an_invalid_queue_name_is_rejected(project: Project, cli: Callable[..., Ended]) -> None:
    ended = cli("queue", "ensure", "x" * 300)

    assert ended.exit_code == 4
    assert ended.stderr.startswith("Error: ")


def test_an_unknown_command_is_an_error_of_one_line_and_a_hint(project: Project, cli: Callable[..., Ended]) -> None:
    ended = cli("queue", "brows")

    assert ended.exit_code == 1
    error, hint = ended.stderr.splitlines()
    assert error.startswith("Error: No such command 'brows'.")
    assert hint == "Hint: see `awf queue --help`"
    assert ended.stdout == ""


def test_a_wrong_option_of_the_worker_exits_with_two(project: Project, cli: Callable[..., Ended]) -> None:
    unknown = cli("worker", "--nope")
    bad = cli("worker", "--concurrency", "many")

    assert (unknown.exit_code, bad.exit_code) == (2, 2)
    assert unknown.stderr.startswith("Error: No such option '--nope'.")
    assert "'many' is not a valid integer" in bad.stderr


def test_an_invalid_value_of_an_option_is_an_error_that_names_the_option(
    project: Project, cli: Callable[..., Ended]
) -> None:
    ended = cli("worker", "--concurrency", "0", "--burst")

    assert ended.exit_code == 2
    assert ended.stderr.splitlines()[0] == (
        "Error: --concurrency: mq.concurrency: 0 is out of range (allowed: 1 to 1000)"
    )
