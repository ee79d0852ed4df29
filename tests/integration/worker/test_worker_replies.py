"""Undeliverable results: stored, never lost, and never a reason to run a workflow again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from queue_project import Project

    from .conftest import Work

UNSAFE = {
    "awf-workflows": "is a queue this worker consumes, or keeps dead or undeliverable messages in",
    "awf-dlq": "is a queue this worker consumes, or keeps dead or undeliverable messages in",
    "awf-undeliverable": "is a queue this worker consumes, or keeps dead or undeliverable messages in",
    "results\n": "holds characters a queue name must not",
    "../results": "holds characters a queue name must not",
    "a" * 256: "is longer than 255 characters",
    "res ults": "holds characters a queue name must not",
}


def test_the_result_for_an_unsafe_reply_address_is_stored_and_the_run_is_not_repeated(
    project: Project, work: Work
) -> None:
    project.mq(concurrency=1)
    project.workflow("hello", f"echo x >> {project.marks}/starts; echo done")
    project.put(*({"id": str(n), "workflow": "hello", "reply_to": unsafe} for n, unsafe in enumerate(UNSAFE)))

    served = work()

    kept = project.results("awf-undeliverable")
    assert [(result["message_id"], result["output"]) for result in kept] == [
        (str(n), "done\n") for n in range(len(UNSAFE))
    ]
    assert project.starts() == len(UNSAFE)
    assert project.sql("SELECT DISTINCT queue FROM message") == [("awf-undeliverable",)]
    headers = [json.loads(text) for (text,) in project.sql("SELECT headers FROM message ORDER BY id")]
    for (unsafe, why), header, line in zip(UNSAFE.items(), headers, served.lines("reply.undeliverable"), strict=True):
        assert why in header["awf-undeliverable"]
        assert why in line["error"]
        assert (line["kept_in"], line["level"]) == ("awf-undeliverable", "warning")
        assert header["awf-reply-to"] == unsafe[:255]
    assert served.exit_code == 0


def test_a_stored_result_never_expires_however_soon_replies_do(project: Project, work: Work) -> None:
    project.mq(reply={"ttl": "1ms"})
    project.workflow("hello")
    project.put({"workflow": "hello", "reply_to": "not safe"})

    work()

    assert project.sql("SELECT queue, expires FROM message") == [("awf-undeliverable", None)]


def test_a_reply_address_outside_of_the_allowed_ones_gets_nothing(project: Project, work: Work) -> None:
    project.mq(reply={"allow": ["results-*", "answers"]})
    project.workflow("hello")
    project.put(*({"workflow": "hello", "reply_to": name} for name in ("results-a", "answers", "other")))

    served = work()

    assert [project.count(name) for name in ("results-a", "answers", "other", "awf-undeliverable")] == [1, 1, 0, 1]
    (line,) = served.lines("reply.undeliverable")
    assert line["error"] == "reply_to 'other' matches none of mq.reply.allow (results-*, answers)"


def test_a_malformed_message_with_an_unsafe_reply_address_is_dead_lettered_and_its_result_stored(
    project: Project, work: Work
) -> None:
    project.put('{"id": "m", "reply_to": "awf-dlq"}')

    work()

    assert [dead["reason"] for dead in project.dead_messages()] == ["malformed"]
    assert project.results("awf-undeliverable")[0]["status"] == "rejected"


REFUSING = """
from dataclasses import replace
from awf_core.errors import {error}

@hookimpl(wrapper=True)
def awf_mq_ack(acks):
    refused = [any(reply.queue == "results" for reply in ack.replies) for ack in acks]
    good = [ack for ack, is_refused in zip(acks, refused) if not is_refused]
    # The backend below is asked only for what this broker would take.
    acks[:] = good
    answers = iter((yield))
    return [{error}("queue 'results' takes no such body") if is_refused else next(answers) for is_refused in refused]
"""


@pytest.mark.parametrize("error", ["Unroutable", "BodyTooLarge", "QueueMissing"])
def test_a_reply_the_broker_refuses_is_kept_the_message_settled_and_the_run_not_repeated(
    project: Project, work: Work, plugin: Callable[[str], None], error: str
) -> None:
    plugin(REFUSING.format(error=error))
    project.workflow("hello", f"echo x >> {project.marks}/starts; echo done")
    project.put({"id": "m", "workflow": "hello", "reply_to": "results"}, {"workflow": "hello", "reply_to": "others"})

    served = work()

    (kept,) = project.results("awf-undeliverable")
    assert (kept["message_id"], kept["output"]) == ("m", "done\n")
    assert project.starts() == 2
    assert (project.count(), project.count("results"), project.count("others")) == (0, 0, 1)
    (line,) = served.lines("reply.undeliverable")
    assert (line["message_id"], line["reply_to"], line["kept_in"]) == ("m", "results", "awf-undeliverable")
    assert line["error"] == "queue 'results' takes no such body"
    assert len(served.lines("message.settled", settlement="ack")) == 2
    assert served.exit_code == 0


FAILING = """
from awf_core.errors import BrokerUnavailable

calls = 0

@hookimpl(wrapper=True)
def {hook}({items}):
    global calls
    calls += 1
    if calls <= {times}:
        raise BrokerUnavailable("broker: connection reset")
    return (yield)
"""


def test_a_settlement_that_fails_is_tried_again_and_the_run_is_not_repeated(
    project: Project, work: Work, plugin: Callable[[str], None]
) -> None:
    plugin(FAILING.format(hook="awf_mq_ack", items="acks", times=3))
    project.workflow("hello", f"echo x >> {project.marks}/starts")
    project.put({"id": "m", "workflow": "hello", "reply_to": "results"})

    served = work()

    assert project.starts() == 1
    assert len(project.results()) == 1
    assert project.count() == 0
    assert served.lines("settle.retried")[0]["error"] == "broker: connection reset"
    assert [line["settlement"] for line in served.lines("message.settled")] == ["ack"]


def test_a_message_that_can_not_be_dead_lettered_at_first_is_dead_lettered_later(
    project: Project, work: Work, plugin: Callable[[str], None]
) -> None:
    plugin(FAILING.format(hook="awf_mq_dead_letter", items="dead_letters", times=2))
    project.put("no JSON")

    served = work()

    assert [dead["body"] for dead in project.dead_messages()] == ["no JSON"]
    assert served.exit_code == 3


def test_an_undeliverable_result_that_can_not_be_stored_at_first_is_stored_later_and_the_run_not_repeated(
    project: Project, work: Work, plugin: Callable[[str], None]
) -> None:
    plugin(REFUSING.format(error="Unroutable"))
    plugin(FAILING.format(hook="awf_mq_publish", items="messages", times=3))
    project.workflow("hello", f"echo x >> {project.marks}/starts")
    project.put({"id": "m", "workflow": "hello", "reply_to": "results"})

    work()

    assert [result["message_id"] for result in project.results("awf-undeliverable")] == ["m"]
    assert project.starts() == 1
    assert project.count() == 0


def test_an_observer_that_raises_is_logged_by_name_and_stops_nothing(
    project: Project, work: Work, plugin: Callable[[str], None]
) -> None:
    plugin(
        """
@hookimpl
def awf_message_received(delivery): raise RuntimeError("observer is broken")
@hookimpl
def awf_message_settled(delivery, settlement): raise SystemExit(9)
@hookimpl
def awf_worker_started(worker): 1 / 0
"""
    )
    project.workflow("hello")
    project.put(*({"workflow": "hello", "reply_to": "results"} for _ in range(3)))

    served = work()

    assert len(project.results()) == 3
    assert served.exit_code == 0
    failed = served.lines("plugin.failed")
    assert {line["hook"] for line in failed} == {"awf_message_received", "awf_message_settled", "awf_worker_started"}
    assert all(line["plugin"].startswith("worker_test_plugin_") for line in failed)
    assert any("observer is broken" in line["exception"] for line in failed)


def test_a_plugin_may_give_results_another_form(project: Project, work: Work, plugin: Callable[[str], None]) -> None:
    plugin(
        """
from awf_core.contract import Formatted
@hookimpl
def awf_format_result(delivery, message, outcome):
    return Formatted(body=f"{outcome.message_id} {outcome.status}".encode(), content_type="text/plain")
"""
    )
    project.workflow("hello")
    project.put({"id": "m", "workflow": "hello", "reply_to": "results"})

    work()

    assert project.bodies("results") == ["m completed"]


@pytest.mark.parametrize("body", ["raise RuntimeError('no form')", "return 'not a Formatted'"])
def test_where_a_result_plugin_fails_the_result_has_the_default_form_and_the_run_is_not_repeated(
    project: Project, work: Work, plugin: Callable[[str], None], body: str
) -> None:
    plugin(f"@hookimpl\ndef awf_format_result(delivery): {body}")
    project.workflow("hello", f"echo x >> {project.marks}/starts")
    project.put({"id": "m", "workflow": "hello", "reply_to": "results"})

    served = work()

    assert [result["message_id"] for result in project.results()] == ["m"]
    assert project.starts() == 1
    assert project.count() == 0
    assert served.lines("plugin.failed", level="error", hook="awf_format_result")
    assert served.exit_code == 0
