"""Settling deliveries: only those that are still this worker's, with replies and state in the same instant."""

from __future__ import annotations

import pytest

from awf_core.contract import Ack, DeadLetter, Delivery, Nack, Outgoing, Remember
from awf_core.errors import BrokerMisconfigured, LeaseLost, Unroutable


def reply_to(delivery, queue="answers"):
    return Outgoing(queue=queue, body=delivery.body)


def bodies(backend, queue):
    return [item.body for item in backend.awf_mq_browse(queue, 1000, None).items]


@pytest.fixture
def stale_and_current(hasty, take):
    """The same message twice: as a delivery whose lease ended, and as the one that came after it."""
    stale = take(source=hasty, body=b"twice")
    return stale, take(source=hasty, publish=False)


def test_an_ack_ends_the_message_and_publishes_its_replies(backend, take):
    delivery = take()

    answers = backend.awf_mq_ack([Ack(delivery=delivery, replies=[reply_to(delivery), reply_to(delivery, "more")])])

    assert answers == [None]
    assert backend.awf_mq_stats("work").in_flight == 0
    assert (bodies(backend, "answers"), bodies(backend, "more")) == ([b"{}"], [b"{}"])


def test_a_message_whose_lease_ends_is_redelivered(hasty, stale_and_current):
    stale, current = stale_and_current

    assert (stale.attempt, stale.deliveries) == (1, 1)
    assert (current.attempt, current.deliveries) == (1, 2)
    assert stale.id == current.id
    assert stale.receipt != current.receipt
    assert (stale.age_s, current.age_s) == (0.0, pytest.approx(0.3, abs=0.2))


def test_an_ack_after_redelivery_is_refused_and_its_reply_not_published(hasty, stale_and_current):
    stale, current = stale_and_current

    (error,) = hasty.awf_mq_ack([Ack(delivery=stale, replies=[reply_to(stale)])])

    assert isinstance(error, LeaseLost)
    assert str(error) == (
        f"{hasty.address}: delivery 1 of message {stale.id} in 'work' is not ours any more: its lease ended and the message was "
        "delivered again, or it was settled before"
    )
    assert "mq.redis.lease" in error.hint
    assert bodies(hasty, "answers") == []
    assert hasty.awf_mq_ack([Ack(delivery=current)]) == [None]


def test_a_lost_delivery_does_not_affect_the_others_of_the_call(hasty, backend, take, stale_and_current):
    stale, current = stale_and_current
    other = take()

    answers = hasty.awf_mq_ack([Ack(delivery=d, replies=[reply_to(d)]) for d in (other, stale, current)])

    assert [type(answer) for answer in answers] == [type(None), LeaseLost, type(None)]
    assert bodies(hasty, "answers") == [b"{}", b"twice"]
    assert bodies(hasty, "work") == []


def test_an_ack_after_the_lease_is_valid_until_another_worker_claims_the_message(hasty, external, take):
    delivery = take(source=hasty)
    external.zadd("{work}:lease", {delivery.receipt.id: 1})

    assert hasty.awf_mq_ack([Ack(delivery=delivery, replies=[reply_to(delivery)])]) == [None]
    assert bodies(hasty, "work") == []


def end_by_ack(backend, delivery):
    return backend.awf_mq_ack([Ack(delivery=delivery, replies=[reply_to(delivery)])])


def end_by_nack(backend, delivery):
    return backend.awf_mq_nack([Nack(delivery=delivery)])


def end_by_dead_letter(backend, delivery):
    item = DeadLetter(delivery=delivery, queue="dead", reason="r", error="e", replies=[reply_to(delivery)])
    return backend.awf_mq_dead_letter([item])


ENDINGS = [end_by_ack, end_by_nack, end_by_dead_letter]


@pytest.mark.parametrize("second", ENDINGS)
@pytest.mark.parametrize("first", ENDINGS)
def test_a_receipt_settles_once(backend, take, first, second):
    delivery = take()
    assert first(backend, delivery) == [None]
    before = [bodies(backend, queue) for queue in ("work", "dead", "answers")]

    (error,) = second(backend, delivery)

    assert isinstance(error, LeaseLost)
    assert [bodies(backend, queue) for queue in ("work", "dead", "answers")] == before
    assert [type(answer) for answer in backend.awf_mq_extend([delivery])] == [LeaseLost]


def test_the_same_delivery_twice_in_one_call_is_settled_once(backend, take):
    delivery = take()

    answers = backend.awf_mq_ack([Ack(delivery=delivery, replies=[reply_to(delivery)])] * 2)

    assert [type(answer) for answer in answers] == [type(None), LeaseLost]
    assert bodies(backend, "answers") == [b"{}"]


@pytest.mark.parametrize("end", ENDINGS)
def test_a_receipt_from_before_a_replay_does_not_fit_the_replayed_message(backend, take, end):
    delivery = take()
    end_by_dead_letter(backend, delivery)
    backend.awf_mq_move("dead", "work", None, None)
    replayed = take(publish=False)

    (error,) = end(backend, delivery)

    assert isinstance(error, LeaseLost)
    assert (replayed.deliveries, replayed.attempt, replayed.id) == (1, 1, delivery.id)
    assert backend.awf_mq_extend([replayed, delivery])[0] is None


def test_a_receipt_from_before_a_flush_fits_nothing_that_came_after(backend, external, take):
    before = take()
    external.flushall()
    after = take()

    (error,) = end_by_ack(backend, before)

    assert isinstance(error, LeaseLost)
    assert backend.awf_mq_ack([Ack(delivery=after)]) == [None]


@pytest.mark.parametrize("receipt", [None, ("x", 1), 42])
def test_a_receipt_of_another_backend_is_refused(backend, take, receipt):
    take()

    (error,) = backend.awf_mq_ack([Ack(delivery=Delivery(queue="work", body=b"", receipt=receipt))])

    assert isinstance(error, LeaseLost)
    assert backend.awf_mq_stats("work").in_flight == 1


def test_settling_goes_by_the_receipt_and_not_by_the_body(backend, take):
    delivery = take()
    replaced = Delivery(queue="other", body=b"decrypted", receipt=delivery.receipt)

    end_by_dead_letter(backend, replaced)

    (item,) = backend.awf_mq_browse("dead", 1, None).items
    assert (item.body, item.source) == (b"{}", "work")


def test_a_counted_nack_is_an_attempt_and_an_uncounted_one_is_a_release(backend, take):
    backend.awf_mq_nack([Nack(delivery=take(), counted=True)])
    backend.awf_mq_nack([Nack(delivery=take(publish=False), counted=False)])

    delivery = take(publish=False)

    assert (delivery.attempt, delivery.deliveries, delivery.crashes) == (2, 3, 0)


def test_the_history_of_a_nack_is_stored_as_it_is_and_returned_with_every_delivery(backend, take):
    first, second = {"attempt": 1, "error": 'exit 3: "boom"\nsecond line'}, {"attempt": 2, "error": "état"}
    backend.awf_mq_nack([Nack(delivery=take(), history=[first])])
    once = take(publish=False)
    backend.awf_mq_nack([Nack(delivery=once, counted=False, history=once.history)])
    released = take(publish=False)
    backend.awf_mq_nack([Nack(delivery=released, history=[*released.history, second])])

    (item,) = backend.awf_mq_browse("work", 1, None).items
    last = take(publish=False)

    assert list(once.history) == list(released.history) == [first]
    assert list(last.history) == list(item.history) == [first, second]


def test_a_delay_over_ten_years_is_refused_and_the_delivery_stays_open(backend, take):
    delivery = take()

    (error,) = backend.awf_mq_nack([Nack(delivery=delivery, delay_s=1e300)])

    assert "delay_s is 1e+300" in str(error)
    assert "315360000 seconds" in error.hint
    assert backend.awf_mq_ack([Ack(delivery=delivery)]) == [None]


def test_extending_renews_a_lease_and_answers_for_each_delivery(hasty, external, take, stale_and_current):
    stale, current = stale_and_current
    kept = take(source=hasty)
    external.zadd("{work}:lease", {kept.receipt.id: 1})

    lost, renewed = hasty.awf_mq_extend([stale, kept])

    assert isinstance(lost, LeaseLost)
    assert renewed is None
    seconds, microseconds = external.time()
    assert external.zscore("{work}:lease", kept.receipt.id) == pytest.approx(
        seconds * 1000 + microseconds / 1000 + 200, abs=150
    )
    assert current.receipt.token not in (stale.receipt.token, "")


@pytest.mark.parametrize("settle", ["ack", "dead_letter"])
def test_a_reply_to_a_key_that_is_not_a_list_is_unroutable_and_the_delivery_not_settled(
    backend, external, take, settle
):
    external.set("answers", "taken")
    delivery, other = take(), take()
    replies = [reply_to(delivery)]

    if settle == "ack":
        answers = backend.awf_mq_ack([Ack(delivery=delivery, replies=replies), Ack(delivery=other)])
    else:
        items = [
            DeadLetter(delivery=d, queue="dead", reason="r", error="e", replies=r)
            for d, r in ((delivery, replies), (other, []))
        ]
        answers = backend.awf_mq_dead_letter(items)

    assert [type(answer) for answer in answers] == [Unroutable, type(None)]
    assert "no reply can be published to 'answers': the key holds a string, not a list" in str(answers[0])
    assert backend.awf_mq_stats("work").in_flight == 1
    assert backend.awf_mq_ack([Ack(delivery=delivery)]) == [None]


@pytest.mark.parametrize(
    ("reply", "kind", "text"),
    [
        (Outgoing(queue="x" * 1025, body=b"x"), Unroutable, "can't be the name of a queue"),
        (Outgoing(queue="{work}:lease", body=b"x"), Unroutable, "keeps for itself"),
        (Outgoing(queue="a", body=b"x", delay_s=5), BrokerMisconfigured, "delay_s 5 for the reply to 'a'"),
        (Outgoing(queue="a", body=b"x", expires_s=float("inf")), BrokerMisconfigured, "expires_s for 'a' is inf"),
    ],
    ids=["too long", "internal", "delayed", "endless"],
)
def test_a_delivery_whose_reply_cannot_be_published_is_not_settled(mq, backend, take, reply, kind, text):
    delivery, other = take(), take()

    answers = mq.ack([Ack(delivery=delivery, replies=[reply]), Ack(delivery=other)])

    assert isinstance(answers[0], kind)
    assert text in str(answers[0])
    assert answers[1] is None
    assert backend.awf_mq_ack([Ack(delivery=delivery)]) == [None]


def test_remembered_state_is_written_with_the_ack_and_not_for_a_lost_delivery(hasty, stale_and_current):
    remember = [Remember(key=f"done:{number}", value="yes", ttl_s=60) for number in range(2)]

    hasty.awf_mq_ack([Ack(delivery=d, remember=r) for d, r in zip(stale_and_current, remember, strict=True)])

    assert hasty.awf_mq_state_get(["done:0", "done:1"]) == [None, "yes"]


def test_a_dead_lettered_message_has_its_source_its_reason_and_its_history(backend, external, take):
    backend.awf_mq_nack([Nack(delivery=take(body=b"\x00\xff"), reason="first", history=[{"note": "first"}])])
    delivery = take(publish=False)
    history = [*delivery.history, {"note": "second"}]
    dead_letter = DeadLetter(
        delivery=delivery, queue="dead", reason="max_attempts", error="état \ud800", history=history
    )

    assert backend.awf_mq_dead_letter([dead_letter]) == [None]

    (item,) = backend.awf_mq_browse("dead", 10, None).items
    assert (item.state, item.source, item.reason, item.error) == ("dead", "work", "max_attempts", "état ?")
    assert (item.body, item.message_id, item.attempt, item.deliveries) == (b"\x00\xff", delivery.id, 2, 2)
    assert [entry["note"] for entry in item.history] == ["first", "second"]
    assert item.dead_at == pytest.approx(external.time()[0], abs=5)
    ((_, fields),) = external.xrange("dead")
    assert (fields[b"source"], fields[b"body"]) == (b"work", b"\x00\xff")


def test_dead_lettering_to_a_key_that_is_no_stream_is_refused_and_the_delivery_stays_open(backend, external, take):
    external.lpush("plain", "x")
    delivery, other = take(), take()

    answers = backend.awf_mq_dead_letter(
        [DeadLetter(delivery=d, queue=q, reason="r", error="e") for d, q in ((delivery, "plain"), (other, "dead"))]
    )

    assert [type(answer) for answer in answers] == [BrokerMisconfigured, type(None)]
    assert "key 'plain' holds a list, and has to be a stream" in str(answers[0])
    assert backend.awf_mq_stats("work").in_flight == 1


def test_dead_lettering_a_lost_delivery_is_refused_and_moves_nothing(hasty, stale_and_current):
    (error,) = end_by_dead_letter(hasty, stale_and_current[0])

    assert isinstance(error, LeaseLost)
    assert bodies(hasty, "dead") == bodies(hasty, "answers") == []


def test_more_deliveries_than_one_script_takes_are_all_settled(backend, external):
    backend.awf_mq_publish([Outgoing(queue="work", body=b"%d" % number) for number in range(450)])
    deliveries = [d for _ in range(3) for d in backend.awf_mq_consume("work", 500, 0)]

    answers = backend.awf_mq_ack([Ack(delivery=d, replies=[reply_to(d)]) for d in deliveries])

    assert answers == [None] * 450
    assert external.llen("answers") == 450
    assert external.dbsize() == 1


def test_settling_nothing_is_no_error(backend):
    assert backend.awf_mq_ack([]) == backend.awf_mq_nack([]) == backend.awf_mq_dead_letter([]) == []
    assert backend.awf_mq_publish([]) == backend.awf_mq_extend([]) == []
