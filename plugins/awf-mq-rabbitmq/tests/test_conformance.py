"""The conformance kit against a private RabbitMQ."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pika
import pytest
from awf_mq_rabbitmq.settings import DELAYS_S

from awf_core.crash_points import CRASH_POINTS
from awf_core.testing.conformance import MqConformance
from awf_core.testing.target import MqTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from awf_core.testing.kit import Kit

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
        flush=lambda: _delete_queues(server, request.getfixturevalue("kit")),
        storage_size=storage_size,
        half_open_s=10.0,
    )


@pytest.fixture(autouse=True)
def small_broker(server: PrivateRabbitMq, kit: Kit) -> Iterator[None]:
    """Every replicated queue is a consensus group of its own: hundreds of them would slow each restart down.

    The kit empties them first. Deleted full, and all in one call inside the broker, they left it without its process
    `rabbit_fifo_dlx_sup`, and no queue could be declared any more (seen on 3.10.8).
    """
    yield
    kit.close()
    _delete_queues(server, kit)


def _delete_queues(server: PrivateRabbitMq, kit: Kit) -> None:
    names = kit.names
    work = [names.work, names.other, *(f"{names.work}-{number}" for number in range(len(CRASH_POINTS)))]
    retry = [f"{queue}.retry.{round(delay_s * 1000)}" for queue in (names.work, names.other) for delay_s in DELAYS_S]
    connection = pika.BlockingConnection(pika.URLParameters(server.url))
    channel = connection.channel()
    for queue in (*work, *retry, names.dead, names.replies, names.undeliverable):
        channel.queue_delete(queue)
    connection.close()


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
