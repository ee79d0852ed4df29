"""A `--burst` worker is done when every queue was found empty and no claim is under way."""

from __future__ import annotations

import threading

from awf_core.worker.claims import Claims


def test_all_queues_found_empty_and_nothing_under_way_is_the_end():
    claims = Claims(2)
    for queue in ("a", "b"):
        claims.begin(queue)
        claims.end(queue, count=0)

    assert claims.are_over(lambda: True)
    assert not claims.begin("a")


def test_a_queue_that_was_not_found_empty_is_not_the_end():
    claims = Claims(2)
    claims.begin("a")
    claims.end("a", count=0)

    assert not claims.are_over(lambda: True)


def test_a_claim_under_way_is_not_the_end():
    claims = Claims(2)
    for queue in ("a", "b"):
        claims.begin(queue)
        claims.end(queue, count=0)

    claims.begin("b")

    assert not claims.are_over(lambda: True)
    assert claims.begin("a")


def test_messages_make_every_queue_one_to_be_asked_again():
    claims = Claims(2)
    claims.begin("a")
    claims.end("a", count=0)
    claims.begin("b")
    claims.end("b", count=1)
    claims.begin("b")
    claims.end("b", count=0)

    assert not claims.are_over(lambda: True)


def test_a_claim_that_failed_found_nothing_empty():
    claims = Claims(1)
    claims.begin("a")
    claims.end("a", count=0)
    claims.begin("a")
    claims.end("a", count=None)

    assert not claims.are_over(lambda: True)


def test_no_claim_begins_while_the_end_is_checked():
    claims = Claims(1)
    claims.begin("a")
    claims.end("a", count=0)
    begun: list[bool] = []
    other = threading.Thread(target=lambda: begun.append(claims.begin("a")))

    def check() -> bool:
        other.start()
        other.join(0.1)
        assert begun == []
        return False

    assert not claims.are_over(check)
    other.join(10)
    assert begun == [True]
