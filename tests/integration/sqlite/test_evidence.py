"""Crashes are counted from evidence: the owner that each claim notes, and a live owner that asks for its lease."""

from __future__ import annotations

import pytest

from awf_core.contract import Ack, DeadLetter, Nack, Outgoing
from awf_core.errors import BrokerUnavailable, LeaseLost

LEASE_S = 60.0


@pytest.fixture
def other(make_backend, backend):
    """The same file in another process."""
    return make_backend(context={"instance": "other"})


def take_from(backend, queue="work"):
    (delivery,) = backend.awf_mq_consume(queue, 1, 0)
    return delivery


def test_a_lease_that_ended_with_another_owner_is_a_crash(backend, other, clock, take):
    take()
    clock.advance(LEASE_S + 1)
    second = take_from(other)
    clock.advance(LEASE_S + 1)
    third = take(publish=False)

    assert [(each.deliveries, each.attempt, each.crashes) for each in (second, third)] == [(2, 1, 1), (3, 1, 2)]


def test_an_owner_that_claims_its_own_message_again_did_not_crash(backend, clock, take):
    take()
    for _ in range(6):
        clock.advance(LEASE_S + 1)
        delivery = take(publish=False)

    assert (delivery.deliveries, delivery.crashes) == (7, 0)


def test_released_and_failed_deliveries_are_no_crashes(backend, other, clock, take):
    backend.awf_mq_nack([Nack(delivery=take(), counted=False)])
    other.awf_mq_nack([Nack(delivery=take_from(other), counted=True)])
    clock.advance(LEASE_S + 1)

    assert take(publish=False).crashes == 0


@pytest.mark.parametrize("ask", ["extend", "ack", "nack"])
def test_a_live_owner_takes_the_crash_back_that_its_silence_was_counted_as(backend, other, clock, take, ask):
    lost = take()
    clock.advance(LEASE_S + 1)
    counted = take_from(other)

    calls = {
        "extend": lambda: backend.awf_mq_extend([lost]),
        "ack": lambda: backend.awf_mq_ack([Ack(delivery=lost)]),
        "nack": lambda: backend.awf_mq_nack([Nack(delivery=lost)]),
    }
    (answer,) = calls[ask]()
    other.awf_mq_nack([Nack(delivery=counted, counted=False)])

    assert isinstance(answer, LeaseLost)
    assert counted.crashes == 1
    assert take(publish=False).crashes == 0


def test_a_crash_is_taken_back_once_for_each_receipt(backend, other, clock, take):
    first = take()
    for claim in (lambda: take_from(other), lambda: take(publish=False), lambda: take_from(other)):
        clock.advance(LEASE_S + 1)
        last = claim()

    for _ in range(3):
        backend.awf_mq_extend([first])
    other.awf_mq_nack([Nack(delivery=last, counted=False)])

    assert last.crashes == 3
    assert take(publish=False).crashes == 2


def test_an_ended_lease_that_no_consumer_claimed_is_renewed(backend, other, clock, take):
    delivery = take()
    clock.advance(LEASE_S * 3)

    answers = backend.awf_mq_extend([delivery])
    clock.advance(LEASE_S - 1)

    assert answers == [None]
    assert other.awf_mq_consume("work", 1, 0) == []


def test_a_settled_delivery_takes_nothing_back_and_is_answered(backend, take):
    delivery = take()
    backend.awf_mq_ack([Ack(delivery=delivery)])

    assert [type(answer) for answer in backend.awf_mq_extend([delivery, take()])] == [LeaseLost, type(None)]


@pytest.mark.parametrize("damage", ["'garbage'", "'{}'", "'7'", "NULL"])
def test_evidence_that_cannot_be_read_stops_no_claim(backend, other, external, clock, take, damage):
    lost = take()
    external.execute(f"UPDATE message SET crashes = {damage}")
    clock.advance(LEASE_S + 1)

    taken = take_from(other)

    assert taken.crashes <= 1
    assert isinstance(backend.awf_mq_extend([lost])[0], LeaseLost)


def test_equal_receipts_are_one_delivery_and_no_two_deliveries_share_one(backend, clock, take):
    first = take()
    clock.advance(LEASE_S + 1)
    second, third = take(publish=False), take()

    assert len({first.receipt, second.receipt, third.receipt}) == 3
    assert len({second.receipt, second.receipt}) == 1


class TestStub:
    """Bodies over `max_body_bytes` stay in the file."""

    @pytest.fixture
    def small(self, make_backend):
        return make_backend(context={"max_body_bytes": 10})

    @pytest.mark.parametrize(
        ("literal", "stored"),
        [("x'00ff00ff00ff00ff00ff00ff'", b"\x00\xff" * 6), ("'éééééé'", "éééééé".encode()), ("123456789012", None)],
    )
    def test_a_body_that_is_too_large_is_not_read_and_blocks_no_other(self, backend, small, external, literal, stored):
        external.execute(f"INSERT INTO message(queue, body) VALUES ('work', {literal})")
        external.execute("INSERT INTO message(queue, body) VALUES ('work', 'small')")

        stub, other = small.awf_mq_consume("work", 10, 0)

        assert (stub.is_stub, stub.body, stub.body_bytes) == (True, b"", len(stored or b"123456789012"))
        assert (other.is_stub, other.body, other.body_bytes) == (False, b"small", 5)

    @pytest.mark.parametrize(
        "literal", ["x'00ff00ff00ff00ff00ff00ff'", "'more than ten bytes'", "CAST(x'ffffffffffffffffffffff' AS TEXT)"]
    )
    def test_a_stub_is_dead_lettered_byte_for_byte(self, small, backend, external, literal):
        external.execute(f"INSERT INTO message(queue, body) VALUES ('work', {literal})")
        before = external.execute("SELECT typeof(body), CAST(body AS BLOB) FROM message").fetchone()
        (stub,) = small.awf_mq_consume("work", 1, 0)
        small.awf_mq_nack([Nack(delivery=stub, counted=False)])
        (stub,) = small.awf_mq_consume("work", 1, 0)

        answers = small.awf_mq_dead_letter([DeadLetter(delivery=stub, queue="dead", reason="r", error="e")])

        after = external.execute("SELECT typeof(body), CAST(body AS BLOB) FROM message WHERE queue = 'dead'").fetchone()
        assert answers == [None]
        assert after == before

    def test_a_body_at_the_limit_is_delivered(self, small):
        small.awf_mq_publish([Outgoing(queue="work", body=b"x" * 10)])

        (delivery,) = small.awf_mq_consume("work", 1, 0)

        assert (delivery.is_stub, delivery.body) == (False, b"x" * 10)

    def test_a_body_that_exceeds_the_memory_is_an_error_that_names_the_file(self, small):
        with pytest.raises(BrokerUnavailable, match="can't move messages: not enough memory") as caught:  # noqa: SIM117
            with small._connections.writing("move messages"):
                raise MemoryError

        assert str(small.path) in str(caught.value)
        assert "three times the largest body" in (caught.value.hint or "")
        assert small.awf_mq_publish([Outgoing(queue="work", body=b"x")]) == [None]
