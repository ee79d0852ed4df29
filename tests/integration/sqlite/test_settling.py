"""Settle deliveries: only those that are still held, with replies and state in the same transaction."""

from __future__ import annotations

import pytest

from awf_core.contract import Ack, DeadLetter, Delivery, Nack, Outgoing, Remember
from awf_core.errors import BodyTooLarge, BrokerMisconfigured, LeaseLost, Unroutable

LEASE_S = 60.0


def answer_to(delivery: Delivery) -> Outgoing:
    return Outgoing(queue="answers", body=delivery.body)


def bodies(backend, queue):
    return [item.body for item in backend.awf_mq_browse(queue, 100, None).items]


def test_an_ack_removes_the_message_and_publishes_its_replies(backend, clock, take):
    delivery = take()

    answers = backend.awf_mq_ack([Ack(delivery=delivery, replies=[answer_to(delivery), answer_to(delivery)])])
    clock.advance(LEASE_S + 1)

    assert answers == [None]
    assert backend.awf_mq_consume("work", 1, 0) == []
    assert bodies(backend, "answers") == [b"{}", b"{}"]


def test_a_batch_is_acknowledged_with_one_delete_and_one_by_one_only_when_one_is_lost(backend, clock, take):
    deliveries = [take() for _ in range(12)]
    statements: list[str] = []
    backend._connections._writer.connection.set_trace_callback(statements.append)

    answers = backend.awf_mq_ack([Ack(delivery=delivery) for delivery in deliveries])
    again = backend.awf_mq_ack([Ack(delivery=delivery) for delivery in deliveries])

    deletes = [
        index for index, text in enumerate(statements) if text.lstrip().startswith("DELETE FROM message\nWHERE id")
    ]
    assert answers == [None] * 12
    assert all(isinstance(error, LeaseLost) for error in again)
    assert len(deletes) == 2
    assert statements[deletes[0] + 1] == "COMMIT"
    assert statements[deletes[1] + 1] == "ROLLBACK"


def test_no_reader_sees_an_ack_without_its_reply(backend, external, take):
    delivery = take()
    external.execute(
        "CREATE TRIGGER no_replies AFTER INSERT ON message WHEN NEW.queue = 'answers' BEGIN "
        "SELECT RAISE(ABORT, 'no replies today'); END"
    )

    with pytest.raises(BrokerMisconfigured, match="no replies today"):
        backend.awf_mq_ack([Ack(delivery=delivery, replies=[answer_to(delivery)])])

    assert backend.awf_mq_stats("work").in_flight == 1
    assert bodies(backend, "answers") == []


def test_an_ack_after_redelivery_is_refused_and_its_reply_not_published(backend, clock, take):
    stale = take()
    clock.advance(LEASE_S + 1)
    current = take(publish=False)

    (error,) = backend.awf_mq_ack([Ack(delivery=stale, replies=[answer_to(stale)])])

    assert isinstance(error, LeaseLost)
    assert str(error) == (
        f"{backend.path}: delivery 1 of message {stale.id} in 'work' is lost: its lease ended and the message was "
        "redelivered, or it was settled before"
    )
    assert "mq.sqlite.lease" in (error.hint or "")
    assert bodies(backend, "answers") == []
    assert backend.awf_mq_ack([Ack(delivery=current)]) == [None]


def test_one_lost_delivery_keeps_no_other_of_the_call_from_its_ack(backend, clock, take):
    stale = take()
    clock.advance(LEASE_S + 1)
    current, other = take(publish=False), take()

    answers = backend.awf_mq_ack([Ack(delivery=d, replies=[answer_to(d)]) for d in (other, stale, current)])

    assert [type(answer) for answer in answers] == [type(None), LeaseLost, type(None)]
    assert len(bodies(backend, "answers")) == 2
    assert bodies(backend, "work") == []


def test_an_ack_after_the_lease_is_valid_until_another_consumer_takes_the_message(backend, clock, take):
    delivery = take()
    clock.advance(LEASE_S * 10)

    assert backend.awf_mq_ack([Ack(delivery=delivery, replies=[answer_to(delivery)])]) == [None]
    assert bodies(backend, "work") == []


def end_by_ack(backend, delivery):
    return backend.awf_mq_ack([Ack(delivery=delivery, replies=[answer_to(delivery)])])


def end_by_nack(backend, delivery):
    return backend.awf_mq_nack([Nack(delivery=delivery)])


def end_by_dead_letter(backend, delivery):
    item = DeadLetter(delivery=delivery, queue="dead", reason="r", error="e", replies=[answer_to(delivery)])
    return backend.awf_mq_dead_letter([item])


ENDINGS = [end_by_ack, end_by_nack, end_by_dead_letter]


@pytest.mark.parametrize("second", ENDINGS)
@pytest.mark.parametrize("first", ENDINGS)
def test_a_receipt_is_valid_once(backend, take, first, second):
    delivery = take()
    assert first(backend, delivery) == [None]
    before = [bodies(backend, queue) for queue in ("work", "dead", "answers")]

    (error,) = second(backend, delivery)

    assert isinstance(error, LeaseLost)
    assert [bodies(backend, queue) for queue in ("work", "dead", "answers")] == before
    assert [type(answer) for answer in backend.awf_mq_extend([delivery])] == [LeaseLost]


@pytest.mark.parametrize("end", ENDINGS)
def test_a_receipt_from_before_a_replay_is_invalid_for_the_replayed_message(backend, take, end):
    delivery = take()
    end_by_dead_letter(backend, delivery)
    backend.awf_mq_move("dead", "work", None, None)
    replayed = take(publish=False)

    (error,) = end(backend, delivery)

    assert isinstance(error, LeaseLost)
    assert (replayed.deliveries, replayed.attempt, replayed.message_id) == (1, 1, delivery.id)
    assert backend.awf_mq_extend([replayed]) == [None]


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


def test_a_counted_nack_is_an_attempt_and_an_uncounted_nack_is_a_release(backend, take):
    backend.awf_mq_nack([Nack(delivery=take(), counted=True)])
    backend.awf_mq_nack([Nack(delivery=take(publish=False), counted=False)])

    delivery = take(publish=False)

    assert (delivery.attempt, delivery.deliveries, delivery.crashes) == (2, 3, 0)


def test_a_nacked_message_is_redelivered_after_its_delay_and_blocks_no_other(backend, clock, take):
    backend.awf_mq_nack([Nack(delivery=take(id="slow"), delay_s=30)])

    other = take(id="other")
    clock.advance(29.9)
    early = backend.awf_mq_consume("work", 1, 0)
    clock.advance(0.2)
    late = take(publish=False)

    assert other.message_id == "other"
    assert early == []
    assert late.message_id == "slow"


def test_a_delay_that_is_too_long_is_refused_and_the_message_stays_held(mq, backend, take):
    delivery = take()

    (error,) = mq.nack([Nack(delivery=delivery, delay_s=1e300)])

    assert "delay_s for 'work' is 1e+300" in str(error)
    assert "315360000 seconds" in (error.hint or "")
    assert backend.awf_mq_ack([Ack(delivery=delivery)]) == [None]


def test_extend_renews_a_lease_and_answers_for_each_delivery(backend, clock, take):
    lost = take()
    clock.advance(LEASE_S + 1)
    take(publish=False)
    kept = take()
    clock.advance(LEASE_S - 1)

    answer = backend.awf_mq_extend([lost, kept])
    clock.advance(LEASE_S - 1)
    redelivered = backend.awf_mq_consume("work", 10, 0)

    assert [type(each) for each in answer] == [LeaseLost, type(None)]
    assert [delivery.id for delivery in redelivered] == [lost.id]
    assert backend.awf_mq_ack([Ack(delivery=kept)]) == [None]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Outgoing(queue="answers", body=b"x" * (64 * 1024 * 1024 + 1)), BodyTooLarge),
        (Outgoing(queue="x" * 256, body=b"x"), Unroutable),
    ],
    ids=["too large", "not a queue name"],
)
def test_a_delivery_whose_reply_cannot_be_stored_is_not_settled(mq, backend, take, reply, kind):
    delivery, other = take(), take()
    dead_letter = DeadLetter(delivery=delivery, queue="dead", reason="r", error="e", replies=[reply])

    answers = [
        *mq.ack([Ack(delivery=delivery, replies=[reply]), Ack(delivery=other)]),
        *mq.dead_letter([dead_letter]),
    ]

    assert [type(answer) for answer in answers] == [kind, type(None), kind]
    assert backend.awf_mq_ack([Ack(delivery=delivery)]) == [None]


def test_an_ack_writes_its_remembered_state_and_a_lost_delivery_does_not(backend, clock, take):
    stale = take()
    clock.advance(LEASE_S + 1)
    current = take(publish=False)
    remember = [Remember(key=f"done:{number}", value="yes", ttl_s=60) for number in range(2)]

    backend.awf_mq_ack([Ack(delivery=stale, remember=remember[0]), Ack(delivery=current, remember=remember[1])])

    assert backend.awf_mq_state_get(["done:0", "done:1"]) == [None, "yes"]


@pytest.mark.parametrize("literal", ["x'00ff'", "CAST(x'7bff7d' AS TEXT)", "'{broken'"])
def test_a_dead_lettered_message_keeps_its_body_byte_for_byte_even_invalid_text(backend, external, take, literal):
    external.execute(f"INSERT INTO message(queue, body) VALUES ('work', {literal})")
    delivery = take(publish=False)

    end_by_dead_letter(backend, delivery)

    stored = external.execute("SELECT typeof(body), CAST(body AS BLOB) FROM message WHERE queue = 'dead'").fetchone()
    assert stored == ("text" if "x'00" not in literal else "blob", delivery.body)
    assert bodies(backend, "dead") == [delivery.body]


def test_a_dead_lettered_message_has_its_source_reason_and_history(backend, clock, take):
    sent = {"id": "m1", "reply_to": "back", "correlation_id": "c", "headers": {"a": "b"}}
    backend.awf_mq_nack([Nack(delivery=take(**sent), history=[{"attempt": 1}])])
    dead_letter = DeadLetter(
        delivery=take(publish=False),
        queue="dead",
        reason="max_attempts",
        error="état \ud800",
        history=[{"attempt": 1, "error": "first"}],
    )

    assert backend.awf_mq_dead_letter([dead_letter]) == [None]

    (item,) = backend.awf_mq_browse("dead", 10, None).items
    assert (item.state, item.source, item.reason, item.error) == ("dead", "work", "max_attempts", "état ?")
    assert (item.message_id, item.reply_to, item.correlation_id, item.headers) == ("m1", "back", "c", {"a": "b"})
    assert (item.attempt, item.deliveries) == (2, 2)
    assert item.history == [{"attempt": 1, "error": "first"}]
    assert item.dead_at == pytest.approx(clock.now(), abs=0.002)


def test_the_history_that_a_nack_gives_is_delivered_with_the_message(backend, take):
    first, second = [{"attempt": 1, "error": "exit code 7"}], [{"attempt": 1}, {"attempt": 2, "when": "now"}]
    backend.awf_mq_nack([Nack(delivery=take(), history=first)])
    again = take(publish=False)
    backend.awf_mq_nack([Nack(delivery=again, counted=False, history=again.history)])
    released = take(publish=False)
    backend.awf_mq_nack([Nack(delivery=released, history=second)])

    last = take(publish=False)

    assert (again.history, released.history, last.history) == (first, first, second)


def test_a_history_that_cannot_be_read_does_not_stop_a_nack(backend, external, take):
    delivery = take()
    external.execute("UPDATE message SET history = 'garbage'")

    assert backend.awf_mq_nack([Nack(delivery=delivery, reason="exit code 7")]) == [None]

    assert take(publish=False).attempt == 2


def test_dead_lettering_to_a_name_no_queue_can_have_is_refused_and_the_message_stays_held(mq, backend, take):
    dead_letter = DeadLetter(delivery=take(), queue="", reason="r", error="e")

    (error,) = mq.dead_letter([dead_letter])

    assert isinstance(error, Unroutable)
    assert backend.awf_mq_stats("work").in_flight == 1


def test_dead_lettering_a_lost_delivery_is_refused_and_moves_nothing(backend, clock, take):
    stale = take()
    clock.advance(LEASE_S + 1)
    take(publish=False)

    (error,) = end_by_dead_letter(backend, stale)

    assert isinstance(error, LeaseLost)
    assert bodies(backend, "dead") == bodies(backend, "answers") == []


def test_settling_nothing_is_no_error(backend):
    assert backend.awf_mq_ack([]) == backend.awf_mq_nack([]) == backend.awf_mq_dead_letter([]) == []
    assert backend.awf_mq_publish([]) == backend.awf_mq_extend([]) == []
