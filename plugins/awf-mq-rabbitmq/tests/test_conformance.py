"""The conformance kit against a private RabbitMQ."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

import pytest

from awf_core.testing.conformance import MqConformance
from awf_core.testing.target import MqTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Evaluate = Callable[[str], str]
    from awf_core.testing.brokers import PrivateRabbitMq


class Control:
    """Kills and starts the broker, once it has on disk which replicated queues it has.

    It writes that down a moment after it says that a queue is declared, and one that is killed in between starts with
    queues that never elect a leader (seen on 3.10): nothing a client could repair.
    """

    def __init__(self, server: PrivateRabbitMq, evaluate: Evaluate) -> None:
        self._server = server
        self._evaluate = evaluate
        self._is_written = False

    def restart(self) -> None:
        if not self._is_written:
            self._evaluate("[dets:sync(Table) || Table <- dets:all()]")
            self._is_written = True
        self._server.restart()


@pytest.fixture
def mq_target(server: PrivateRabbitMq, evaluate: Evaluate, request: pytest.FixtureRequest) -> MqTarget:
    def storage_size() -> int:
        counts = "{messages, N} <- rabbit_amqqueue:info(Queue, [messages])"
        return int(evaluate(f"lists:sum([N || Queue <- rabbit_amqqueue:list(), {counts}])"))

    return MqTarget(
        type="rabbitmq",
        settings={"url": server.url, "heartbeat": "2s", "publish_timeout": "3s", "connect_timeout": "3s"},
        control=Control(server, evaluate),
        flush=lambda: _remove_queues(evaluate, request.getfixturevalue("kit").queues),
        # Every replicated queue is a consensus group of its own: hundreds of them would slow each restart down.
        remove_queues=partial(_remove_queues, evaluate),
        storage_size=storage_size,
        half_open_s=10.0,
    )


def _remove_queues(evaluate: Evaluate, queues: Sequence[str]) -> None:
    """These queues, and those of their delays, all in one call."""
    names = ", ".join(f'<<"{queue}">>' for queue in queues)
    is_ours = f'lists:member(hd(binary:split(element(4, amqqueue:get_name(Queue)), <<".retry.">>)), [{names}])'
    delete = 'rabbit_amqqueue:delete(Queue, false, false, <<"kit">>)'
    evaluate(f"length([{delete} || Queue <- rabbit_amqqueue:list(), {is_ours}])")


class TestRabbitMq(MqConformance):
    skips: ClassVar[Mapping[str, str]] = {
        "A7": "capability: stable_ids",
        "D1": "capability: lease_s",
        "D2": "capability: lease_s",
        "D4": "capability: atomic_settle",
        "D4b": "capability: lease_s",
        "D9": "capability: lease_s",
        "D10": "capability: lease_s",
        "D11": "capability: lease_s",
        "D12": "capability: lease_s",
        "D1c": "capability: lease_s",
        "D1d": "capability: lease_s",
        "E2": "capability: browse_exact",
        "E9": "capability: oversized_stubs",
        "E9b": "capability: oversized_stubs",
        "F9": "capability: state",
        "F9b": "capability: state",
    }
