"""A client that waits for a result while its broker comes and goes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from awf_core import Client
from awf_core.errors import BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from queue_project import Project

    from .conftest import Work

BREAKING = """
from awf_core.errors import BrokerUnavailable

calls = 0

@hookimpl(wrapper=True)
def {hook}():
    global calls
    calls += 1
    if calls <= {times}:
        raise BrokerUnavailable("broker: connection reset")
    return (yield)
"""


@pytest.mark.parametrize("hook", ["awf_mq_consume", "awf_mq_ack"])
def test_a_broker_that_breaks_off_for_a_moment_does_not_end_the_wait(
    project: Project, work: Work, plugin: Callable[[str], None], hook: str
) -> None:
    project.workflow("hello", "echo done")
    with Client(cwd=project.directory, env=os.environ) as client:
        submission = client.submit("hello", expect_reply=True)
    work()
    plugin(BREAKING.format(hook=hook, times=1))

    with Client(cwd=project.directory, env=os.environ) as client:
        result = client.wait(submission, timeout_s=10)

    assert result["output"] == "done\n"


def test_a_broker_that_stays_out_of_reach_ends_the_wait_with_its_error(
    project: Project, plugin: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("awf_core.client.BROKER_AWAY_S", 0.3)
    plugin(BREAKING.format(hook="awf_mq_consume", times=10**9))

    with Client(cwd=project.directory, env=os.environ) as client:
        submission = client.submit("hello", expect_reply=True)
        with pytest.raises(BrokerUnavailable, match="broker: connection reset"):
            client.wait(submission, timeout_s=60)
