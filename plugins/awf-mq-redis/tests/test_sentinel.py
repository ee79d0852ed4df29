"""A master behind sentinels: found, lost, and found again on the server that was its replica."""

from __future__ import annotations

import pytest
import redis

from awf_core.contract import Ack, Outgoing
from awf_core.errors import BrokerUnavailable
from awf_core.testing.eventually import eventually


def test_a_service_that_no_sentinel_watches_is_reported_as_not_found(sentinel_group, make_backend):
    url = f"redis+sentinel://127.0.0.1:{sentinel_group[2][0].port}/other"

    with pytest.raises(BrokerUnavailable, match="No master found for 'other'"):
        make_backend(url)


def test_after_a_failover_work_goes_on_at_the_new_master(sentinel_group, make_backend):
    master, replica, sentinels = sentinel_group
    nodes = [f"127.0.0.1:{sentinel.port}" for sentinel in sentinels]
    backend = make_backend("redis://localhost", sentinel={"service": "mymaster", "nodes": nodes})
    backend.awf_mq_publish([Outgoing(queue="work", body=b"%d" % number) for number in range(3)])
    (held,) = backend.awf_mq_consume("work", 1, 1)
    with redis.Redis(port=master.port) as client:
        assert client.wait(1, 5000) == 1

    master.kill()
    failures = []

    def acked():
        try:
            return backend.awf_mq_ack([Ack(delivery=held, replies=[Outgoing(queue="answers", body=b"r")])])
        except BrokerUnavailable as error:
            failures.append(error)
            return None

    answers = eventually(acked, 20)

    assert answers == [None]
    assert failures
    assert [d.body for d in backend.awf_mq_consume("work", 5, 1)] == [b"1", b"2"]
    with redis.Redis(port=replica.port) as client:
        assert client.lrange("answers", 0, -1) == [b"r"]
