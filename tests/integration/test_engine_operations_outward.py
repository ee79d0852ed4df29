"""`notify.send` and `github.*`: stand-ins for the programs, a server of this process for the webhook."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from http_answers import Answer, http_answers
from state_runs import Place, one_state

if TYPE_CHECKING:
    from pathlib import Path

    from awf_core.extensions.results import StateRecord

URL = "https://github.com/o/r/pull/7"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def call(place: Place, operation: str, notify_backend: str | None = None, **inputs: Any) -> StateRecord:
    state = one_state("operation", operation=operation, inputs=inputs)
    return place.run(state, notify_backend=notify_backend).states["a"]


def test_a_desktop_notification_goes_through_notify_send(place: Place) -> None:
    place.stand_in("notify-send")

    record = call(place, "notify.send", backend="desktop", message=" hi ", priority="high")

    assert place.argvs() == [["notify-send", "-u", "critical", "AWF Workflow", "hi"]]
    assert record.response == {"backend": "desktop", "status": 0, "response": "notification sent via linux"}
    assert place.heard.lines == ["info: notification sent"]


def test_a_desktop_without_the_program_fails_with_its_name(place: Place) -> None:
    place.env["PATH"] = str(place.bin)

    record = call(place, "notify.send", backend="desktop", message="hi")

    expected = 'exec: "notify-send": executable file not found in $PATH'
    assert record.error == (
        f'notify.send: backend "desktop" failed: desktop notification failed: {expected} (output: )'
    )


def test_a_desktop_that_refuses_fails_with_what_it_says(place: Place) -> None:
    place.stand_in("notify-send", "no bus\n", exit_code=1)

    record = call(place, "notify.send", backend="desktop", message="hi")

    assert record.error.endswith("desktop notification failed: exit status 1 (output: no bus)")


def test_test_mode_sends_nothing(place: Place) -> None:
    place.env["AWF_TEST_MODE"] = "1"
    place.stand_in("notify-send")

    record = call(place, "notify.send", notify_backend="desktop", message="hi")

    assert record.response == {"backend": "desktop", "status": 0, "response": "test mode: notification not sent"}
    assert place.calls() == []


def test_a_webhook_that_refuses_fails_without_showing_its_address(place: Place) -> None:
    with http_answers() as server:
        server.answers["/hook"] = Answer(500)
        refused = call(place, "notify.send", backend="webhook", webhook_url=f"{server.url}/hook", message="m")
    unreachable = call(place, "notify.send", backend="webhook", webhook_url=f"{server.url}/hook", message="m")

    assert refused.error == 'notify.send: backend "webhook" failed: webhook returned non-2xx status code'
    assert "connection refused" in unreachable.error
    assert "/hook" not in unreachable.error
    assert json.loads(server.asked[0].body) == {"title": "AWF Workflow", "message": "m", "priority": "default"}


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"message": "m"}, "no backend specified and no default backend configured"),
        ({"backend": "desktop"}, 'required input "message" is missing'),
        ({"backend": "desktop", "message": 5}, 'input "message" must be a string, got int'),
        ({"backend": "pigeon", "message": "m"}, 'backend "pigeon" not available (available: [desktop webhook])'),
        ({"backend": "webhook", "message": "m"}, "backend \"webhook\" requires 'webhook_url' input"),
        (
            {"backend": "desktop", "message": "m", "priority": "top"},
            'invalid priority "top" (must be: low, default, high)',
        ),
    ],
)
def test_a_notification_that_makes_no_sense_says_why(place: Place, inputs: dict[str, Any], text: str) -> None:
    record = call(place, "notify.send", **inputs)

    assert record.error == f"notify.send: {text}"
    assert place.heard.lines == [f"warn: operation failed | notify.send: {text}"]


@pytest.mark.parametrize(
    ("operation", "inputs", "argv"),
    [
        ("get_issue", {"number": 5}, ["issue", "view", "5", "--json", "number,title,body,state,labels"]),
        (
            "get_pr",
            {"number": "6"},
            [
                *("pr", "view", "6", "--json"),
                "number,title,body,state,headRefName,baseRefName,mergeable,mergedAt,labels",
            ],
        ),
        ("list_comments", {"number": 7.0}, ["issue", "view", "7", "--json", "comments"]),
    ],
)
def test_what_github_is_asked_for_becomes_the_response(
    place: Place, operation: str, inputs: dict[str, Any], argv: list[str]
) -> None:
    place.stand_in("gh", {"number": 5, "title": "t"})

    record = call(place, f"github.{operation}", repo="o/r", **inputs)

    assert place.argvs() == [["gh", *argv, "--repo", "o/r"]]
    assert record.response == {"number": 5, "title": "t"}


@pytest.mark.parametrize(
    ("operation", "inputs", "argv", "outputs"),
    [
        (
            "create_pr",
            {"title": "T", "head": "h", "base": "b", "body": "B", "draft": True},
            ["pr", "create", "--title", "T", "--head", "h", "--base", "b", "--body", "B", "--repo", "o/r", "--draft"],
            {"number": "7", "url": URL, "already_exists": "false"},
        ),
        (
            "create_issue",
            {"title": "T", "labels": ["x", "y"], "assignees": ["me"]},
            [
                *("issue", "create", "--title", "T", "--body", "", "--repo", "o/r"),
                *("--label", "x", "--label", "y", "--assignee", "me"),
            ],
            {"number": "7", "url": URL},
        ),
        (
            "add_labels",
            {"number": 3, "labels": ["x", "y"]},
            ["issue", "edit", "3", "--add-label", "x", "--add-label", "y", "--repo", "o/r"],
            {"labels": "x,y"},
        ),
        (
            "add_comment",
            {"number": 3, "body": "B"},
            ["issue", "comment", "3", "--body", "B", "--repo", "o/r"],
            {"comment_id": "", "url": URL},
        ),
    ],
)
def test_what_is_created_on_github_is_reported_by_its_address(
    place: Place, operation: str, inputs: dict[str, Any], argv: list[str], outputs: dict[str, Any]
) -> None:
    place.stand_in("gh", f"{URL}\n")

    record = call(place, f"github.{operation}", repo="o/r", **inputs)

    assert place.argvs() == [["gh", *argv]]
    assert record.response == outputs


def test_the_repository_is_that_of_the_remote_origin(place: Place) -> None:
    place.stand_in("gh", "{}")
    place.stand_in("git", "git@github.com:own/rep.git\n")

    call(place, "github.get_issue", number=1)

    assert place.argvs()[0] == ["git", "remote", "get-url", "origin"]
    assert place.argvs()[1][-2:] == ["--repo", "own/rep"]


def test_an_existing_pull_request_is_returned_in_place_of_a_new_one(place: Place) -> None:
    body = "if sys.argv[2] == 'create':\n    sys.stderr.write('a pull request already exists')\n    sys.exit(1)"
    place.stand_in("gh", {"number": 12, "url": "u"}, body=body)

    record = call(place, "github.create_pr", repo="o/r", title="T", head="h", base="b")

    assert record.response == {"number": "12", "url": "u", "already_exists": "true"}
    assert place.argvs()[1] == ["gh", "pr", "view", "h", "--json", "number,url", "--repo", "o/r"]


@pytest.mark.parametrize(
    ("operation", "inputs", "text"),
    [
        ("get_issue", {}, "number is required"),
        ("get_issue", {"number": "--web"}, "number '--web' is none"),
        ("create_pr", {"title": "T"}, "title, head, and base are required"),
        ("create_issue", {}, "title is required"),
        ("add_labels", {"number": 1}, "labels is required"),
        ("add_comment", {"number": 1}, "body is required"),
        ("batch", {"operations": [{}]}, "operation 0: operation missing required field: name"),
        ("batch", {"operations": [{"name": 5}]}, "operation 0: operation name must be a string, got int"),
        ("batch", {"operations": [{"name": ""}]}, "operation 0: operation name cannot be empty"),
        (
            "batch",
            {"operations": [{"name": "x", "inputs": []}]},
            "operation 0: operation inputs must be a map, got []interface {}",
        ),
    ],
)
def test_a_github_operation_without_what_it_needs_says_so(
    place: Place, operation: str, inputs: dict[str, Any], text: str
) -> None:
    place.stand_in("gh")

    record = call(place, f"github.{operation}", repo="o/r", **inputs)

    assert record.error == f"github.{operation}: {text}"
    assert place.calls() == []


def test_what_gh_complains_of_is_the_error_without_the_token(place: Place) -> None:
    place.env["GITHUB_TOKEN"] = "tok-123"
    place.stand_in("gh", body="sys.stderr.write('bad token tok-123')\nsys.exit(4)")

    record = call(place, "github.get_issue", repo="o/r", number=1)

    expected = "gh issue view: bad token *** (run `gh auth login`, or set GITHUB_TOKEN)"
    assert record.error == f"github.get_issue: {expected}"


def test_a_machine_without_gh_says_so(place: Place) -> None:
    place.env["PATH"] = str(place.bin)

    record = call(place, "github.get_issue", repo="o/r", number=1)

    assert record.error == 'github.get_issue: gh: exec: "gh": executable file not found in $PATH'


def batch(place: Place, strategy: str | None, *numbers: int) -> StateRecord:
    body = "if sys.argv[3] == '13':\n    sys.stderr.write('unlucky')\n    sys.exit(1)"
    place.stand_in("gh", {"ok": True}, body=body)
    operations = [{"name": "github.get_issue", "inputs": {"number": number, "repo": "o/r"}} for number in numbers]
    chosen = {} if strategy is None else {"strategy": strategy}
    return call(place, "github.batch", operations=operations, concurrency=1, **chosen)


def test_a_batch_runs_every_operation_and_reports_each_outcome_in_order(place: Place) -> None:
    record = batch(place, None, 1, 13, 2)

    assert [result["success"] for result in record.response["results"]] == [True, False, True]
    assert (record.response["total"], record.response["failed"]) == (3, 1)
    assert record.error == "github.batch: 1 of 3 operations failed"


def test_a_batch_that_has_to_succeed_stops_at_the_first_failure(place: Place) -> None:
    record = batch(place, "all_succeed", 13, 1, 2)

    failure = "operation github.get_issue failed: github.get_issue: gh issue view: unlucky"
    assert record.error == f"github.batch: batch execution: {failure}"
    assert len(place.calls()) == 1


def test_a_batch_that_needs_one_success_stops_with_it(place: Place) -> None:
    enough = batch(place, "any_succeed", 13, 1, 2)
    calls = len(place.calls())
    none = batch(place, "any_succeed", 13)

    assert (enough.error, enough.response["succeeded"], calls) == ("", 1, 2)
    assert none.error == "github.batch: all 1 operations failed"
