"""What an operator does: count, browse, move and purge the messages of queues and dead-letter queues."""

from __future__ import annotations

import threading
import time

import pytest

from awf_core.contract import Ack, DeadLetter, Nack, Outgoing, Stats
from awf_core.errors import BrokerMisconfigured, Unroutable
from awf_core.testing.eventually import eventually

EMPTY = Stats(ready=0, delayed=0, in_flight=0, dead=0, oldest_age_s=None)


def dead_letter(backend, delivery, queue="dead", **values):
    item = DeadLetter(delivery=delivery, queue=queue, reason="max_attempts", error="boom", **values)
    assert backend.awf_mq_dead_letter([item]) == [None]


def bodies(backend, queue):
    return [item.body for item in backend.awf_mq_browse(queue, 2000, None).items]


def publish(backend, queue, count, **values):
    backend.awf_mq_publish([Outgoing(queue=queue, body=b"%d" % number, **values) for number in range(count)])


def test_the_counts_are_true_all_the_way_through_a_messages_life(backend, external, take):
    seen = [backend.awf_mq_stats("work")]
    publish(backend, "work", 1)
    publish(backend, "work", 1, delay_s=100)
    seen.append(backend.awf_mq_stats("work"))
    delivery = take(publish=False)
    seen.append(backend.awf_mq_stats("work"))
    external.zadd("{work}:lease", {delivery.receipt.id: 1})
    seen.append(backend.awf_mq_stats("work"))
    backend.awf_mq_nack([Nack(delivery=delivery, delay_s=1000)])
    seen.append(backend.awf_mq_stats("work"))
    external.zadd("{work}:due", {delivery.receipt.id: 1})
    dead_letter(backend, take(publish=False))
    seen.append(backend.awf_mq_stats("work"))

    assert [(s.ready, s.delayed, s.in_flight, s.dead) for s in seen] == [
        (0, 0, 0, 0),
        (1, 1, 0, 0),
        (0, 1, 1, 0),
        (1, 1, 0, 0),
        (0, 2, 0, 0),
        (0, 1, 0, 1),
    ]
    assert seen[0] == EMPTY


def test_every_backend_counts_dead_lettered_messages_by_the_queue_they_came_from(server, make_backend, backend, take):
    for queue in ("one", "one", "two"):
        dead_letter(backend, take(queue))
    other = make_backend(server.url)

    assert [other.awf_mq_stats(queue).dead for queue in ("one", "two", "three")] == [2, 1, 0]
    assert other.awf_mq_stats("dead").ready == 3


def test_with_a_single_source_the_count_is_right_after_another_client_trimmed_the_stream(backend, external, take):
    dead_letter(backend, take())
    dead_letter(backend, take())
    external.xtrim("dead", maxlen=1, approximate=False)

    assert backend.awf_mq_stats("work").dead == 1


def test_the_age_is_known_of_dead_lettered_messages_and_unknown_of_plain_ones(backend, external, take):
    dead_letter(backend, take())
    publish(backend, "work", 1)

    assert backend.awf_mq_stats("work").oldest_age_s is None
    assert eventually(lambda: backend.awf_mq_stats("dead").oldest_age_s) < 5


@pytest.mark.parametrize("page", [1, 2, 3, 100])
def test_browsing_shows_each_message_once_and_claims_none(backend, external, take, page):
    publish(backend, "work", 7)
    held = [take(publish=False) for _ in range(2)]
    backend.awf_mq_nack([Nack(delivery=held[0], delay_s=100, history=[{"error": "later"}])])
    external.blmove("work", "{work}:claiming", 1, "RIGHT", "LEFT")

    seen, after, pages = [], None, 0
    while True:
        found = backend.awf_mq_browse("work", page, after)
        seen += found.items
        after, pages = found.next, pages + 1
        assert found.exact
        if after is None:
            break

    assert [(item.body, item.state) for item in seen] == [
        (b"1", "in_flight"),
        (b"0", "delayed"),
        *((b"%d" % number, "ready") for number in range(2, 7)),
    ]
    assert pages == -(-7 // page)
    assert len({item.id for item in seen}) == 7
    assert [item.message_id for item in seen[:2]] == [held[1].id, held[0].id]
    assert (seen[1].attempt, seen[1].deliveries, seen[1].history[0]["error"]) == (2, 1, "later")
    assert backend.awf_mq_stats("work").ready == 5


@pytest.mark.parametrize("page", [1, 2, 100])
def test_dead_lettered_messages_are_browsed_in_pages_too(backend, take, page):
    for number in range(3):
        dead_letter(backend, take(body=b"%d" % number))

    seen, after = [], None
    while True:
        found = backend.awf_mq_browse("dead", page, after)
        seen += [item.body for item in found.items]
        after = found.next
        if after is None:
            break

    assert seen == [b"0", b"1", b"2"]


def test_a_damaged_cursor_starts_from_the_beginning(backend):
    publish(backend, "work", 2)

    for after in ("garbage", "9:1", "4:x", ""):
        assert len(backend.awf_mq_browse("work", 10, after).items) == 2
    assert backend.awf_mq_browse("work", 0, None).items == ()
    assert backend.awf_mq_browse("nothing", 5, None).items == []


def test_an_entry_that_another_client_added_to_the_stream_is_shown_and_can_be_replayed(backend, external, take):
    external.xadd("dead", {"body": "x", "attempt": "many", "history": "garbage\n[1]", "error": b"\xff"})
    external.xadd("dead", {"anything": "else"})

    items = backend.awf_mq_browse("dead", 10, None).items
    moved = backend.awf_mq_move("dead", "work", None, None)

    assert [(item.body, item.attempt, item.history, item.error) for item in items] == [
        (b"x", 1, [], "�"),
        (b"", 1, [], None),
    ]
    assert moved == 2
    assert [take(publish=False).body for _ in range(2)] == [b"x", b""]


def test_a_replayed_message_starts_at_attempt_one_and_keeps_its_id_and_its_history(backend, external, take):
    backend.awf_mq_nack([Nack(delivery=take(), history=[{"note": "x"}])])
    first = take(publish=False)
    dead_letter(backend, first, history=[{"note": "x"}, {"note": "y"}])

    assert backend.awf_mq_move("dead", "work", None, None) == 1
    replayed = take(publish=False)
    dead_letter(backend, replayed, history=replayed.history)

    (item,) = backend.awf_mq_browse("dead", 1, None).items
    assert (replayed.attempt, replayed.deliveries, replayed.crashes, replayed.id) == (1, 1, 0, first.id)
    assert [entry["note"] for entry in item.history] == ["x", "y"]
    assert (item.source, item.message_id) == ("work", first.id)
    assert backend.awf_mq_stats("work").dead == 1


def test_no_two_messages_of_a_queue_have_the_same_id(backend, external, take):
    first = take(body=b"first")
    dead_letter(backend, first)
    ((_, fields),) = external.xrange("dead")
    external.xadd("dead", fields)
    external.xadd("dead", {"body": "external", "id": "chosen by another client"})
    external.xadd("dead", {"body": "external", "id": "chosen by another client"})

    assert backend.awf_mq_move("dead", "work", None, None) == 4
    deliveries = backend.awf_mq_consume("work", 10, 0)

    assert sorted(each.body for each in deliveries) == [b"external", b"external", b"first", b"first"]
    assert len({each.id for each in deliveries}) == 4
    assert first.id in {each.id for each in deliveries}


def test_a_dead_letter_queue_can_be_consumed_like_any_other(backend, external, take):
    dead = take(body=b"dead")
    dead_letter(backend, dead)

    first = take("dead", publish=False)
    backend.awf_mq_nack([Nack(delivery=first, delay_s=0.05, history=[{"note": "again"}])])
    stats = backend.awf_mq_stats("dead")
    second = take("dead", publish=False)
    shown = backend.awf_mq_browse("dead", 5, None).items
    settled = backend.awf_mq_ack([Ack(delivery=second)])

    assert (first.body, first.id, first.attempt, second.attempt) == (b"dead", dead.id, 1, 2)
    assert (stats.ready, stats.delayed, stats.dead) == (0, 1, 0)
    assert [entry["note"] for entry in shown[0].history] == ["again"]
    assert settled == [None]
    assert backend.awf_mq_stats("work") == EMPTY
    assert external.keys() == []


def test_dead_lettered_messages_and_released_ones_are_browsed_moved_and_purged_together(backend, external, take):
    for number in range(4):
        dead_letter(backend, take(body=b"%d" % number))
    for number in range(2):
        backend.awf_mq_nack([Nack(delivery=take("dead", publish=False), delay_s=100 + number)])

    seen, after = [], None
    while True:
        page = backend.awf_mq_browse("dead", 1, after)
        seen += [(item.body, item.state) for item in page.items]
        after = page.next
        if after is None:
            break
    moved = backend.awf_mq_move("dead", "work", None, 3)
    purged = backend.awf_mq_purge("dead")

    assert seen == [(b"0", "delayed"), (b"1", "delayed"), (b"2", "dead"), (b"3", "dead")]
    assert (moved, purged) == (3, 1)
    assert sorted(bodies(backend, "work")) == [b"0", b"1", b"2"]
    assert external.exists("dead") == 0


def test_a_consumer_that_waits_on_a_dead_letter_queue_gets_its_messages(backend, external, take):
    deliveries = [take() for _ in range(2)]
    dead_letter(backend, deliveries[0])
    taken = take("dead", publish=False)
    external.xadd("dead", {"body": "stays"})
    backend.awf_mq_consume("dead", 1, 0)
    external.xadd("dead", {"body": "x"})
    external.xtrim("dead", maxlen=0, approximate=False)
    started = time.monotonic()
    waiting = threading.Timer(0.1, dead_letter, (backend, deliveries[1]))
    waiting.start()

    found = backend.awf_mq_consume("dead", 1, 5)
    waiting.join()

    assert taken.body == b"{}"
    assert [delivery.id for delivery in found] == [deliveries[1].id]
    assert time.monotonic() - started < 2


def test_replaying_and_purging_dead_lettered_messages_leaves_no_key(backend, external, take):
    for _ in range(3):
        dead_letter(backend, take())
    first = backend.awf_mq_browse("dead", 1, None).items[0].id

    moved = backend.awf_mq_move("dead", "work", [first, "nonsense", "1-1"], None)
    counted = backend.awf_mq_stats("work").dead
    backend.awf_mq_ack([Ack(delivery=take(publish=False))])
    purged = backend.awf_mq_purge("dead")

    assert (moved, counted, purged) == (1, 2, 2)
    assert backend.awf_mq_stats("work") == EMPTY
    assert external.keys() == []


def test_only_the_named_messages_move(backend, take):
    publish(backend, "a", 5)
    publish(backend, "other", 9)
    ids = [item.id for item in backend.awf_mq_browse("a", 10, None).items]
    external_id = backend.awf_mq_browse("other", 9, None).items[8].id

    moved = backend.awf_mq_move("a", "b", [ids[3], ids[1], "nonsense", "99999", external_id], None)

    assert moved == 2
    assert bodies(backend, "b") == [b"1", b"3"]
    assert bodies(backend, "a") == [b"0", b"2", b"4"]
    assert len(bodies(backend, "other")) == 9


def test_of_equal_bodies_as_many_move_as_are_named(backend):
    backend.awf_mq_publish([Outgoing(queue="a", body=b"same")] * 3)
    ids = [item.id for item in backend.awf_mq_browse("a", 10, None).items]

    assert backend.awf_mq_move("a", "b", ids[:2], None) == 2
    assert (len(bodies(backend, "a")), len(bodies(backend, "b"))) == (1, 2)


def test_a_limit_bounds_a_move_and_a_large_move_preserves_the_order(backend, external):
    publish(backend, "a", 550)

    first = backend.awf_mq_move("a", "b", None, 3)
    rest = backend.awf_mq_move("a", "b", None, None)

    assert (first, rest) == (3, 547)
    # Plain messages stay plain: any client can pop them from the other list.
    assert [int(external.rpop("b")) for _ in range(550)] == list(range(550))


def test_a_move_onto_the_same_queue_ends(backend):
    publish(backend, "a", 250)

    assert backend.awf_mq_move("a", "a", None, None) == 250
    assert [int(body) for body in bodies(backend, "a")] == list(range(250))


def test_messages_in_flight_are_neither_moved_nor_purged(backend, external, take):
    held = take()
    publish(backend, "work", 1, delay_s=5)
    publish(backend, "work", 1)

    moved = backend.awf_mq_move("work", "other", None, 1)
    removed = backend.awf_mq_purge("work")

    assert (moved, removed) == (1, 1)
    assert bodies(backend, "work") == [b"{}"]
    assert backend.awf_mq_ack([Ack(delivery=held)]) == [None]


def test_a_moved_message_is_due_at_once_and_starts_at_attempt_one(backend, take):
    delivery = take()
    backend.awf_mq_nack([Nack(delivery=delivery, delay_s=1000)])

    backend.awf_mq_move("work", "other", [delivery.receipt.id], None)
    moved = take("other", publish=False)

    assert (moved.attempt, moved.deliveries, moved.id) == (1, 1, delivery.id)


def test_a_message_whose_lease_ended_can_be_moved_and_purged(backend, external, take):
    for _ in range(2):
        delivery = take()
        external.zadd("{work}:lease", {delivery.receipt.id: 1})

    assert backend.awf_mq_move("work", "other", None, 1) == 1
    assert backend.awf_mq_purge("work") == 1
    assert backend.awf_mq_stats("work") == EMPTY


def test_a_move_to_a_name_that_no_queue_can_have_is_refused_and_moves_nothing(backend, external):
    publish(backend, "a", 2)
    external.xadd("stream", {"body": "x"})

    with pytest.raises(Unroutable, match="can't be the name of a queue"):
        backend.awf_mq_move("a", "", None, None)
    with pytest.raises(BrokerMisconfigured, match="key 'stream' holds a stream, and has to be a list"):
        backend.awf_mq_move("a", "stream", None, None)

    assert len(bodies(backend, "a")) == 2


def test_a_large_purge_takes_everything(backend, external):
    publish(backend, "a", 250)
    publish(backend, "a", 250, delay_s=100)

    assert backend.awf_mq_purge("a") == 500
    assert backend.awf_mq_purge("a") == 0
    assert external.dbsize() == 0
