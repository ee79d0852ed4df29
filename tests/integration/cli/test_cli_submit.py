"""`awf submit` without waiting: what it puts on the queue, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from awf_core.cli.schema import MESSAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from queue_project import Project

    from .conftest import Ended


def message(project: Project, queue: str = "awf-workflows") -> dict[str, Any]:
    (body,) = project.bodies(queue)
    return json.loads(body)


def test_the_id_is_the_only_line_on_stdout(project: Project, cli: Callable[..., Ended]) -> None:
    ended = cli("submit", "hello")

    assert ended.exit_code == 0
    assert ended.stdout == message(project)["id"] + "\n"
    assert ended.stderr == "submitted to 'awf-workflows'\n"


def test_every_option_is_in_the_message(project: Project, cli: Callable[..., Ended]) -> None:
    file = project.directory / "inputs.yaml"
    file.write_text("size: 3\nname: from file\n")

    ended = cli(
        "submit", "hello", "--queue", "jobs", "--id", "m-1", "--input", "name=Ada", "--input", "eq=a=b",
        "--inputs-file", "inputs.yaml", "--reply-to", "results", "--metadata", "tenant=7", "--format", "json",
    )  # fmt: skip

    assert ended.data == {"id": "m-1", "queue": "jobs", "reply_to": "results"}
    assert message(project, "jobs") == {
        "id": "m-1",
        "workflow": "hello",
        "inputs": {"size": 3, "name": "Ada", "eq": "a=b"},
        "reply_to": "results",
        "metadata": {"tenant": "7"},
    }
    jsonschema.validate(message(project, "jobs"), MESSAGE)


def test_a_delayed_message_is_not_ready_yet(project: Project, cli: Callable[..., Ended]) -> None:
    cli("submit", "hello", "--delay", "1h")

    (stats,) = cli("queue", "stats", "--format", "json").data
    assert (stats["ready"], stats["delayed"]) == (0, 1)


def test_a_prompt_file_is_not_read_for_a_message(project: Project, cli: Callable[..., Ended]) -> None:
    cli("submit", "hello", "--input", "text=@prompts/x.md")

    assert message(project)["inputs"] == {"text": "@prompts/x.md"}


def test_options_can_come_from_the_environment(
    project: Project, cli: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWF_SUBMIT_REPLY_TO", "answers")

    cli("submit", "hello")

    assert message(project)["reply_to"] == "answers"


REFUSED = {
    "no workflow": ((), 1, "Error: Missing argument 'WORKFLOW'."),
    "an input without =": (
        ("hello", "--input", "name"),
        1,
        "Error: --input 'name' is not of the form key=value\nHint: Write --input name=value.",
    ),
    "metadata without =": (("hello", "--metadata", "x"), 1, "Error: --metadata 'x' is not KEY=VALUE"),
    "a bad delay": (("hello", "--delay", "soon"), 1, "Error: --delay: 'soon' is not a duration"),
    "a bad timeout": (("hello", "--wait", "--timeout", "x"), 1, "Error: --timeout: 'x' is not a duration"),
    "no inputs file": (("hello", "--inputs-file", "none"), 1, "Error: --inputs-file none: No such file or directory"),
    "an empty workflow": ((" ",), 1, "Error: message rejected: 'workflow' must be a non-empty text"),
    "an id too long": (("hello", "--id", "x" * 256), 1, "'id' must be a text of 1 to 255 characters"),
    "an unknown backend": (("hello", "--type", "redsi"), 2, "--type: mq.type 'redsi': no such backend is installed"),
    "no configuration": (
        ("hello", "--config", "none.yaml"),
        2,
        "Error: --config: none.yaml does not exist\nHint: create the file",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_invalid_message_is_rejected_in_one_line_and_not_published(
    project: Project, cli: Callable[..., Ended], case: str
) -> None:
    arguments, exit_code, text = REFUSED[case]

    ended = cli("submit", *arguments)

    assert ended.exit_code == exit_code
    assert text in ended.stderr
    assert ended.stderr.startswith("Error: ")
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert project.count() == 0


def test_a_message_over_the_maximum_body_size_is_rejected(project: Project, cli: Callable[..., Ended]) -> None:
    project.mq(max_body_bytes=100)

    ended = cli("submit", "hello", "--input", "x=" + "y" * 200)

    assert ended.exit_code == 1
    assert "bytes is over max_body_bytes (100)" in ended.stderr
    assert project.count() == 0


def test_waiting_exits_with_124_after_the_timeout_and_the_message_stays_queued(
    project: Project, cli: Callable[..., Ended]
) -> None:
    ended = cli("submit", "hello", "--id", "m-1", "--wait", "--timeout", "50ms")

    assert ended.exit_code == 124
    assert "Error: no result of message 'm-1' within 50ms" in ended.stderr
    assert "Hint: it will still be processed; its result will be in queue" in ended.stderr
    assert ended.stdout == ""
    assert project.count() == 1


def test_waiting_shows_progress_and_the_timeout_error_names_the_whole_wait(
    cli: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("awf_core.cli.submit.PROGRESS_EVERY_S", 0.04)

    ended = cli("submit", "hello", "--id", "m-1", "--wait", "--timeout", "100ms")

    assert ended.stderr.count("… 0s") == 2
    assert "Error: no result of message 'm-1' within 100ms" in ended.stderr


def test_a_traceback_is_shown_only_with_debug(project: Project, cli: Callable[..., Ended]) -> None:
    plain = cli("submit", "hello", "--delay", "x")
    debug = cli("--debug", "submit", "hello", "--delay", "x")

    assert len(plain.stderr.splitlines()) == 1
    assert "Traceback (most recent call last)" in debug.stderr
    assert debug.stderr.splitlines()[-1] == plain.stderr.splitlines()[-1]
    assert debug.exit_code == plain.exit_code == 1
