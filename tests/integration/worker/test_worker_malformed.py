"""Bodies that are no message: dead at once, byte for byte as they came, answered where a reply address can be read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from queue_project import Project

    from .conftest import Work

DEEP = '{"workflow": "hello", "inputs": ' + '{"a":' * 80 + "1" + "}" * 81

MALFORMED: dict[str, tuple[bytes | str, str]] = {
    "not JSON": ('{"workflow": "hello", oops', "body is not JSON: Expecting property name enclosed in double quotes"),
    "no bytes": (b"", "body is empty"),
    "only space": (" \n ", "body is empty"),
    "an array": ('["hello"]', "body is a JSON array, not an object"),
    "a text": ('"hello"', "body is a JSON text, not an object"),
    "no workflow": ('{"id": "m"}', "'workflow' is missing"),
    "an empty workflow": ('{"workflow": " "}', "'workflow' must be a non-empty text, not text \" \""),
    "a number for workflow": ('{"workflow": 7}', "'workflow' must be a non-empty text, not number 7"),
    "a list for inputs": ('{"workflow": "hello", "inputs": []}', "'inputs' must be an object, not array []"),
    "a text for metadata": ('{"workflow": "hello", "metadata": "x"}', "'metadata' must be an object, not text \"x\""),
    "a number for reply_to": ('{"workflow": "hello", "reply_to": 5}', "'reply_to' must be a text, not number 5"),
    "a number for id": ('{"workflow": "hello", "id": 5}', "'id' must be a text of 1 to 255 characters, not number 5"),
    "an unknown schema": ('{"workflow": "hello", "schema": 9}', "'schema' number 9 is not known here"),
    "NaN": ('{"workflow": "hello", "inputs": {"a": NaN}}', "body is not JSON: NaN is not a JSON value"),
    "too deep": (DEEP, "JSON is nested deeper than max_depth (64)"),
    "bad UTF-8": (b'{"workflow": "hello\xff"}', "body is not UTF-8: byte 0xff at offset 19"),
    "a blob of anything": (bytes(range(256)), "body is not UTF-8: byte 0x80 at offset 128"),
    "half a surrogate": ('{"workflow": "hello", "inputs": {"a": "\\ud800"}}', "body holds an unpaired surrogate"),
    "too large": ('{"workflow": "hello", "x": "' + "x" * 5000 + '"}', "bytes is over max_body_bytes (4096)"),
}


def test_malformed_bodies_are_dead_letters_byte_for_byte_with_the_reason_and_good_ones_beside_them_run(
    project: Project, work: Work
) -> None:
    project.mq(max_body_bytes=4096, concurrency=1)
    project.workflow("hello", f"echo x >> {project.marks}/starts")
    for body, _ in MALFORMED.values():
        project.put(body, {"workflow": "hello", "reply_to": "results"})

    served = work()

    dead_messages = project.dead_messages()
    assert [dead["body"] for dead in dead_messages] == [body for body, _ in MALFORMED.values()]
    for dead, (name, (_, error)) in zip(dead_messages, MALFORMED.items(), strict=True):
        assert error in dead["error"], name
        reason = "too_large" if name == "too large" else "malformed"
        assert (dead["reason"], dead["source"], dead["attempt"]) == (reason, "awf-workflows", 1), name
    assert len(project.results()) == project.starts() == len(MALFORMED)
    assert project.count() == 0
    assert served.exit_code == 3


def test_a_malformed_message_whose_reply_address_can_be_read_is_answered_there(project: Project, work: Work) -> None:
    project.mq(concurrency=1)
    project.put(
        '{"id": "m-1", "reply_to": "results", "metadata": {"tenant": 7}}',
        b'{"id": "m-2", "workflow": "hello", "reply_to": "results", "inputs": {"a": "\xff"}}',
        '{"id": "m-3", "reply_to": "results", "workflow": "hel',
    )

    work()

    first, second = project.results()
    assert first["message_id"] == "m-1"
    assert first["status"] == "rejected"
    assert first["exit_code"] == 1
    assert first["workflow"] is None
    assert first["run_id"] is None
    assert first["error"] == {"code": "USER.INPUT.INVALID_FORMAT", "message": "'workflow' is missing", "state": None}
    assert first["dead_lettered"] is True
    assert first["metadata"] == {"tenant": 7}
    assert (second["message_id"], second["workflow"]) == ("m-2", "hello")
    assert [dead["reason"] for dead in project.dead_messages()] == ["malformed"] * 3


def test_a_malformed_message_is_answered_at_the_address_its_broker_knows(project: Project, work: Work) -> None:
    project.sql(
        "INSERT INTO message(queue, body, reply_to, message_id, correlation_id) VALUES (?, ?, ?, ?, ?)",
        "awf-workflows", "no JSON", "results", "broker-id", "corr-1",
    )  # fmt: skip

    work()

    assert project.results()[0]["message_id"] == "broker-id"
    assert project.sql("SELECT correlation_id FROM message WHERE queue = 'results'") == [("corr-1",)]


def test_a_body_in_text_and_one_in_bytes_are_the_same_message(project: Project, work: Work) -> None:
    project.workflow("hello", "echo {{.inputs.name}}", inputs=[{"name": "name"}])
    text = json.dumps({"workflow": "hello", "inputs": {"name": "Zoë"}, "reply_to": "results"}, ensure_ascii=False)
    project.put(text, text.encode())

    work()

    assert [result["output"] for result in project.results()] == ["Zoë\n", "Zoë\n"]


def test_the_log_has_three_lines_of_a_rejected_message_and_never_its_body(project: Project, work: Work) -> None:
    project.put('{"id": "m-1", "secret": "hunter2"}')

    served = work()

    story = [line for line in served.log if line.get("message_id") == "m-1"]
    assert [line["event"] for line in story] == ["message.claimed", "message.rejected", "message.settled"]
    assert story[1]["reason"] == "malformed"
    assert story[1]["error"] == "'workflow' is missing"
    assert (story[2]["settlement"], story[2]["reason"]) == ("dead_letter", "malformed")
    assert "hunter2" not in json.dumps(served.log)
