"""Settling a message whose delivery is replaced, lost or refused; and what does not fit a backend at start."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from awf_core.config.load import load_config
from awf_core.errors import ConfigError
from awf_core.plugin.assemble import assemble
from awf_core.worker.checks import reject_delays

if TYPE_CHECKING:
    from collections.abc import Callable

    from queue_project import Project

    from .conftest import Work

REFUSING = """
from awf_core.errors import BrokerMisconfigured

@hookimpl(wrapper=True)
def awf_mq_{hook}({argument}):
    refused = [{condition} for item in {argument}]
    {argument}[:] = [item for item, is_refused in zip({argument}, refused) if not is_refused]
    below = iter((yield))
    return [BrokerMisconfigured("broker: never") if is_refused else next(below) for is_refused in refused]
"""


def test_a_dead_lettering_that_is_refused_for_its_size_is_done_in_short(
    project: Project, work: Work, plugin: Callable[[str], None]
) -> None:
    plugin(REFUSING.format(hook="dead_letter", argument="dead_letters", condition="len(item.error) > 1000"))
    project.mq(retry={"max_attempts": 1})
    project.workflow("fails", "head -c 3000 /dev/zero | tr '\\0' x >&2; exit 1")
    project.put({"id": "m", "workflow": "fails"})

    served = work()

    (refused,) = served.lines("settle.refused")
    assert (refused["level"], refused["message_id"], refused["instead"]) == ("error", "m", "dead_letter")
    assert len(project.dead_messages()) == 1
    assert project.count() == 0


def test_an_ack_that_is_refused_for_good_ends_as_a_dead_lettering_and_the_run_is_not_repeated(
    project: Project, work: Work, plugin: Callable[[str], None]
) -> None:
    plugin(REFUSING.format(hook="ack", argument="acks", condition="True"))
    project.workflow("hello", f"echo x >> {project.marks}/starts")
    project.put({"id": "m", "workflow": "hello"})

    work()

    assert [dead["reason"] for dead in project.dead_messages()] == ["settle_refused"]
    assert (project.starts(), project.count()) == (1, 0)


def test_a_result_that_is_refused_for_good_is_kept_and_its_message_is_acked(
    project: Project, work: Work, plugin: Callable[[str], None]
) -> None:
    plugin(REFUSING.format(hook="ack", argument="acks", condition="bool(item.replies)"))
    project.workflow("hello", f"echo x >> {project.marks}/starts")
    project.put({"id": "m", "workflow": "hello", "reply_to": "results"})

    work()

    assert [kept["message_id"] for kept in project.results("awf-undeliverable")] == ["m"]
    assert (project.starts(), project.count(), project.dead_messages()) == (1, 0, [])


def test_every_failed_attempt_is_in_the_history_of_a_dead_lettered_message(project: Project, work: Work) -> None:
    project.mq(retry={"max_attempts": 3, "initial_delay": "10ms"})
    project.workflow("fails", "echo why >&2; exit 1")
    project.put({"id": "m", "workflow": "fails"})

    work()

    (dead,) = project.dead_messages()
    assert [entry["attempt"] for entry in dead["history"]] == [1, 2, 3]
    assert [entry["reason"] for entry in dead["history"]] == ["failed", "failed", "max_attempts"]
    assert all(entry["worker"] == "tester" and entry["error"] for entry in dead["history"])


def test_a_backend_that_can_delay_no_message_is_refused_with_the_settings_that_ask_for_delays(
    project: Project,
) -> None:
    def check(**retry: object) -> None:
        project.mq(retry=retry, workflows={"slow": {"retry": {"max_attempts": 2}}})
        config = load_config(cwd=project.directory, env=os.environ)
        capabilities = assemble(config, worker="tester").mq.capabilities
        reject_delays(config.mq, capabilities, "sqlite")
        reject_delays(config.mq, replace(capabilities, max_nack_delay_s=0.0), "sqlite")

    with pytest.raises(ConfigError) as refused:
        check()
    check(initial_delay="0s", defer_unknown="0s")

    assert "mq.retry.initial_delay, mq.retry.defer_unknown" in refused.value.message
    assert refused.value.hint is not None
    assert "0s" in refused.value.hint
