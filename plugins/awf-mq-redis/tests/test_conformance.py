"""The conformance kit on a private Redis that keeps what it accepts: every case, with the skips pinned."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest
import redis

from awf_core.testing.brokers import PrivateRedis
from awf_core.testing.conformance import MqConformance
from awf_core.testing.target import MqTarget

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def durable_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    with PrivateRedis(tmp_path_factory.mktemp("durable"), password="kit", append_only=True) as server:
        yield server


@pytest.fixture
def mq_target(durable_server: PrivateRedis) -> Iterator[MqTarget]:
    with redis.Redis.from_url(durable_server.url) as client:
        client.flushall()
        yield MqTarget(
            type="redis",
            settings={"url": durable_server.url, "block": "500ms"},
            short_lease_s=1.0,
            control=durable_server,
            flush=client.flushall,
            storage_size=client.dbsize,
        )


class TestRedis(MqConformance):
    skips: ClassVar = {
        "A6b": "capability: headers",
        "E8": "capability: max_body_bytes",
        "F4b": "capability: max_body_bytes",
        "F5": "capability: headers",
    }
