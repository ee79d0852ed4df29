"""What expires: results, private reply queues, shared state."""

from __future__ import annotations

import pytest

from awf_core.contract import Ack, Outgoing, StateEntry
from awf_core.errors import BrokerMisconfigured, QueueMissing
from awf_core.testing.eventually import eventually


def test_results_expire_and_every_push_renews_the_list(server, make_backend, external, take):
    replier = make_backend(server.url, context={"reply_ttl_s": 100.0})

    def answer(**values):
        replier.awf_mq_ack([Ack(delivery=take(), replies=[Outgoing(queue="answers", body=b"x", **values)])])
        return external.pttl("answers")

    default = answer()
    external.pexpire("answers", 5000)
    renewed = answer()
    shorter = answer(expires_s=10)
    longer = answer(expires_s=1000)

    assert 99_000 < default <= 100_000
    assert 99_000 < renewed <= 100_000
    assert 99_000 < shorter <= 100_000
    assert 999_000 < longer <= 1_000_000


def test_a_list_that_was_there_without_an_expiry_gets_none(backend, external, take):
    external.lpush("answers", "theirs")

    backend.awf_mq_ack([Ack(delivery=take(), replies=[Outgoing(queue="answers", body=b"ours")])])

    assert external.pttl("answers") == -1
    assert external.llen("answers") == 2


def test_a_private_reply_queue_is_unique_and_expires(backend, external, take):
    queue, other = backend.awf_mq_reply_queue(0.4), backend.awf_mq_reply_queue(0.4)
    reply = Outgoing(queue=queue, body=b"answer")

    backend.awf_mq_ack([Ack(delivery=take(), replies=[reply, reply])])
    received = take(queue, publish=False)
    left = external.pttl(queue)
    eventually(lambda: external.keys() == [], what="the list is gone, and so is the delivery that was never settled")
    (gone,) = backend.awf_mq_publish([reply])

    assert queue != other
    assert received.body == b"answer"
    assert 0 < left <= 400
    assert isinstance(gone, QueueMissing)
    assert f"the private reply queue '{queue}' has expired" in str(gone)
    assert external.keys() == []


def test_a_reply_published_without_an_ack_expires_with_its_private_queue(backend, external):
    queue = backend.awf_mq_reply_queue(60)

    assert backend.awf_mq_publish([Outgoing(queue=queue, body=b"x", expires_s=5)]) == [None]

    assert 0 < external.pttl(queue) <= 5000


def test_a_private_reply_queue_without_an_end_is_refused(backend):
    with pytest.raises(BrokerMisconfigured, match="ttl_s is inf"):
        backend.awf_mq_reply_queue(float("inf"))


def test_state_is_read_back_until_it_expires(backend):
    answers = backend.awf_mq_state_put(
        [
            StateEntry(key="a:1", value="é"),
            StateEntry(key="a:2", value="short", ttl_s=0.1),
            StateEntry(key="b", value=""),
            StateEntry(key="a*", value="no wildcard"),
        ]
    )
    before = backend.awf_mq_state_get(["a:2", "a:1", "none", "b"])
    eventually(lambda: backend.awf_mq_state_get(["a:2"]) == [None])

    assert answers == [True] * 4
    assert before == ["short", "é", None, ""]
    assert backend.awf_mq_state_list("a:") == [("a:1", "é")]
    assert backend.awf_mq_state_list("a*") == [("a*", "no wildcard")]
    assert [key for key, _ in backend.awf_mq_state_list("")] == ["a*", "a:1", "b"]


def test_a_long_list_of_state_is_whole(backend):
    entries = [StateEntry(key=f"k{number:05}", value="v") for number in range(2500)]
    backend.awf_mq_state_put(entries)

    assert [key for key, _ in backend.awf_mq_state_list("k")] == [entry.key for entry in entries]


def test_a_conditional_write_fails_only_where_there_is_a_live_value(backend):
    def claim(value):
        return backend.awf_mq_state_put([StateEntry(key="k", value=value, ttl_s=0.1, if_absent=True)])

    first, second = claim("first"), claim("second")
    eventually(lambda: backend.awf_mq_state_get(["k"]) == [None])
    third = claim("third")
    overwritten = backend.awf_mq_state_put([StateEntry(key="k", value="fourth")])
    fifth = claim("fifth")

    assert (first, second, third, overwritten, fifth) == ([True], [False], [True], [True], [False])
    assert backend.awf_mq_state_get(["k"]) == ["fourth"]


def test_a_write_of_no_value_deletes_and_with_if_absent_deletes_no_live_value(backend):
    backend.awf_mq_state_put([StateEntry(key="k", value="v")])

    kept = backend.awf_mq_state_put([StateEntry(key="k", value=None, if_absent=True)])
    value = backend.awf_mq_state_get(["k"])
    deleted = backend.awf_mq_state_put([StateEntry(key="k", value=None), StateEntry(key="none", value=None)])

    assert (kept, value, deleted) == ([False], ["v"], [True, True])
    assert backend.awf_mq_state_get(["k"]) == [None]


def test_a_time_to_live_that_is_no_number_is_refused_before_anything_is_written(backend):
    entries = [StateEntry(key="k", value="v"), StateEntry(key="l", value="v", ttl_s=float("nan"))]

    with pytest.raises(BrokerMisconfigured, match="ttl_s is nan"):
        backend.awf_mq_state_put(entries)

    assert backend.awf_mq_state_get(["k"]) == [None]
