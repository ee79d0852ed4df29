"""The conformance kit against a private RabbitMQ."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from awf_core.testing.conformance import MqConformance
from awf_core.testing.target import MqTarget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.testing.rabbitmq_server import PrivateRabbitMq


@pytest.fixture
def mq_target(server: PrivateRabbitMq) -> MqTarget:
    def flush() -> None:
        server.control("delete_vhost", "/")
        server.control("add_vhost", "/")
        server.control("set_permissions", "guest", ".*", ".*", ".*")

    def storage_size() -> int:
        return sum(int(line) for line in server.control("list_queues", "--no-table-headers", "messages").split())

    return MqTarget(
        type="rabbitmq",
        settings={"url": server.url, "heartbeat": "2s", "publish_timeout": "3s", "connect_timeout": "3s"},
        control=server,
        flush=flush,
        storage_size=storage_size,
        half_open_s=10.0,
    )


class TestRabbitMq(MqConformance):
    skips: ClassVar[Mapping[str, str]] = {}
