"""Crashes are counted from evidence: a lease that ended, whose owner neither claims nor asks any more."""

from __future__ import annotations

import pytest

from awf_core.contract import Ack, Nack
from awf_core.errors import LeaseLost


@pytest.fixture
def heir(server, make_backend):
    """Another process, whose leases end after 200 ms too."""
    return make_backend(server.url, lease="200ms")


def test_a_lease_that_ended_is_a_crash_where_another_process_claims_the_message(hasty, heir, take):
    first = take(source=hasty)
    second = take(source=heir, publish=False)
    third = take(source=heir, publish=False)
    fourth = take(source=hasty, publish=False)

    assert [each.crashes for each in (first, second, third, fourth)] == [0, 1, 1, 2]
    assert [each.deliveries for each in (first, second, third, fourth)] == [1, 2, 3, 4]


def test_a_release_is_no_crash_and_neither_is_a_failure(hasty, heir, take):
    hasty.awf_mq_nack([Nack(delivery=take(source=hasty), counted=False)])
    hasty.awf_mq_nack([Nack(delivery=take(source=heir, publish=False))])
    heir.awf_mq_nack([Nack(delivery=take(source=heir, publish=False))])

    assert take(source=hasty, publish=False).crashes == 0


@pytest.mark.parametrize("ask", ["extend", "ack", "nack"])
def test_an_owner_that_asks_for_what_it_has_lost_takes_its_crash_back_once(hasty, heir, external, take, ask):
    lost = take(source=hasty)
    current = take(source=heir, publish=False)

    for _ in range(2):
        answers = {
            "extend": lambda: hasty.awf_mq_extend([lost]),
            "ack": lambda: hasty.awf_mq_ack([Ack(delivery=lost)]),
            "nack": lambda: hasty.awf_mq_nack([Nack(delivery=lost)]),
        }[ask]()
        assert [type(answer) for answer in answers] == [LeaseLost]
    mine = take(source=hasty, publish=False)
    answers = heir.awf_mq_extend([current, lost])
    again = take(source=heir, publish=False)

    assert current.crashes == 1
    # The first crash was taken back; the second, that of the heir, is its own to take back.
    assert mine.crashes == 1
    assert [type(answer) for answer in answers] == [LeaseLost, LeaseLost]
    assert again.crashes == 1


def test_a_crash_that_is_taken_back_while_the_message_waits_for_its_retry_is_none(hasty, heir, take):
    lost = take(source=hasty)
    heir.awf_mq_nack([Nack(delivery=take(source=heir, publish=False))])

    hasty.awf_mq_extend([lost])

    last = take(source=heir, publish=False)
    assert (last.crashes, last.attempt) == (0, 2)
